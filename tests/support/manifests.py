"""Manifests as ``preprocess`` writes them, for tests that need no patients behind them."""

from data_prep.cohort.job import Parameters
from data_prep.cohort.manifest import (
    GridRecord,
    Manifest,
    PatientFilesRecord,
    PatientRecord,
    Status,
    write_manifest,
)

IDENTITY = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
GRID = GridRecord(shape=(4, 4, 4), affine_ras=IDENTITY)


def record_of(patient_id, phase="Training", status=Status.OK, files=None, **changes):
    """Return the record of a patient with an image, or with the files given by kind."""
    usable = status is Status.OK
    files = {"image": f"images/{patient_id}.nii.gz"} if files is None else files
    content = {
        "id": patient_id,
        "source": patient_id,
        "status": status,
        "reason": "" if usable else "No CT slice",
        "warnings": (),
        "phase": phase if usable else None,
        "roi": None,
        "files": PatientFilesRecord(**(files if usable else {})),
        "inputs": (),
        "outputs": {},
    }
    grids = {"native": GRID, "coarse": GRID} if usable else {}
    return PatientRecord(**(content | grids | changes))


def manifest_of(patients, parameters=None, **changes):
    """Return the manifest of some records."""
    content = {
        "software": {},
        "parameters": (parameters or Parameters()).record(),
        "warnings": (),
        "other_files": 0,
        "dealt": {},
        "patients": tuple(patients),
    }
    return Manifest(**(content | changes))


def write_manifest_of(folder, patients, **changes):
    """Write the manifest of some records into a folder, and return it."""
    manifest = manifest_of(patients, **changes)
    write_manifest(manifest, folder)
    return manifest
