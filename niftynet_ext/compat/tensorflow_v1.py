"""``import tensorflow`` as TensorFlow 1 had it, for NiftyNet and for its users' plugins.

NiftyNet 0.6.0 and every plugin named in an ini file do ``import tensorflow as tf`` and use
``tf.get_variable``, ``tf.log``, ``tf.contrib``... . TensorFlow 2 still ships that interface as
``tensorflow.compat.v1``. A facade module takes the name ``tensorflow`` in ``sys.modules``; names
are looked up in ``compat.v1`` first, then in TensorFlow itself. The real module keeps its names,
for whoever imported it before; but graphs take the place of eager execution in the whole process.
"""

import importlib
import importlib.machinery
import sys
import types

from niftynet_ext.compat import contrib, onednn, semantics
from niftynet_ext.compat.quiet import quiet_start

NO_TENSORFLOW = (
    "NiftyNet needs TensorFlow 2.15 to 2.21, which is not installed in this environment.\n"
    "Install it with one of:\n"
    "    pip install 'tensorflow-cpu<2.22'           (no graphics card)\n"
    "    pip install 'tensorflow[and-cuda]<2.22'     (NVIDIA graphics card)"
)


class TensorFlowV1(types.ModuleType):
    """Facade over ``tensorflow.compat.v1`` and, behind it, ``tensorflow``.

    :param real: the module ``tensorflow``
    :param v1: the module ``tensorflow.compat.v1``
    """

    def __init__(self, real, v1):
        super().__init__("tensorflow", real.__doc__)
        self.__dict__.update(
            _real=real,
            _v1=v1,
            # importing `tensorflow.python...` and `importlib.reload` go through these
            __path__=real.__path__,
            __file__=real.__file__,
            __spec__=real.__spec__,
            __loader__=real.__loader__,
            __version__=real.__version__,
        )

    def __getattr__(self, name):
        for module in (self._v1, self._real):
            try:
                value = getattr(module, name)
            except AttributeError:
                continue
            setattr(self, name, value)  # the next look-up is a plain one
            return value
        raise AttributeError(f"module 'tensorflow' has no attribute {name!r}")

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(self._v1)})


class InPlace:
    """Loader of a ``tensorflow`` that :func:`install` has put into ``sys.modules`` meanwhile."""

    @staticmethod
    def create_module(_spec):
        """:return: the facade"""
        return sys.modules["tensorflow"]

    @staticmethod
    def exec_module(module):
        """Nothing is left to execute; the facade goes on with the spec of the real module."""
        module.__spec__ = module._real.__spec__


def spec_in_place():
    """
    :return: spec for whoever was importing TensorFlow when :func:`install` was called
    """
    spec = importlib.machinery.ModuleSpec("tensorflow", InPlace, is_package=True)
    # importlib goes by the spec of a module that has appeared while it looked for one
    sys.modules["tensorflow"].__spec__ = spec
    return spec


def install():
    """Put the facade in the place of ``tensorflow``; does nothing when it is there already.

    :raises ImportError: TensorFlow is not installed
    """
    if isinstance(sys.modules.get("tensorflow"), TensorFlowV1):
        return
    try:
        with quiet_start():
            real = importlib.import_module("tensorflow")
            v1 = importlib.import_module("tensorflow.compat.v1")
    except ModuleNotFoundError as error:
        if error.name == "tensorflow":
            raise ImportError(NO_TENSORFLOW) from error
        raise
    if real.__version__.startswith("1."):
        return  # NiftyNet's own stack: nothing to revive
    with quiet_start():
        v1.disable_v2_behavior()
    facade = TensorFlowV1(real, v1)
    semantics.install(facade, tuple(int(part) for part in real.__version__.split(".")[:2]))
    contrib.install(facade)
    onednn.install()
    # NiftyNet takes the class from the package; TensorFlow 2 has it one module further down
    utils = importlib.import_module("tensorflow.python.keras.utils")
    data_utils = importlib.import_module("tensorflow.python.keras.utils.data_utils")
    utils.GeneratorEnqueuer = data_utils.GeneratorEnqueuer
    sys.modules["tensorflow"] = facade
