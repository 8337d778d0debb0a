import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as MatplotlibPath

from data_prep import DataError, geometry, rois
from data_prep.patient import read_patient
from data_prep.scan import scan

from .conftest import SIZE, square
from .test_series import ORIENTATIONS


def read_mask(folder, pattern=""):
    patients, *_ = scan(folder)
    data = read_patient(patients[0], rois.parse_rule(pattern))
    return data.volume, data.label > 0, list(data.warnings)


def mask_of(patient, contours, **options):
    patient.write().structures({"GTV-1": contours}, **options)
    return read_mask(patient.folder)[1:]


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_closed_form_in_every_orientation(patient, orientation):
    ring = [(2, square(3.5, 12.5)), (2, square(6.5, 9.5)), (3, square(4.5, 6.5))]
    mask, warnings = mask_of(patient(orientation=orientation), ring)
    truth = np.zeros_like(mask)
    truth[4:13, 4:13, 2] = True
    truth[7:10, 7:10, 2] = False
    truth[5:7, 5:7, 3] = True
    assert (mask == truth).all()
    assert warnings == []


def test_random_polygons_against_matplotlib(patient):
    rng = np.random.default_rng(5)
    contours = [(k, rng.uniform(1, SIZE - 2, (9, 2))) for k in (1, 2, 3, 4) for _ in range(2)]
    mask, _ = mask_of(patient(), contours)
    centres = np.stack(np.meshgrid(*map(np.arange, mask.shape[:2]), indexing="ij"), -1)
    for k in (1, 2, 3, 4):
        truth = np.zeros(mask.shape[0] * mask.shape[1], bool)
        for slice_index, points in contours:
            if slice_index == k:
                ring = MatplotlibPath(np.concatenate([points, points[:1]]), closed=True)
                truth ^= _even_odd(ring.vertices, centres.reshape(-1, 2))
        assert (mask[:, :, k].ravel() == truth).all()


def _even_odd(ring, centres):
    """Sum matplotlib's triangles of a fan: independent of winding, self-crossing included."""
    inside = np.zeros(len(centres), bool)
    for a, b in zip(ring[1:-1], ring[2:], strict=True):
        inside ^= MatplotlibPath([ring[0], a, b, ring[0]], closed=True).contains_points(centres)
    return inside


def test_contours_between_slices_go_to_the_nearest_real_one(patient):
    mask, warnings = mask_of(patient(), [(2.4, square(3.5, 12.5))], image_uids=False)
    assert mask.any(axis=(0, 1)).tolist() == [False, False, True, False, False, False]
    assert warnings == []


def test_contours_of_a_thinner_ct_are_not_xored_onto_one_slice(patient):
    contours = [(k / 2, square(3.5, 12.5)) for k in range(2, 9)]
    mask, warnings = mask_of(patient(), contours, image_uids=False)
    assert mask.sum(axis=(0, 1)).tolist() == [0, 81, 81, 81, 81, 0]
    assert warnings == ["3 contours lie between slices, beside a nearer plane, and were left out."]


def test_contours_beyond_the_ct_are_counted(patient):
    contours = [(4, square(3.5, 12.5)), (8, square(3.5, 12.5)), (-1, square(3.5, 12.5))]
    mask, warnings = mask_of(patient(), contours, image_uids=False)
    assert mask.sum() == 81
    assert warnings == ["2 contours lie outside the CT's range of slices and were left out."]


def test_contour_on_a_slice_that_the_ct_lacks_is_refused(patient):
    made = patient()
    made.structures({"GTV-1": [(4, square(3.5, 12.5)), (5, square(3.5, 12.5))]})
    del made.slices[5]
    made.write()
    with pytest.raises(DataError, match=r"the CT lacks, at 42\.50 mm.*fetch the whole CT"):
        read_mask(made.folder)


def test_points_outside_the_image_and_skipped_slices_are_warned_of(patient):
    contours = [(1, square(-6.5, 4.5)), (4, square(3.5, 12.5))]
    mask, warnings = mask_of(patient(), contours)
    assert mask[:, :, 1].sum() == 25
    assert "3 contour points lie outside the image" in warnings[0]
    assert "2 slices within the ROI have no contour, at 35.00, 37.50 mm" in warnings[1]


def test_stale_image_uids_lose_to_position(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    dataset = pydicom.dcmread(made.folder / "rs.dcm")
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    dataset.save_as(made.folder / "rs.dcm")
    _, mask, warnings = read_mask(made.folder)
    assert mask[:, :, 2].sum() == 81
    assert "1 contours reference another image" in warnings[0]


def test_degenerate_contours_do_not_drop_their_slice(patient):
    tiny = np.array(square(5.1, 5.2))
    contours = [(2, square(3.5, 12.5)), (2, tiny), (2, [(1, 1), (9, 9)]), (2, [(4, 4)])]
    mask, _ = mask_of(patient(), contours)
    assert mask.sum() == 81


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR"])
def test_what_encloses_nothing_is_refused(patient, kind):
    with pytest.raises(DataError, match=f"expected CLOSED_PLANAR contours, found 1 {kind}"):
        mask_of(patient(), [(2, square(3.5, 12.5))], kind=kind)


def test_roi_without_contours_is_refused(patient):
    with pytest.raises(DataError, match="found no contour at all"):
        mask_of(patient(), None)


def test_empty_mask_is_refused(patient):
    with pytest.raises(DataError, match="enclose no pixel centre"):
        mask_of(patient(), [(2, square(5.1, 5.2))])


def test_damaged_contour_data_are_refused(patient):
    made = patient().write()
    dataset = made.structure_set({"GTV-1": [(2, square(3.5, 12.5))]})
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = [1, 2, 3, 4]
    dataset.save_as(made.folder / "rs.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match="4 values that are not x, y, z"):
        read_mask(made.folder)


def test_another_frame_of_reference_is_refused_unless_slices_are_named(patient):
    made = patient().write()
    dataset = made.structure_set({"GTV-1": [(2, square(3.5, 12.5))]})
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"
    dataset.save_as(made.folder / "rs.dcm", enforce_file_format=True)
    _, mask, warnings = read_mask(made.folder)
    assert mask.sum() == 81
    assert "frame of reference is 1.2.3, expected the CT's" in warnings[0]
    del dataset.ROIContourSequence[0].ContourSequence[0].ContourImageSequence
    dataset.save_as(made.folder / "rs.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match="frame of reference is 1.2.3, expected the CT's"):
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


@pytest.mark.parametrize(
    ("dicom", "published", "roi", "voxels"),
    [
        ("ibsi_ct_phantom/dicom", "ibsi_ct_phantom/nifti/mask/mask.nii.gz", "GTV-1", 125_256),
        ("ibsi_STS_001/dicom", "ibsi_STS_001/nifti/CT_mask.nii.gz", "GTV_Mass_CT", 117_145),
    ],
)
def test_ibsi_references_voxel_by_voxel(real_data, dicom, published, roi, voxels):
    volume, mask, _ = read_mask(real_data / dicom, roi)
    reference = nib.load(real_data / published)
    place = geometry.lps_to_ras(volume.affine_lps) @ np.vstack(
        [np.argwhere(mask).T, np.ones(mask.sum())]
    )
    there = (np.linalg.inv(reference.affine) @ place)[:3]
    assert np.abs(there - there.round()).max() < 0.01
    found = {tuple(index) for index in there.round().astype(int).T.tolist()}
    truth = {tuple(index) for index in np.argwhere(reference.get_fdata() > 0).tolist()}
    assert len(found) == mask.sum() == voxels
    assert found == truth


@pytest.mark.parametrize(
    ("roi", "slices", "voxels"),
    [
        ("GTV-1", 21, 54_639),
        ("Lung-Left", 88, None),
        ("Lung-Right", 86, None),
        ("Spinal-Cord", 84, None),
    ],
)
def test_lung1_001(real_data, roi, slices, voxels):
    volume, mask, warnings = read_mask(real_data / "LUNG1-001", roi)
    assert mask.any(axis=(0, 1)).sum() == slices
    assert voxels in (None, mask.sum())
    assert warnings == []


@pytest.mark.parametrize(("number", "voxels"), [(2, 2_256), (3, 4_047), (4, 43_124)])
def test_radiomics_phantom(real_data, number, voxels):
    assert read_mask(real_data / f"radiomics_phantom/pat_{number}")[1].sum() == voxels


@pytest.mark.parametrize("broken", ["invalid_reference_rt.dcm", "non_existent_reference_rt.dcm"])
def test_broken_references_are_refused(real_data, tmp_path, broken):
    for name in ("ct_1.dcm", "ct_2.dcm", broken):
        shutil.copy(real_data / "rtstruct_broken" / name, tmp_path)
    with pytest.raises(DataError, match=r"the CT lacks, at 70\.00 mm.*covers 60\.00 to 65\.00"):
        read_mask(tmp_path, "ROI-1")


def test_the_good_one_beside_the_broken_is_read(real_data, tmp_path):
    for name in ("ct_1.dcm", "ct_2.dcm", "rt.dcm"):
        shutil.copy(real_data / "rtstruct_broken" / name, tmp_path)
    _, mask, warnings = read_mask(tmp_path, "ROI-1")
    assert mask[:, :, 0].sum() == mask.sum() > 0
    assert "each contour names the slice it lies on" in warnings[0]
