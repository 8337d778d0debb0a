"""Masks of a patient's ROIs."""

from data_prep.dicom_in import rois
from data_prep.dicom_in.patient import read_patient
from data_prep.dicom_in.scan import scan


def read_mask(folder, pattern=""):
    patients, *_ = scan(folder)
    data = read_patient(patients[0], rois.parse_rule(pattern))
    return data.volume, data.label > 0, list(data.warnings)


def mask_of(patient, contours, **options):
    patient.write().structures({"GTV-1": contours}, **options)
    return read_mask(patient.folder)[1:]
