"""The parts of ``tf.contrib`` (gone since TensorFlow 2.0) that NiftyNet 0.6.0 uses.

Each function has the arguments and the arithmetic of its TensorFlow 1.15 namesake, in TensorFlow
2's own operations. Modules of this package are imported when one of their functions is first
asked for: most runs need none but :mod:`~niftynet_ext.compat.contrib.regularizers`.
"""

import sys

from niftynet_ext.compat.lazy import LazyModule

REGULARIZERS = {"l1_regularizer": "regularizers", "l2_regularizer": "regularizers"}

# module of tf.contrib -> {its function: the module here that defines it}
PARTS = {
    "framework": {
        "list_variables": "framework",
        "load_variable": "framework",
        "local_variable": "framework",
    },
    "layers": {
        "batch_norm": "normalisation",
        "instance_norm": "normalisation",
        "variance_scaling_initializer": "initializers",
        **REGULARIZERS,
    },
    "layers.python": {},
    "layers.python.layers": {},
    "layers.python.layers.regularizers": REGULARIZERS,
    "lookup": {"MutableDenseHashTable": "lookup"},
    "metrics": {"confusion_matrix": "metrics"},
    "periodic_resample": {"periodic_resample": "periodic_resample"},
    "resampler": {"resampler": "resampler"},
}
LACKS = "tf.contrib ended with TensorFlow 1.15"


def install(tf):
    """Give ``tf`` a ``contrib``, importable by its dotted names as well.

    :param tf: the module that stands for ``tensorflow``
    """
    tf.contrib = sys.modules["tensorflow.contrib"] = LazyModule("tensorflow.contrib", {}, LACKS)
    for path, parts in PARTS.items():  # parents come before their children
        name = f"tensorflow.contrib.{path}"
        parent, _, child = name.rpartition(".")
        parts = {function: f"{__name__}.{module}" for function, module in parts.items()}
        module = sys.modules[name] = LazyModule(name, parts, LACKS)
        setattr(sys.modules[parent], child, module)
