from zlib import crc32

import numpy as np
import pydicom
import pytest
from pydicom.uid import RTDoseStorage, RTPlanStorage, SecondaryCaptureImageStorage

from data_prep.dicom_in.patient import read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import SIZE, square


def test_flat_and_mixed_folders(patient, tmp_path):
    """Two patients in one folder, with plans, doses, screen shots and SEG."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, name in enumerate(("A", "B")):
        made = patient(name).write()
        made.structures({"GTV-1": [(2 + number, square(3.5, 12.5))]})
        made.segmentation({"Heart": {1: np.eye(SIZE, SIZE + 4)}})
        for kind, modality in ((RTPlanStorage, "RTPLAN"), (RTDoseStorage, "RTDOSE")):
            made._object(kind, modality, "1.2").save_as(made.folder / modality)
        shot = made._slice(0)
        shot.SOPClassUID = SecondaryCaptureImageStorage
        shot.save_as(made.folder / "shot")
        for path in made.folder.iterdir():
            path.rename(flat / f"IM{crc32((name + path.name).encode()):08X}")
    patients, unreadable, others = scan(flat)
    assert [person.name for person in patients] == ["A", "B"]
    assert (unreadable, others) == ([], 0)
    for number, person in enumerate(patients):
        assert (len(person.series), len(person.structure_paths), len(person.seg_paths)) == (1, 1, 1)
        assert person.other_objects == 3
        data = read_patient(person)
        assert data.label.any(axis=(0, 1)).tolist() == [k == 2 + number for k in range(6)]


def test_several_studies_of_one_patient_the_contoured_series_is_taken(patient):
    early, late = patient("P/early"), patient("P/late")
    for made in (early, late):
        made.patient_id = "P"
        for ct_slice in made.slices:
            ct_slice.PatientID = "P"
        made.write()
    late.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    [found], *_ = scan(early.folder.parent)
    assert len(found.series) == 2
    assert read_patient(found).volume.series_uid == late.series_uid


def people(patient, *born, same_study=False):
    """Write one CT for each birth date, all under the Patient ID 1."""
    for number, date in enumerate(born):
        made = patient(f"{number}", slices=2)
        for ct_slice in made.slices:
            ct_slice.PatientID, ct_slice.PatientBirthDate = "1", date
            ct_slice.StudyInstanceUID = "1.2.3" if same_study else f"1.2.3.{number}"
        made.write()
    patients, *_ = scan(made.folder.parent)
    return [(person.name, len(person.series)) for person in patients]


@pytest.mark.parametrize(
    ("born", "same_study", "expected"),
    [
        (("19500101", "19500101"), False, [("1", 2)]),
        (("19500101", "19621231"), False, [("1", 1), ("1", 1)]),
        (("19500101", "19621231"), True, [("1", 2)]),
        (("", "19500101", "19500101"), False, [("1", 3)]),
        (("19500101", "", "19621231"), False, [("1", 2), ("1", 1)]),
        (("", ""), False, [("1", 2)]),
    ],
)
def test_two_persons_of_one_id_are_told_by_study_and_birth_date(
    patient, born, same_study, expected
):
    assert people(patient, *born, same_study=same_study) == expected


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("name", ["", " ", "../../etc/x", "x" * 300, "患者", "a\\b", "\0"])
def test_patient_ids_of_any_kind(patient, name):
    made = patient("folder", slices=2)
    for ct_slice in made.slices:
        ct_slice.SpecificCharacterSet = "ISO_IR 192"
        ct_slice["PatientID"] = pydicom.DataElement("PatientID", "LO", name, already_converted=True)
    made.write()
    patients, unreadable, _ = scan(made.folder.parent)
    assert unreadable == []
    assert [len(person.series) for person in patients] == [1]


def test_a_file_of_nothing_but_faults_is_named(patient):
    made = patient().write()
    (made.folder / "zero.dcm").touch()
    (made.folder / "random.dcm").write_bytes(np.random.default_rng(0).bytes(3000))
    (made.folder / "cut.dcm").write_bytes((made.folder / "000").read_bytes()[:200])
    [found], unreadable, _ = scan(made.folder)
    assert unreadable == found.unreadable
    assert [line[:17] for line in sorted(unreadable)] == [
        "cut.dcm: not a DI",
        "random.dcm: not D",
        "zero.dcm: empty f",
    ]
