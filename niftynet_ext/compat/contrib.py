"""The parts of ``tf.contrib`` (gone since TensorFlow 2.0) that NiftyNet's segmentation needs.

Each function has the arguments and the arithmetic of its TensorFlow 1.15 namesake.
"""
import sys
import types


class Contrib(types.ModuleType):
    """A package of ``tf.contrib``; what it lacks is said by name."""

    def __init__(self, name, **members):
        super().__init__(name)
        self.__path__ = []
        self.__dict__.update(members)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self.__name__}.{name}: tf.contrib ended with TensorFlow 1.15, and niftynet_ext "
            f"does not provide this part of it")


def make_regularizers(tf):
    """``tf.contrib.layers.l1_regularizer`` and ``l2_regularizer`` for a TensorFlow module.

    :param tf: a module with the TensorFlow 1 interface
    :return: dict of name to function(scale, scope=None) -> regulariser(weights) -> scalar
    """
    def regularizer(name, penalty):
        def make(scale, scope=None):
            if scale < 0:
                raise ValueError(f"{name}: scale must be >= 0, got {scale}")
            if scale == 0:
                return lambda _: None

            def apply(weights, name=None):
                with tf.name_scope(scope or name or f"{penalty.__name__}_regularizer"):
                    return tf.multiply(tf.constant(scale, weights.dtype.base_dtype),
                                       penalty(weights))
            return apply
        make.__name__ = name
        return make

    def l1(weights):
        return tf.reduce_sum(tf.abs(weights))

    def l2(weights):
        return tf.nn.l2_loss(weights)

    return {"l1_regularizer": regularizer("l1_regularizer", l1),
            "l2_regularizer": regularizer("l2_regularizer", l2)}


def install(tf):
    """Give ``tf`` a ``contrib``, importable by its dotted names as well.

    :param tf: the module that stands for ``tensorflow``
    """
    functions = make_regularizers(tf)
    regularizers = Contrib("tensorflow.contrib.layers.python.layers.regularizers", **functions)
    python_layers = Contrib("tensorflow.contrib.layers.python.layers", regularizers=regularizers)
    python = Contrib("tensorflow.contrib.layers.python", layers=python_layers)
    layers = Contrib("tensorflow.contrib.layers", python=python, **functions)
    framework = Contrib("tensorflow.contrib.framework",
                        list_variables=tf.train.list_variables,
                        load_variable=tf.train.load_variable)
    tf.contrib = Contrib("tensorflow.contrib", layers=layers, framework=framework)
    for module in (tf.contrib, layers, python, python_layers, regularizers, framework):
        sys.modules[module.__name__] = module
