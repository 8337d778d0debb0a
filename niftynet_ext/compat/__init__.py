"""Unmodified NiftyNet 0.6.0 on today's TensorFlow, NumPy, pandas and nibabel.

Whatever this project patches is listed here. Every patch stands beside its reason:

- :mod:`niftynet_ext.compat.tensorflow_v1`: ``import tensorflow`` gives the TensorFlow 1 interface
- :mod:`niftynet_ext.compat.semantics`: functions of TensorFlow 1 that have become stricter
- :mod:`niftynet_ext.compat.contrib`: the parts of ``tf.contrib`` that NiftyNet uses
- :mod:`niftynet_ext.compat.onednn`: faults of TensorFlow's CPU kernels are passed by
- :mod:`niftynet_ext.compat.scientific`: names that NumPy, pandas, nibabel and Python dropped
- :mod:`niftynet_ext.compat.quiet`: TensorFlow's start-up noise is dropped
- :mod:`niftynet_ext.compat.post_import`: what is done to a NiftyNet module once it is loaded; the
  wrappers for checks, seeds and checkpoints are in :mod:`niftynet_ext.training.driver` and
  :mod:`niftynet_ext.checks.ini_keys`
"""


def install():
    """Prepare this process for ``import niftynet``; a second call does nothing.

    :raises ImportError: TensorFlow is missing, with the command that installs it
    """
    from niftynet_ext.compat import post_import, scientific, tensorflow_v1

    scientific.install()
    tensorflow_v1.install()
    post_import.install()


def spec_in_place():
    """
    :return: after :func:`install`, the import spec of what stands for ``tensorflow``
    """
    from niftynet_ext.compat import tensorflow_v1

    return tensorflow_v1.spec_in_place()
