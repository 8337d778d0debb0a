"""DICOM SEG out: read back with pydicom alone, by the positions that the frames state."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.core.identity import DEFAULT_LABEL, MANUFACTURER, RESEARCH_USE
from data_prep.dicom_in import rois, segmentation
from data_prep.dicom_out.rtstruct import write_rtstruct
from data_prep.dicom_out.seg import write_seg
from data_prep.phantom import write_phantom_cohort
from tests.support.derived_objects import ALGORITHM, mask_by_position, random_mask, read_ct
from tests.support.orientations import ORIENTATIONS


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_round_trip_is_exact_in_every_orientation(patient, tmp_path, orientation):
    volume, sources = read_ct(patient(orientation=orientation).write().folder)
    mask = random_mask(volume)
    write_seg(tmp_path / "seg.dcm", mask, sources, "GTV-1", ALGORITHM)
    assert (mask_by_position(tmp_path / "seg.dcm", volume) == mask).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_itk_sees_the_same_voxels_at_the_same_places(patient, tmp_path, orientation):
    volume, sources = read_ct(patient(orientation=orientation).write().folder)
    mask = random_mask(volume)
    write_seg(tmp_path / "seg.dcm", mask, sources, "GTV-1", ALGORITHM)
    image = sitk.ReadImage(str(tmp_path / "seg.dcm"))
    seen = np.argwhere(sitk.GetArrayFromImage(image).T)
    places = [image.TransformIndexToPhysicalPoint(index) for index in seen.tolist()]
    found = geometry.to_index(np.array(places), volume.affine_lps)
    np.testing.assert_allclose(found, found.round(), atol=1e-3)
    assert {tuple(index) for index in found.round().astype(int).tolist()} == {
        tuple(index) for index in np.argwhere(mask).tolist()
    }


def test_round_trip_by_our_own_reader(patient, tmp_path):
    volume, sources = read_ct(patient().write().folder)
    mask = random_mask(volume)
    write_seg(tmp_path / "seg.dcm", mask, sources, "GTV-1", ALGORITHM)
    found = segmentation.list_segments(tmp_path / "seg.dcm")
    (segment,) = found.candidates
    assert (segmentation.build_mask(volume, found, segment)[0] == mask).all()


def test_what_a_model_drew_is_no_reference_to_train_on(patient, tmp_path):
    _, sources = read_ct(patient().write().folder)
    mask = np.ones((sources[0].Columns, sources[0].Rows, len(sources)), bool)
    write_seg(tmp_path / "seg.dcm", mask, sources, DEFAULT_LABEL, ALGORITHM)
    candidates = list(segmentation.list_segments(tmp_path / "seg.dcm").candidates)
    assert [segment.name for segment in candidates] == [DEFAULT_LABEL]
    with pytest.raises(DataError, match="No ROI matches"):
        rois.choose(rois.DEFAULT_RULE, candidates)


def test_it_says_what_it_is_and_which_slices_it_is_of(patient, tmp_path):
    made = patient()
    for ct_slice in made.slices:
        ct_slice.SpecificCharacterSet, ct_slice.PatientName = "ISO_IR 100", "Müller^Jörg"
        ct_slice.PatientSex = "X"  # not a defined term, but copied as it is
    volume, sources = read_ct(made.write().folder)
    mask = random_mask(volume)
    write_seg(tmp_path / "seg.dcm", mask, sources, "GTV-1", ALGORITHM)
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (seg.PatientName, seg.PatientID, seg.AccessionNumber) == ("Müller^Jörg", "P1", "ACC4711")
    assert seg.PatientSex == "X"
    assert (seg.StudyInstanceUID, seg.FrameOfReferenceUID) == (made.study_uid, made.frame_uid)
    (segment,) = seg.SegmentSequence
    kind, site = segment.SegmentedPropertyTypeCodeSequence[0], segment.AnatomicRegionSequence[0]
    assert (kind.CodeValue, kind.CodeMeaning) == ("86049000", "Neoplasm, Primary")
    assert (site.CodeValue, site.CodeMeaning) == ("39607008", "Lung")
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert RESEARCH_USE == seg.SeriesDescription == seg.ContentDescription
    assert ALGORITHM.model_sha256.startswith(seg.DeviceSerialNumber)
    with_tumour = np.flatnonzero(mask.any(axis=(0, 1)))
    referenced = [
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for group in seg.PerFrameFunctionalGroupsSequence
    ]
    assert set(referenced) == {volume.sop_instance_uids[k] for k in with_tumour}
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == made.series_uid


def test_an_empty_mask_is_an_empty_segmentation(patient, tmp_path):
    volume, sources = read_ct(patient().write().folder)
    write_seg(tmp_path / "s.dcm", np.zeros(volume.array.shape, bool), sources, "x", ALGORITHM)
    assert not mask_by_position(tmp_path / "s.dcm", volume).any()


def test_a_ct_that_cannot_be_referred_to_is_refused(patient):
    made = patient()
    made.frame_uid = ""
    for ct_slice in made.slices:
        ct_slice.FrameOfReferenceUID = ""
    with pytest.raises(DataError, match="no FrameOfReferenceUID, expected one.*export the CT"):
        read_ct(made.write().folder)


@pytest.mark.parametrize("write", [write_seg, write_rtstruct])
def test_what_the_ct_lacks_is_there_and_empty(patient, tmp_path, write):
    made, lacking = patient(), ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber")
    for ct_slice in made.slices:
        for keyword in lacking:
            delattr(ct_slice, keyword)
    volume, sources = read_ct(made.write().folder)
    write(tmp_path / "x.dcm", random_mask(volume), sources, "GTV-1", ALGORITHM)
    written = pydicom.dcmread(tmp_path / "x.dcm")
    for keyword in (*lacking, "StudyID", "StudyDate", "ReferringPhysicianName"):
        assert keyword in written and not written.get(keyword)


@pytest.mark.parametrize("write", [write_seg, write_rtstruct])
def test_a_mask_on_another_grid_is_refused(patient, tmp_path, write):
    _, sources = read_ct(patient().write().folder)
    expected = r"shape \(2, 2, 2\), expected bool of shape \(28, 24, 6\)"
    with pytest.raises(ValueError, match=expected):
        write(tmp_path / "x.dcm", np.zeros((2, 2, 2), bool), sources, "GTV-1", ALGORITHM)
    assert not (tmp_path / "x.dcm").exists()


@pytest.mark.parametrize("write", [write_seg, write_rtstruct])
@pytest.mark.parametrize("filled", [True, False], ids=["mask", "empty mask"])
def test_dciodvfy_finds_no_error(tmp_path, write, filled):
    if not shutil.which("dciodvfy"):
        pytest.skip("no dciodvfy (Debian package dicom3tools)")
    write_phantom_cohort(tmp_path / "cohort", patients=1, matrix=64, slices=16)
    volume, sources = read_ct(tmp_path / "cohort")
    mask = np.zeros(volume.array.shape, bool)
    mask[20:40, 20:30, 5:9] = filled
    mask[24:26, 24:26, 5:9] = False
    write(tmp_path / "x.dcm", mask, sources, "GTV-1", ALGORITHM)
    done = subprocess.run(["dciodvfy", tmp_path / "x.dcm"], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
    assert MANUFACTURER == pydicom.dcmread(tmp_path / "x.dcm").Manufacturer
