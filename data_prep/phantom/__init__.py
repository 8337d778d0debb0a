"""A synthetic lung cancer cohort in DICOM, whose tumours are known in closed form.

Each patient is drawn at random (:func:`draw_patient`, parameters only), rendered (:func:`render`,
Hounsfield units) and written (:func:`write_phantom_cohort`, CT Image Storage and RT Structure Set
Storage as TCIA delivers them). This package reads no DICOM and shares no geometry with the rest of
``data_prep``: the reader and the phantom cannot agree because they share a fault.
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
from data_prep.phantom.painting import PADDING_HU, PHANTOM_AIR_HU, render
from data_prep.phantom.writing import KIND, RESCALE_INTERCEPT, TRUTH_FILE, write_phantom_cohort

__all__ = [
    "CONTOUR_POINTS",
    "KIND",
    "PADDING_HU",
    "PHANTOM_AIR_HU",
    "RESCALE_INTERCEPT",
    "TRUTH_FILE",
    "TUMOUR_RADII_MM",
    "Ellipsoid",
    "Phantom",
    "draw_patient",
    "lung_contact",
    "render",
    "tumour_mask",
    "write_phantom_cohort",
]
