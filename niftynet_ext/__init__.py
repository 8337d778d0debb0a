"""Plugins for NiftyNet 0.6: DenseHighRes3DNet, its losses and its training protocol."""

__version__ = "0.1.0"
