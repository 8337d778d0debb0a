"""Plugins for NiftyNet 0.6: DenseHighRes3DNet, its losses and its training protocol."""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only: not a medical device, not for clinical use"
"""Stands in every output about a patient; at most 64 characters, the length of a DICOM LO."""
