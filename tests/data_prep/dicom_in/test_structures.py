import shutil

import pytest

from data_prep.core.errors import DataError
from data_prep.dicom_in.patient import read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import square
from tests.support.masks_of_patients import mask_of, read_mask


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR"])
def test_what_encloses_nothing_is_refused(patient, kind):
    with pytest.raises(DataError, match=f"expected CLOSED_PLANAR contours, found 1 {kind}"):
        mask_of(patient(), [(2, square(3.5, 12.5))], kind=kind)


def test_roi_without_contours_is_refused(patient):
    with pytest.raises(DataError, match="found no contour at all"):
        mask_of(patient(), None)


def test_damaged_contour_data_are_refused(patient):
    made = patient().write()
    dataset = made.structure_set({"GTV-1": [(2, square(3.5, 12.5))]})
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = [1, 2, 3, 4]
    dataset.save_as(made.folder / "rs.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match="4 values that are not x, y, z"):
        read_mask(made.folder)


@pytest.mark.parametrize("name", ["GTV-1", "gtv1", "GTV_1", "gtv 1", "Gtv-1 "])
def test_known_spellings(patient, name):
    made = patient().write()
    made.structures({"Lung": None, name: [(2, square(3.5, 12.5))], "GTV-10": None, "GTV": None})
    assert read_mask(made.folder)[1].sum() == 81


def test_no_match_and_several_matches_list_all_names(patient):
    made = patient().write()
    made.structures({"GTV-1": None, "gtv1": None, "Heart": None})
    for pattern in ("", "liver"):
        with pytest.raises(DataError, match="GTV-1, gtv1, Heart"):
            read_mask(made.folder, pattern)


def test_a_copy_of_a_structure_set_is_no_second_match(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    shutil.copy(made.folder / "rs.dcm", made.folder / "rs2.dcm")
    assert read_mask(made.folder)[1].sum() == 81
    made.structures({"gtv1": [(2, square(3.5, 12.5))]}, name="rs3.dcm")
    with pytest.raises(DataError, match=r"2 ROIs match.*rs3\.dcm"):
        read_mask(made.folder)


@pytest.mark.parametrize("undefined_length", [False, True])
def test_points_of_the_same_name_give_way_to_a_region(patient, undefined_length):
    made = patient().write()
    rois = {"GTV-1": [(2, [(5, 5)])], "gtv 1": [(2, square(3.5, 12.5))], "gtv1": None}
    dataset = made.structure_set(rois)
    dataset.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "POINT"
    for item in dataset.ROIContourSequence[:2]:
        item["ContourSequence"].is_undefined_length = undefined_length
    dataset.save_as(made.folder / "rs.dcm", enforce_file_format=True)
    _, mask, warnings = read_mask(made.folder)
    assert mask.sum() == 81
    assert warnings == ["Ignored ROIs without closed contours: GTV-1, gtv1."]


def test_an_unreadable_structure_set_is_a_warning_beside_a_good_one(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    made.structures({"Heart": [(2, square(3.5, 12.5))]}, name="second.dcm")
    path = made.folder / "second.dcm"
    path.write_bytes(path.read_bytes()[:-100])  # within the last contour
    _, mask, warnings = read_mask(made.folder)
    assert mask.sum() == 81
    assert "second.dcm: damaged DICOM (it ends within a value)" in warnings[0]
    (made.folder / "rs.dcm").unlink()
    with pytest.raises(DataError, match="No RTSTRUCT.*second.dcm: damaged DICOM"):
        read_mask(made.folder)


@pytest.mark.parametrize("undefined_length", [False, True])
def test_no_truncated_structure_set_passes_for_a_whole_one(patient, undefined_length):
    made = patient().write()
    dataset = made.structure_set({"GTV-1": [(k, square(3.5, 12.5)) for k in range(1, 5)]})
    if undefined_length:
        for item in dataset.ROIContourSequence[0].ContourSequence:
            item.is_undefined_length_sequence_item = True
        for holder, name in (
            (dataset, "ROIContourSequence"),
            (dataset.ROIContourSequence[0], "ContourSequence"),
        ):
            holder[name].is_undefined_length = True
    path = made.folder / "rs.dcm"
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    assert read_mask(made.folder)[1].sum() == 4 * 81
    for length in range(600, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            read_mask(made.folder)


def test_a_structure_set_that_went_away_is_named(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    [found], *_ = scan(made.folder)
    (made.folder / "rs.dcm").unlink()
    with pytest.raises(DataError, match="RTSTRUCT .*rs.dcm: .*No such file"):
        read_patient(found)
