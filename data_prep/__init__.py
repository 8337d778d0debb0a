"""Prepare DICOM CTs with RTSTRUCT or SEG as NIfTI for NiftyNet, and restore masks to their grid.

Arrays are indexed ``(x, y, z)`` = (DICOM column, row, slice along the normal). A 4x4 affine maps a
voxel's index ``(i, j, k)`` to the voxel's *centre* in mm: LPS inside this package (DICOM PS3.3
C.7.6.2.1.1), RAS in every NIfTI file and in the manifest.

The names in ``__all__`` are the public interface. Each is imported when it is first used, so that
``import data_prep`` loads none of the libraries behind them.
"""

from typing import TYPE_CHECKING

from data_prep.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from data_prep.cohort.check import check_cohort
    from data_prep.cohort.job import Parameters
    from data_prep.cohort.manifest import Manifest, read_manifest
    from data_prep.cohort.prepare import prepare_cohort
    from data_prep.cohort.restore import restore_cohort
    from data_prep.core.engine import Engine
    from data_prep.core.errors import DataError, NetLungError
    from data_prep.core.overlap import dice
    from data_prep.dicom_in.patient import PatientData, ReadOptions, read_patient
    from data_prep.dicom_in.rois import RoiClass, RoiRule
    from data_prep.dicom_in.scan import scan
    from data_prep.dicom_out.rtstruct import write_rtstruct
    from data_prep.dicom_out.seg import write_seg
    from data_prep.phantom import write_phantom_cohort

__all__ = [
    "DataError",
    "Engine",
    "Manifest",
    "NetLungError",
    "Parameters",
    "PatientData",
    "ReadOptions",
    "RoiClass",
    "RoiRule",
    "check_cohort",
    "dice",
    "prepare_cohort",
    "read_manifest",
    "read_patient",
    "restore_cohort",
    "scan",
    "write_phantom_cohort",
    "write_rtstruct",
    "write_seg",
]

_MODULES = {
    "DataError": "data_prep.core.errors",
    "Engine": "data_prep.core.engine",
    "Manifest": "data_prep.cohort.manifest",
    "NetLungError": "data_prep.core.errors",
    "Parameters": "data_prep.cohort.job",
    "PatientData": "data_prep.dicom_in.patient",
    "ReadOptions": "data_prep.dicom_in.patient",
    "RoiClass": "data_prep.dicom_in.rois",
    "RoiRule": "data_prep.dicom_in.rois",
    "check_cohort": "data_prep.cohort.check",
    "dice": "data_prep.core.overlap",
    "prepare_cohort": "data_prep.cohort.prepare",
    "read_manifest": "data_prep.cohort.manifest",
    "read_patient": "data_prep.dicom_in.patient",
    "restore_cohort": "data_prep.cohort.restore",
    "scan": "data_prep.dicom_in.scan",
    "write_phantom_cohort": "data_prep.phantom",
    "write_rtstruct": "data_prep.dicom_out.rtstruct",
    "write_seg": "data_prep.dicom_out.seg",
}
"""The module of each public name."""

__getattr__, __dir__ = lazy_names(globals(), _MODULES)
