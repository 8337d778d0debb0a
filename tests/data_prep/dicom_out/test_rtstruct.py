"""RTSTRUCT out: read back by this package, and by programs that share nothing with it."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

from data_prep.core.identity import RESEARCH_USE
from data_prep.dicom_in import structures
from data_prep.dicom_out.rtstruct import write_rtstruct
from tests.support.derived_objects import ALGORITHM, fill, random_mask, read_ct
from tests.support.orientations import ORIENTATIONS


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_round_trip_is_exact_in_every_orientation(patient, tmp_path, orientation):
    volume, sources = read_ct(patient(orientation=orientation, slices=9).write().folder)
    mask = random_mask(volume)
    write_rtstruct(tmp_path / "rs.dcm", mask, sources, "GTV-1", ALGORITHM)
    assert (fill(tmp_path / "rs.dcm", volume, "GTV-1") == mask).all()


def test_awkward_numbers_keep_to_16_characters_and_stay_exact(patient, tmp_path):
    made = patient(origin=(-249.51171875, -1234.567890123, -1e-7))
    for k, ct_slice in enumerate(made.slices):
        ct_slice.PixelSpacing = [0.9765625, 0.33333333333333]
        ct_slice.ImagePositionPatient = [-249.51171875, -1234.56789012, round(2.5 * k - 1e-7, 10)]
    volume, sources = read_ct(made.write().folder)
    mask = random_mask(volume)
    write_rtstruct(tmp_path / "rs.dcm", mask, sources, "GTV-1", ALGORITHM)
    assert (fill(tmp_path / "rs.dcm", volume, "GTV-1") == mask).all()
    written = pydicom.dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence
    assert max(len(str(value)) for item in written for value in item.ContourData) <= 16


def test_lung1_001_comes_back_as_it_was(real_data, tmp_path):
    volume, sources = read_ct(real_data / "LUNG1-001")
    reference = next((real_data / "LUNG1-001" / "mask_rtstruct").glob("*.dcm"))
    mask = fill(reference, volume, "GTV-1")
    write_rtstruct(tmp_path / "rs.dcm", mask, sources, "GTV-1", ALGORITHM)
    assert mask.sum() == 54_639
    assert (fill(tmp_path / "rs.dcm", volume, "GTV-1") == mask).all()


def test_plastimatch_gives_the_same_voxels(patient, tmp_path):
    if not shutil.which("plastimatch"):
        pytest.skip("no plastimatch (Debian package of that name)")
    made = patient(slices=9).write()
    volume, sources = read_ct(made.folder)
    mask = random_mask(volume)
    write_rtstruct(made.folder / "rs.dcm", mask, sources, "GTV-1", ALGORITHM)
    subprocess.run(
        [
            "plastimatch",
            "convert",
            "--xor-contours",
            "--input",
            made.folder / "rs.dcm",
            "--referenced-ct",
            made.folder,
            "--output-prefix",
            tmp_path / "masks",
            "--prefix-format",
            "nrrd",
        ],
        check=True,
        capture_output=True,
    )
    found_image = sitk.ReadImage(str(tmp_path / "masks" / "GTV-1.nrrd"))
    np.testing.assert_allclose(found_image.GetOrigin(), volume.affine_lps[:3, 3], atol=1e-3)
    assert (sitk.GetArrayFromImage(found_image).T.astype(bool) == mask).all()


def test_it_says_what_it_is_and_which_slices_it_is_of(patient, tmp_path):
    made = patient().write()
    volume, sources = read_ct(made.folder)
    mask = random_mask(volume)
    write_rtstruct(tmp_path / "rs.dcm", mask, sources, "Tumour (CNN)", ALGORITHM)
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    assert (dataset.PatientName, dataset.PatientID) == ("Secret^Name", "P1")
    assert dataset.StudyID == dataset.ReferringPhysicianName == ""
    assert dataset.StudyInstanceUID == made.study_uid
    assert dataset.StructureSetROISequence[0].ROIName == "Tumour (CNN)"
    assert dataset.RTROIObservationsSequence[0].RTROIInterpretedType == "GTV"
    assert RESEARCH_USE == dataset.SeriesDescription == dataset.StructureSetDescription
    structure_set = structures.read_structure_set(tmp_path / "rs.dcm")
    assert structure_set.series_uids == {made.series_uid}
    assert structure_set.sop_uids == set(volume.sop_instance_uids)
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        k = volume.sop_instance_uids.index(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
        points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
        np.testing.assert_allclose(points @ volume.normal, volume.slice_positions_mm[k], atol=1e-3)


def test_an_empty_mask_is_an_roi_without_contours(patient, tmp_path):
    volume, sources = read_ct(patient().write().folder)
    empty = np.zeros(volume.array.shape, bool)
    write_rtstruct(tmp_path / "rs.dcm", empty, sources, "GTV-1", ALGORITHM)
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    assert dataset.StructureSetROISequence[0].ROIName == "GTV-1"
    assert "ContourSequence" not in dataset.ROIContourSequence[0]
