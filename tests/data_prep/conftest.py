"""Small DICOM series and structure sets, written by pydicom from numbers that the tests choose."""

import pytest

from tests.support.dicom_patients import square


@pytest.fixture(scope="session")
def real_data(shared):
    """Return the folder of real patients; skips where it is absent."""
    return shared / "data"


@pytest.fixture
def dicom(patient):
    """Return a folder of three good patients, one without a match and one without a CT."""
    for name in ("P1", "P2", "../../x"):
        made = patient(name.strip("./"))
        made.patient_id = name
        for ct_slice in made.slices:
            ct_slice.PatientID = name
        made.write().structures({"GTV-1": [(2, square(3.5, 12.5))], "Heart": None})
    patient("other").write().structures({"GTV-2": [(2, square(3.5, 12.5))]})
    patient("no_ct").structures({"GTV-1": [(2, square(3.5, 12.5))]})
    return made.folder.parent
