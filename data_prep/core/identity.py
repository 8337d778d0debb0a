"""The name and version of this software, and the notice that appears in all its output."""

VERSION = "0.1.0"

MANUFACTURER = "niftynet_ext"
"""Name of the maker in DICOM objects (Manufacturer, PS3.3 C.7.5.1)."""

DEFAULT_LABEL = "GTV-auto"
"""Name of the ROI that a model drew: not a spelling of GTV-1, so that it is never taken for a
reference to train on."""

RESEARCH_USE = "Research use only: not a medical device, not for clinical use"
"""Notice in every output about a patient; at most 64 characters, the length of a DICOM LO."""
