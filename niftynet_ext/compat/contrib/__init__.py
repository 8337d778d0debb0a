"""The parts of ``tf.contrib`` (gone since TensorFlow 2.0) that NiftyNet 0.6.0 uses.

Each function has the arguments and the arithmetic of its TensorFlow 1.15 namesake, in TensorFlow
2's own operations. A module of this package is imported when a function of it is first used: most
runs need only :mod:`~niftynet_ext.compat.contrib.regularizers`.
"""

import sys
from typing import Any

from niftynet_ext.compat.lazy import LazyModule

REGULARIZERS = {"l1_regularizer": "regularizers", "l2_regularizer": "regularizers"}

# module of tf.contrib -> {its function: the module here that defines it}
PARTS: dict[str, dict[str, str]] = {
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
WHY_ABSENT = "tf.contrib ended with TensorFlow 1.15"


def install(tf: Any) -> None:
    """Give ``tf`` a ``contrib``, importable by its dotted names as well.

    :param tf: the module that stands for ``tensorflow``
    """
    tf.contrib = LazyModule("tensorflow.contrib", {}, WHY_ABSENT)
    sys.modules["tensorflow.contrib"] = tf.contrib
    for path, parts in PARTS.items():  # parents come before their children
        name = f"tensorflow.contrib.{path}"
        parent, _, child = name.rpartition(".")
        dotted = {function: f"{__name__}.{module}" for function, module in parts.items()}
        sys.modules[name] = LazyModule(name, dotted, WHY_ABSENT)
        setattr(sys.modules[parent], child, sys.modules[name])
