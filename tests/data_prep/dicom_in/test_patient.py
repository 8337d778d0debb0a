import hashlib

import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_in.patient import ReadOptions, read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import SIZE, square


def files_of(made):
    [found], *_ = scan(made.folder)
    return found


def test_every_file_that_was_read_has_its_digest(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    made.segmentation({"GTV-1": {2: np.eye(SIZE, SIZE + 4)}})
    truth = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.folder.iterdir()}
    compared = read_patient(files_of(made), options=ReadOptions(compare_sources=True))
    assert compared.inputs == truth
    del truth[made.folder / "seg.dcm"]  # listed, but its pixels were not needed
    assert read_patient(files_of(made)).inputs == truth


def test_an_unlabelled_ct_needs_the_option(patient):
    made = patient().write()
    with pytest.raises(DataError, match="give --allow-unlabelled"):
        read_patient(files_of(made))
    data = read_patient(files_of(made), options=ReadOptions(allow_unlabelled=True))
    assert data.label is None
    assert (data.volume.array == made.hu.transpose(2, 1, 0)).all()


def test_a_patient_without_ct_is_refused(patient):
    made = patient()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    with pytest.raises(DataError, match="No CT slice was found"):
        read_patient(files_of(made))


def test_of_several_rois_one_that_encloses_nothing_is_a_warning(patient):
    made = patient().write()
    tiny = square(5.1, 5.2)
    made.structures({"GTV-1": [(2, tiny)], "GTV-2": [(2, square(3.5, 12.5))], "GTV-3": None})
    union = rois.parse_rule("gtv.*", "union")
    data = read_patient(files_of(made), union)
    assert data.label.sum() == 81
    assert [roi.name for roi in data.chosen] == ["GTV-2"]
    assert data.others == ("GTV-1", "GTV-3")
    assert "no pixel centre of the CT within 1 contour" in data.warnings[1]
    with pytest.raises(DataError, match="no pixel centre of the CT within"):
        read_patient(files_of(made))


def test_nothing_that_names_a_person_is_handed_on(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(-6.5, 12.5))], "Heart": None})
    data = read_patient(files_of(made))
    told = repr((data.volume, data.chosen, data.others, data.warnings, data.inputs))
    told += repr(files_of(made))
    for secret in ("Secret", "19500101", "ACC4711"):
        assert secret not in told


@pytest.mark.parametrize(
    ("name", "slices", "voxels"),
    [("LUNG1-001", 21, 54_639), ("radiomics_phantom/pat_3", None, 4_047)],
)
def test_real_patients_are_read_whole(real_data, name, slices, voxels):
    [found], *_ = scan(real_data / name)
    data = read_patient(found, rois.DEFAULT_RULE)
    assert np.count_nonzero(data.label) == data.chosen[0].voxels == voxels
    assert slices in (None, np.count_nonzero(data.label.any(axis=(0, 1))))
    assert not data.volume.interpolated.any()
    assert len(data.inputs) == data.volume.array.shape[2] + 1
