"""CTs in all orientations."""

from data_prep.dicom_in.scan import scan
from data_prep.dicom_in.series import choose_series, read_volume

ORIENTATIONS = {  # by patient position and scan plane
    "head first supine": (1, 0, 0, 0, 1, 0),
    "head first prone": (-1, 0, 0, 0, -1, 0),
    "feet first supine": (-1, 0, 0, 0, 1, 0),
    "feet first prone": (1, 0, 0, 0, -1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
}


def read(patient):
    patients, *_ = scan(patient.folder)
    return read_volume(choose_series(list(patients[0].series.values())))
