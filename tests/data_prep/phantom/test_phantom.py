"""The phantom cohort against its closed form, read with pydicom and with SimpleITK's GDCM only."""

import hashlib
import json

import numpy as np
import pydicom
import pytest
import SimpleITK
from matplotlib.path import Path

from data_prep.core.errors import DataError
from data_prep.phantom import (
    TUMOUR_RADII_MM,
    Ellipsoid,
    draw_patient,
    lung_contact,
    render,
    tumour_mask,
    write_phantom_cohort,
    writing,
)

SIZE = {"patients": 3, "matrix": 64, "slices": 24}
FULL_VOLUME_TOLERANCE = 0.01
"""Slices sum to a volume by the midpoint rule; at 4 mm a radius of 12 mm leaves less than 1 %."""
COARSE_VOLUME_TOLERANCE = 0.05
"""24 slices over 160 mm: 7 mm thick, so the smallest tumours span four."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_phantom_cohort(tmp_path_factory.mktemp("phantom") / "cohort", **SIZE)


@pytest.fixture(scope="module")
def truth(cohort):
    return json.loads((cohort / "truth.json").read_text())


def read_ct(folder):
    """The slices of a series, from foot to head."""
    slices = map(pydicom.dcmread, folder.glob("*.dcm"))
    return sorted(slices, key=lambda ds: ds.ImagePositionPatient[2])


def read_roi(folder, name):
    """Contours of an ROI: [(z, (n, 2) xy)]."""
    ds = pydicom.dcmread(next(folder.glob("*.dcm")))
    number = next(r.ROINumber for r in ds.StructureSetROISequence if r.ROIName == name)
    roi = next(r for r in ds.ROIContourSequence if r.ReferencedROINumber == number)
    points = [np.array(c.ContourData, float).reshape(-1, 3) for c in roi.ContourSequence]
    assert all(np.ptp(p[:, 2]) == 0 for p in points)
    return [(p[0, 2], p[:, :2]) for p in points]


def shoelace(xy):
    """Signed area and centroid of a polygon."""
    (x, y), (u, v) = xy.T, np.roll(xy, -1, axis=0).T
    cross = x * v - u * y
    area = cross.sum() / 2
    return area, np.array([((x + u) * cross).sum(), ((y + v) * cross).sum()]) / (6 * area)


def digests(folder):
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


def patients(count=10, **options):
    return [draw_patient(np.random.default_rng([0, i]), i, **options) for i in range(count)]


def test_files_are_ct_images_in_explicit_little_endian(cohort):
    for ds in read_ct(cohort / "PHANTOM-002" / "CT"):
        assert ds.SOPClassUID == pydicom.uid.CTImageStorage
        assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert (ds.BitsAllocated, ds.RescaleIntercept, ds.PatientPosition) == (16, -1024, "HFS")
        assert ds.SOPInstanceUID.is_valid and ds.pixel_array.shape == (64, 64)


def test_positions_rise_evenly_and_do_not_follow_the_names(cohort, truth):
    for patient in truth["patients"]:
        folder = cohort / patient["id"] / "CT"
        z = [float(ds.ImagePositionPatient[2]) for ds in read_ct(folder)]
        assert len(z) == SIZE["slices"]
        np.testing.assert_allclose(np.diff(z), patient["spacing_mm"][2], atol=1e-6)
        by_name = [pydicom.dcmread(f).ImagePositionPatient[2] for f in sorted(folder.glob("*.dcm"))]
        assert by_name != z and by_name[::-1] != z
        assert [ds.InstanceNumber for ds in read_ct(folder)] == list(range(SIZE["slices"], 0, -1))


def test_rescaled_pixels_are_what_was_rendered(cohort):
    drawn = draw_patient(np.random.default_rng([0, 1]), 1, matrix=64, slices=24)
    hu = render(drawn)
    for k, ds in enumerate(read_ct(cohort / "PHANTOM-002" / "CT")):
        stored = ds.pixel_array.astype(int) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        np.testing.assert_array_equal(stored.T, hu[:, :, k])
    assert drawn.padded and hu[0, 0, 0] == -2000 and ds.PixelPaddingValue == -2000 + 1024


def test_gdcm_reads_the_same_geometry(cohort, truth):
    for patient in truth["patients"]:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(cohort / patient["id"] / "CT")))
        image = reader.Execute()
        assert list(image.GetSize()) == patient["size_voxels"]
        np.testing.assert_allclose(image.GetSpacing(), patient["spacing_mm"], atol=1e-6)
        np.testing.assert_allclose(image.GetOrigin(), patient["origin_lps_mm"], atol=1e-6)
        np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel())


def test_structure_set_names_rois_and_refers_to_the_ct(cohort):
    folder = cohort / "PHANTOM-001"
    ct = {ds.SOPInstanceUID: ds for ds in read_ct(folder / "CT")}
    ds = pydicom.dcmread(next((folder / "RTSTRUCT").glob("*.dcm")))
    names = [roi.ROIName for roi in ds.StructureSetROISequence]
    assert names == ["GTV-1", "Lung-Left", "Lung-Right", "Spinal-Cord"]
    frame = next(iter(ct.values())).FrameOfReferenceUID
    assert ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == frame
    assert len(ds.RTROIObservationsSequence) == len(names)
    for roi in ds.ROIContourSequence:
        for contour in roi.ContourSequence:
            image = ct[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
            assert image.ImagePositionPatient[2] == contour.ContourData[2]


def test_contours_add_up_to_the_closed_form_volume_and_centroid(cohort, truth):
    for patient in truth["patients"]:
        (tumour,) = patient["tumours"]
        a, b, c = tumour["radii_mm"]
        assert tumour["volume_ml"] == pytest.approx(4 / 3 * np.pi * a * b * c / 1000)
        contours = read_roi(cohort / patient["id"] / "RTSTRUCT", "GTV-1")
        areas, centres = zip(*(shoelace(xy) for _, xy in contours), strict=True)
        areas = np.abs(areas)
        volume_ml = areas.sum() * patient["spacing_mm"][2] / 1000
        assert volume_ml == pytest.approx(tumour["volume_ml"], rel=COARSE_VOLUME_TOLERANCE)
        points = np.column_stack([np.array(centres), [z for z, _ in contours]])
        centroid = areas @ points / areas.sum()
        np.testing.assert_allclose(centroid, tumour["centroid_lps_mm"], atol=0.6)


def test_cross_section_of_a_tilted_ellipsoid_lies_on_its_surface():
    s = 0.5**0.5
    tilted = Ellipsoid((10.0, -20.0, 30.0), (12.0, 20.0, 30.0), ((1, 0, 0), (0, s, -s), (0, s, s)))
    for tumour in (tilted, *(drawn.tumour for drawn in patients())):
        z = tumour.centre_lps_mm[2] + 7.5
        xy = tumour.cross_section(z)
        points = np.column_stack([xy, np.full(len(xy), z)]) - tumour.centre_lps_mm
        along_axes = points @ np.array(tumour.rotation) / tumour.radii_mm
        np.testing.assert_allclose(np.linalg.norm(along_axes, axis=1), 1, atol=1e-9)
    assert tilted.cross_section(30 + 25.4) is not None  # half height 25.495
    assert tilted.cross_section(30 + 25.6) is None


def test_polygon_area_is_the_ellipse_to_a_thousandth():
    area, centre = shoelace(Ellipsoid((0, 0, 0), (15.0, 25.0, 20.0), np.eye(3)).cross_section(0))
    assert abs(area) == pytest.approx(np.pi * 15 * 25, rel=1e-3)
    np.testing.assert_allclose(centre, 0, atol=1e-9)


def test_mask_at_voxel_centres_has_the_closed_form_volume():
    for drawn in patients():
        volume_ml = tumour_mask(drawn).sum() * np.prod(drawn.spacing_mm) / 1000
        assert volume_ml == pytest.approx(drawn.tumour.volume_ml, rel=0.02)
        areas = [
            shoelace(xy)[0]
            for z in drawn.axes_lps_mm()[2].ravel()
            if (xy := drawn.tumour.cross_section(z)) is not None
        ]
        volume_ml = abs(sum(areas)) * drawn.spacing_mm[2] / 1000
        assert volume_ml == pytest.approx(drawn.tumour.volume_ml, rel=FULL_VOLUME_TOLERANCE)


def test_tumours_are_dense_lie_in_the_body_and_border_on_lung():
    for drawn in patients():
        contact = lung_contact(drawn)
        assert contact >= 0.5
        touching = drawn.patient_id in {"PHANTOM-003", "PHANTOM-006", "PHANTOM-009"}
        assert (contact < 0.93) == touching
        low, high = TUMOUR_RADII_MM
        assert all(low <= radius <= high for radius in drawn.tumour.radii_mm)
    for drawn in patients(4):
        hu, mask = render(drawn), tumour_mask(drawn)
        level = drawn.tumour.level(drawn.axes_lps_mm())
        assert 15 < hu[level < 0.6].mean() < 70
        assert hu[mask].mean() > -250
        near = hu[(level > 1.8) & (level < 2.6)]
        assert (near < -600).mean() > 0.3
        assert (near < -1000).mean() < 0.01  # no air outside the body


def test_lung_contours_enclose_lung(cohort):
    ct = {float(ds.ImagePositionPatient[2]): ds for ds in read_ct(cohort / "PHANTOM-001" / "CT")}
    for name, side in (("Lung-Left", 1), ("Lung-Right", -1)):
        contours = read_roi(cohort / "PHANTOM-001" / "RTSTRUCT", name)
        assert len(contours) > SIZE["slices"] / 2
        body_x = float(
            np.mean(
                [ds.ImagePositionPatient[0] + 63 / 2 * ds.PixelSpacing[1] for ds in ct.values()]
            )
        )
        for z, xy in contours:
            ds, (area, centre) = ct[z], shoelace(xy)
            corner, pixel_mm = np.array(ds.ImagePositionPatient[:2], float), ds.PixelSpacing[0]
            grid = np.stack(np.meshgrid(np.arange(64), np.arange(64)), axis=-1) * pixel_mm + corner
            inside = Path(xy).contains_points(grid.reshape(-1, 2)).reshape(64, 64)
            hu = ds.pixel_array[inside] + int(ds.RescaleIntercept)
            assert np.sign(centre[0] - body_x) == side
            assert abs(area) < 300 or np.median(hu) < -600


def test_same_seed_same_bytes_and_patients_do_not_depend_on_their_number(cohort, tmp_path):
    again = write_phantom_cohort(tmp_path / "again", **SIZE)
    assert digests(again) == digests(cohort)
    fewer = digests(
        write_phantom_cohort(tmp_path / "fewer", **{**SIZE, "patients": 1}) / "PHANTOM-001"
    )
    assert fewer == digests(cohort / "PHANTOM-001")


def test_seeds_differ_in_tumours_and_in_every_uid(cohort, truth, tmp_path):
    other = write_phantom_cohort(tmp_path / "other", **SIZE, seed=1)
    tumours = json.loads((other / "truth.json").read_text())["patients"][0]["tumours"]
    assert tumours != truth["patients"][0]["tumours"]
    uids = [
        [ds.SOPInstanceUID for ds in map(pydicom.dcmread, root.rglob("*.dcm"))]
        for root in (other, cohort)
    ]
    assert len(set(uids[0] + uids[1])) == len(uids[0] + uids[1]) == 2 * 3 * (SIZE["slices"] + 1)


def test_interrupted_run_is_redone_and_a_larger_cohort_replaced(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    size = {**SIZE, "patients": 2, "slices": 16, "matrix": 32}
    write_phantom_cohort(tmp_path, **size)
    whole = digests(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing, "_write_structures", interrupt)
        write_phantom_cohort(tmp_path, **size)
    assert json.loads((tmp_path / "truth.json").read_text())["patients"] == []
    write_phantom_cohort(tmp_path, **size)
    assert digests(tmp_path) == whole
    write_phantom_cohort(tmp_path, **{**size, "patients": 1})
    assert not (tmp_path / "PHANTOM-002").exists()


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="nothing was written"):
        write_phantom_cohort(tmp_path, **SIZE)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("patients", 0),
        ("patients", 1000),
        ("patients", True),
        ("matrix", 8),
        ("slices", 2),
        ("slices", 24.5),
        ("seed", -1),
    ],
)
def test_absurd_parameters_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from"):
        write_phantom_cohort(tmp_path / "never", **{**SIZE, name: value})
    assert not (tmp_path / "never").exists()
