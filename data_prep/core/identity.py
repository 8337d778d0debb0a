"""What this software calls itself, and the notice that stands in all its output."""

VERSION = "0.1.0"

MANUFACTURER = "niftynet_ext"
"""Maker's name in DICOM objects (Manufacturer, PS3.3 C.7.5.1)."""

RESEARCH_USE = "Research use only: not a medical device, not for clinical use"
"""Stands in every output about a patient; at most 64 characters, the length of a DICOM LO."""
