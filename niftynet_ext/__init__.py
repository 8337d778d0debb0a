"""Plugins for NiftyNet 0.6: DenseHighRes3DNet, its losses and its training protocol."""

from data_prep.core.identity import VERSION

__version__ = VERSION

__all__ = ["__version__"]
