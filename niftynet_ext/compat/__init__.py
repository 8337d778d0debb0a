"""Unmodified NiftyNet 0.6.0 on today's TensorFlow, NumPy, pandas and nibabel.

Only this package patches anything. Every patch stands beside its reason:

- :mod:`niftynet_ext.compat.tensorflow_v1`: ``import tensorflow`` gives the TensorFlow 1 interface
- :mod:`niftynet_ext.compat.semantics`: functions of TensorFlow 1 that have become stricter
- :mod:`niftynet_ext.compat.contrib`: the parts of ``tf.contrib`` that NiftyNet uses
- :mod:`niftynet_ext.compat.onednn`: works around faults of TensorFlow's CPU kernels
- :mod:`niftynet_ext.compat.scientific`: names that NumPy, pandas, nibabel and Python have removed
- :mod:`niftynet_ext.compat.quiet`: drops TensorFlow's start-up messages
- :mod:`niftynet_ext.compat.post_import`: what is done to a NiftyNet module once it is loaded. The
  rooms above register the wrappers for checks, seeds and checkpoints there, through
  :mod:`niftynet_ext.activation`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


def install() -> None:
    """Prepare this process for ``import niftynet``; a second call does nothing.

    :raises ImportError: TensorFlow is missing; the message has the command that installs it
    """
    from niftynet_ext.compat import post_import, scientific, tensorflow_v1

    scientific.install()
    tensorflow_v1.install()
    post_import.install()


def facade_spec() -> ModuleSpec:
    """Return the import spec of the module that stands for ``tensorflow``, after :func:`install`.

    :return: spec for the import statement that :func:`install` interrupted
    """
    from niftynet_ext.compat import tensorflow_v1

    return tensorflow_v1.facade_spec()
