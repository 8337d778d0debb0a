import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as MatplotlibPath

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_in.patient import read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import SIZE, square
from tests.support.masks_of_patients import mask_of, read_mask
from tests.support.orientations import ORIENTATIONS


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
    assert warnings == ["Left out 3 contours between slices, beside a nearer plane."]


def test_contours_beyond_the_ct_are_counted(patient):
    contours = [(4, square(3.5, 12.5)), (8, square(3.5, 12.5)), (-1, square(3.5, 12.5))]
    mask, warnings = mask_of(patient(), contours, image_uids=False)
    assert mask.sum() == 81
    assert warnings == ["Left out 2 contours outside the CT's range of slices."]


def test_contour_on_a_slice_that_the_ct_lacks_is_refused(patient):
    made = patient()
    made.structures({"GTV-1": [(4, square(3.5, 12.5)), (5, square(3.5, 12.5))]})
    del made.slices[5]
    made.write()
    with pytest.raises(DataError, match=r"the CT lacks, at 42\.50 mm.*fetch the whole CT"):
        read_mask(made.folder)


def test_stale_names_beyond_the_ct_are_no_sign_of_missing_slices(patient):
    made = patient()
    other = patient("older copy", slices=8)
    other.frame_uid = made.frame_uid
    dataset = other.structure_set({"GTV-1": [(k, square(3.5, 12.5)) for k in (4, 5, 6)]})
    dataset.PatientID = made.patient_id
    dataset.save_as(made.write().folder / "rs.dcm", enforce_file_format=True)
    _, mask, warnings = read_mask(made.folder)
    assert mask.sum(axis=(0, 1)).tolist() == [0, 0, 0, 0, 81, 81]
    assert "Left out 1 contour outside the CT's range of slices." in warnings[1]
    assert "Placed 2 contours by position" in warnings[0]


def test_points_outside_the_image_and_skipped_slices_are_warned_of(patient):
    contours = [(1, square(-6.5, 4.5)), (4, square(3.5, 12.5))]
    mask, warnings = mask_of(patient(), contours)
    assert mask[:, :, 1].sum() == 25
    assert "3 contour points outside the image" in warnings[0]
    assert "2 slices within the ROI without a contour, at 35.00, 37.50 mm" in warnings[1]


def test_stale_image_uids_lose_to_position(patient):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    dataset = pydicom.dcmread(made.folder / "rs.dcm")
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    dataset.save_as(made.folder / "rs.dcm")
    _, mask, warnings = read_mask(made.folder)
    assert mask[:, :, 2].sum() == 81
    assert "Placed 1 contour by position" in warnings[0]


def test_degenerate_contours_do_not_drop_their_slice(patient):
    tiny = np.array(square(5.1, 5.2))
    contours = [(2, square(3.5, 12.5)), (2, tiny), (2, [(1, 1), (9, 9)]), (2, [(4, 4)])]
    mask, _ = mask_of(patient(), contours)
    assert mask.sum() == 81


def test_empty_mask_is_refused(patient):
    with pytest.raises(DataError, match="no pixel centre of the CT within 1 contour"):
        mask_of(patient(), [(2, square(5.1, 5.2))])


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


def ellipse(a, b, turn, centre, points=240):
    """Return a polygon of the ellipse's area and centre, as a planning system would draw it."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    grown = np.sqrt(2 * np.pi / points / np.sin(2 * np.pi / points))  # a chord is within its arc
    xy = grown * np.column_stack([a * np.cos(angle), b * np.sin(angle)])
    c, s = np.cos(turn), np.sin(turn)
    return xy @ np.array([[c, s], [-s, c]]) + centre


def ellipsoid(radii_mm, turn, centre_mm):
    """Return a function from z to the contours there, and the volume in mm3.

    The cross-section of x'Ax = 1 at z: with A in blocks, (x - m)'P(x - m) = 1 - z2 (d - q'P^-1 q).
    """
    matrix = turn @ np.diag(1 / np.square(radii_mm)) @ turn.T
    p, q, d = matrix[:2, :2], matrix[:2, 2], matrix[2, 2]
    values, vectors = np.linalg.eigh(p)

    def cross_section(z):
        z = z - centre_mm[2]
        level = 1 - z**2 * (d - q @ np.linalg.solve(p, q))
        if level <= 0:
            return []
        middle = np.array(centre_mm[:2]) - z * np.linalg.solve(p, q)
        axes = np.sqrt(level / values)
        return [ellipse(*axes, np.arctan2(vectors[1, 0], vectors[0, 0]), middle)]

    return cross_section, 4 / 3 * np.pi * np.prod(radii_mm)


def torus(large_mm, small_mm, centre_mm):
    """Return the same of a ring about z: two circles, one within the other."""

    def cross_section(z):
        half = np.sqrt(max(0, small_mm**2 - (z - centre_mm[2]) ** 2))
        circles = [large_mm + half, large_mm - half] if half else []
        return [ellipse(r, r, 0, centre_mm[:2]) for r in circles]

    return cross_section, 2 * np.pi**2 * large_mm * small_mm**2


def cube(low_mm, side_mm):
    """Return the same of a cube."""

    def cross_section(z):
        inside = low_mm[2] < z < low_mm[2] + side_mm
        return [np.array(square(0, side_mm)) + low_mm[:2]] if inside else []

    return cross_section, side_mm**3


def turn(x, y):
    """Return a rotation by degrees about x, then about y."""
    a, b = np.radians([x, y])
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    return np.array(about_y) @ about_x


CENTRE_MM = np.array([31.3, 28.6, 40.2])
SOLIDS = {
    "sphere": (ellipsoid((18, 18, 18), np.eye(3), CENTRE_MM), CENTRE_MM),
    "tilted ellipsoid": (ellipsoid((22, 9, 14), turn(25, -40), CENTRE_MM), CENTRE_MM),
    "torus": (torus(17, 7, CENTRE_MM), CENTRE_MM),
    "cube on voxel edges": (cube(np.array([10.5, 12.5, 20.5]), 21), np.array([21, 23, 31.0])),
}
GRIDS = {"1 mm": ((1, 1), 1), "1 x 1 x 3 mm": ((1, 1), 3), "0.7 x 1 x 2 mm": ((1, 0.7), 2)}


def area(polygons):
    """Return the area of the first polygon less that of the others, by the shoelace formula."""
    areas = [
        abs(np.sum(xy[:, 0] * np.roll(xy[:, 1], 1) - xy[:, 1] * np.roll(xy[:, 0], 1))) / 2
        for xy in polygons
    ]
    return areas[0] - sum(areas[1:]) if areas else 0


@pytest.mark.parametrize(
    ("solid", "grid"),  # the cube's sides are voxel edges of one grid only
    [(s, g) for s in SOLIDS for g in GRIDS if g == "1 mm" or not s.startswith("cube")],
)
def test_solids_in_closed_form(patient, solid, grid):
    (cross_section, volume_mm3), centre_mm = SOLIDS[solid]
    spacing_mm, step_mm = GRIDS[grid]
    made = patient(
        slices=int(80 / step_mm),
        shape=(64, int(70 / spacing_mm[1])),
        origin=(0, 0, 0),
        spacing_mm=spacing_mm,
        step_mm=step_mm,
    ).write()
    contours = [
        (k, polygon / spacing_mm[::-1])
        for k in range(len(made.slices))
        for polygon in cross_section(k * step_mm)
    ]
    made.structures({"GTV-1": contours})
    _, mask, warnings = read_mask(made.folder)
    affine = made.affine_lps()
    found_mm = affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]
    if step_mm > 1:  # slices so thick have another volume and height than the solid
        z_mm = step_mm * np.arange(len(made.slices))
        areas = np.array([area(cross_section(z)) for z in z_mm])
        volume_mm3, centre_mm = areas.sum() * step_mm, [*centre_mm[:2], z_mm @ areas / areas.sum()]
    assert mask.sum() * np.prod(spacing_mm) * step_mm == pytest.approx(volume_mm3, rel=0.01)
    assert np.linalg.norm(found_mm - centre_mm) < 0.1
    assert warnings == []


def test_a_ct_of_which_slices_are_missing_keeps_every_contour_on_its_slice(patient):
    cross_section, volume_mm3 = ellipsoid((18, 18, 18), np.eye(3), CENTRE_MM)
    made = patient(slices=80, shape=(64, 64), origin=(0, 0, 0), spacing_mm=(1, 1), step_mm=1)
    present = [k for k in range(80) if k not in (3, 27, 28, 35, 44, 45, 52, 61)]
    contours = [(k, polygon) for k in present for polygon in cross_section(k)]
    made.structures({"GTV-1": contours})
    made.slices = [made.slices[k] for k in present]
    volume, mask, _ = read_mask(made.write().folder)
    whole = [fill(cross_section(k)) for k in range(80)]
    assert all((mask[:, :, k] == whole[k]).all() for k in present)
    assert mask.sum() == pytest.approx(volume_mm3, rel=0.01)
    assert np.abs(np.argwhere(mask).mean(axis=0) - CENTRE_MM).max() < 0.1


def fill(polygons):
    """Return what matplotlib fills of one convex polygon, or nothing."""
    centres = np.stack(np.meshgrid(*[np.arange(64)] * 2, indexing="ij"), -1).reshape(-1, 2)
    inside = [MatplotlibPath(points, closed=False).contains_points(centres) for points in polygons]
    return np.any(inside or [np.zeros(64 * 64, bool)], axis=0).reshape(64, 64)


def test_contours_drawn_where_a_slice_is_missing_are_used_and_counted(patient):
    made = patient(slices=8)
    made.structures({"GTV-1": [(k, square(3.5, 12.5)) for k in (2, 3, 4)]})
    del made.slices[3]
    volume, mask, warnings = read_mask(made.write().folder)
    assert mask.sum(axis=(0, 1)).tolist() == [0, 0, 81, 81, 81, 0, 0, 0]
    assert warnings[0] == "Drew 1 contour on an interpolated slice, where the CT lacks a real one."


def test_classes_of_a_rule_in_one_label(patient):
    made = patient().write()
    made.structures(
        {
            "Lung-Left": [(2, square(1.5, 9.5))],
            "Lung-Right": [(2, square(11.5, 19.5))],
            "GTV-1": [(2, square(7.5, 13.5))],
            "Cord": [(2, square(20.5, 22.5))],
        }
    )
    rule = rois.RoiRule(
        (
            rois.RoiClass(2, patterns=("lung.*",), policy="union"),
            rois.RoiClass(1, names=("GTV-1",)),
        )
    )
    patients, *_ = scan(made.folder)
    data = read_patient(patients[0], rule)
    truth = np.zeros_like(data.label)
    truth[2:10, 2:10, 2] = truth[12:20, 12:20, 2] = 2
    truth[8:14, 8:14, 2] = 1
    assert (data.label == truth).all()
    assert data.others == ("Cord",)
    assert [(roi.value, roi.name, roi.voxels) for roi in data.chosen] == [
        (2, "Lung-Left", 64),
        (2, "Lung-Right", 64),
        (1, "GTV-1", 36),
    ]
    assert data.warnings == ("Class 1 (GTV-1) took 8 voxels from earlier classes.",)


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
    assert "each contour references the slice it lies on" in warnings[0]


def test_lung1_001_with_slices_missing_keeps_every_contour_in_its_place(real_data, tmp_path):
    """As LUNG1-014 is: ITK would average the step and put contours on wrong slices."""
    volume, mask, _ = read_mask(real_data / "LUNG1-001")
    (tmp_path / "rs.dcm").symlink_to(real_data / "LUNG1-001/mask_rtstruct/1-1.dcm")
    paths = sorted((real_data / "LUNG1-001/image").iterdir())
    gone = np.random.default_rng(14).choice(np.arange(1, 133), 16, replace=False)
    for k in set(range(134)) - set(gone.tolist()):
        (tmp_path / paths[k].name).symlink_to(paths[k])
    holed, found, warnings = read_mask(tmp_path)
    real = ~holed.interpolated
    assert holed.interpolated.sum() == 16
    np.testing.assert_allclose(holed.affine_lps, volume.affine_lps, atol=1e-6)
    assert (holed.array[:, :, real] == volume.array[:, :, real]).all()
    assert (found == mask).all()  # contours drawn where a slice is missing are used there
    assert any("16 slices missing" in warning for warning in warnings)
