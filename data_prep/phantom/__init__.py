"""A synthetic lung cancer cohort in DICOM, whose tumours are known in closed form.

Each patient is drawn (:func:`draw_patient`, parameters only), rendered (:func:`render`, Hounsfield
units) and written (:func:`write_cohort`, CT Image Storage and RT Structure Set Storage as TCIA
delivers them). This package reads no DICOM and shares no geometry with the rest of ``data_prep``:
what it says about a tumour cannot agree with the reader by sharing a fault.
"""

from data_prep.phantom.anatomy import (
    CONTOUR_POINTS,
    TUMOUR_RADII_MM,
    Ellipsoid,
    Phantom,
    draw_patient,
    lung_contact,
    tumour_mask,
)
from data_prep.phantom.painting import AIR_HU, PADDING_HU, render
from data_prep.phantom.writing import KIND, RESCALE_INTERCEPT, TRUTH_FILE, write_cohort

__all__ = [
    "AIR_HU",
    "CONTOUR_POINTS",
    "KIND",
    "PADDING_HU",
    "RESCALE_INTERCEPT",
    "TRUTH_FILE",
    "TUMOUR_RADII_MM",
    "Ellipsoid",
    "Phantom",
    "draw_patient",
    "lung_contact",
    "render",
    "tumour_mask",
    "write_cohort",
]
