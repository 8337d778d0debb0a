"""``import tensorflow`` as in TensorFlow 1, for NiftyNet and for its users' plugins.

NiftyNet 0.6.0 and every plugin named in an ini file do ``import tensorflow as tf`` and use
``tf.get_variable``, ``tf.log``, ``tf.contrib``... . TensorFlow 2 still ships that interface as
``tensorflow.compat.v1``. A facade module takes the name ``tensorflow`` in ``sys.modules``; names
are looked up in ``compat.v1`` first, then in TensorFlow itself. The real module keeps its names,
for modules that imported it before; but the whole process uses graphs instead of eager execution.
"""

import importlib
import importlib.machinery
import sys
import types
from typing import Any

from niftynet_ext.compat import contrib, onednn, semantics
from niftynet_ext.compat.quiet import quiet_start

NO_TENSORFLOW = (
    "NiftyNet needs TensorFlow 2.15 to 2.21, which is not installed in this environment.\n"
    "Install it with one of:\n"
    "    pip install 'tensorflow-cpu<2.22'           (no graphics card)\n"
    "    pip install 'tensorflow[and-cuda]<2.22'     (NVIDIA graphics card)"
)


class TensorFlowV1(types.ModuleType):
    """Facade over ``tensorflow.compat.v1`` and, after it, ``tensorflow``.

    :param real: the module ``tensorflow``
    :param v1: the module ``tensorflow.compat.v1``
    """

    def __init__(self, real: types.ModuleType, v1: types.ModuleType) -> None:
        super().__init__("tensorflow", real.__doc__)
        self.__dict__.update(
            _real=real,
            _v1=v1,
            # importing `tensorflow.python...` and `importlib.reload` use these
            __path__=real.__path__,
            __file__=real.__file__,
            __spec__=real.__spec__,
            __loader__=real.__loader__,
            __version__=real.__version__,
        )

    def __getattr__(self, name: str) -> Any:
        for module in (self._v1, self._real):
            try:
                value = getattr(module, name)
            except AttributeError:
                continue
            setattr(self, name, value)  # from now on an ordinary attribute
            return value
        raise AttributeError(f"module 'tensorflow' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._v1)})


class FacadeLoader:
    """Loader of a ``tensorflow`` that :func:`install` has put into ``sys.modules`` meanwhile."""

    @staticmethod
    def create_module(_spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return the facade."""
        return sys.modules["tensorflow"]

    @staticmethod
    def exec_module(module: types.ModuleType) -> None:
        """Execute nothing; give the facade the spec of the real module."""
        module.__spec__ = module._real.__spec__


def facade_spec() -> importlib.machinery.ModuleSpec:
    """Return a spec for the import of TensorFlow during which :func:`install` was called.

    :return: spec of the facade
    """
    loader: Any = FacadeLoader  # the class itself: its methods are static
    spec = importlib.machinery.ModuleSpec("tensorflow", loader, is_package=True)
    # importlib uses the spec of a module that has appeared while it was searching for it
    sys.modules["tensorflow"].__spec__ = spec
    return spec


def install() -> None:
    """Put the facade into ``sys.modules`` as ``tensorflow``; a second call does nothing.

    :raises ImportError: TensorFlow is not installed
    """
    if isinstance(sys.modules.get("tensorflow"), TensorFlowV1):
        return
    onednn.switch_on()
    try:
        with quiet_start():
            real = importlib.import_module("tensorflow")
            v1 = importlib.import_module("tensorflow.compat.v1")
    except ModuleNotFoundError as error:
        if error.name == "tensorflow":
            raise ImportError(NO_TENSORFLOW) from error
        raise
    if real.__version__.startswith("1."):
        return  # NiftyNet's own stack: nothing is missing
    with quiet_start():
        v1.disable_v2_behavior()
    facade = TensorFlowV1(real, v1)
    major, minor = (int(part) for part in real.__version__.split(".")[:2])
    semantics.install(facade, (major, minor))
    contrib.install(facade)
    onednn.install()
    # NiftyNet imports the class from the package; in TensorFlow 2 it is in a module of the package
    utils: Any = importlib.import_module("tensorflow.python.keras.utils")
    data_utils: Any = importlib.import_module("tensorflow.python.keras.utils.data_utils")
    utils.GeneratorEnqueuer = data_utils.GeneratorEnqueuer
    sys.modules["tensorflow"] = facade
