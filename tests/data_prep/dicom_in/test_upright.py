import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from data_prep.core.errors import DataError
from data_prep.dicom_in import rois, upright
from data_prep.dicom_in.patient import ReadOptions, read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import SPACING_MM, STEP_MM, square
from tests.support.orientations import ORIENTATIONS, read

OBLIQUE = ReadOptions(allow_unlabelled=True, resample_oblique=True)


def turned(degrees, axis):
    """Return row and column direction of axial slices turned about a patient axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    matrix = np.eye(3)
    others = [k for k in range(3) if k != axis]
    matrix[np.ix_(others, others)] = turn
    return tuple(np.r_[matrix[:, 0], matrix[:, 1]].round(9))


def tilted(patient, degrees, **changes):
    """Return a patient whose slices shift along y, as under a tilted gantry."""
    made = patient(orientation=turned(degrees, 0), **changes)
    for k, ct_slice in enumerate(made.slices):
        shift = [0, 0, k * STEP_MM / np.cos(np.radians(degrees))]
        ct_slice.ImagePositionPatient = (made.origin + shift).tolist()
    return made


def read_upright(made):
    patients, *_ = scan(made.folder)
    return read_patient(patients[0], rois.DEFAULT_RULE, OBLIQUE)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_the_upright_grid_of_an_upright_volume_is_its_own(patient, orientation):
    affine = patient(orientation=orientation).affine_lps()
    shape, same = upright.upright_grid((9, 8, 7), affine)
    assert upright.is_upright(affine)
    assert shape == (9, 8, 7)
    np.testing.assert_allclose(same, affine, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [1, 12, -30, 80])
def test_the_upright_grid_holds_all_voxels(patient, axis, degrees):
    affine = patient(orientation=turned(degrees, axis)).affine_lps()
    shape, grid = upright.upright_grid((9, 8, 7), affine)
    assert not upright.is_upright(affine)
    assert upright.is_upright(grid)
    corners = np.array(np.meshgrid((0, 8), (0, 7), (0, 6), [1])).reshape(4, -1)
    places = (np.linalg.inv(grid) @ affine @ corners)[:3]
    assert places.min() > -1e-6
    assert (places.max(axis=1) <= np.array(shape) - 1 + 1e-6).all()
    assert (places.max(axis=1) > np.array(shape) - 2).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda patient: patient(orientation=turned(7, 0)),
        lambda patient: patient(orientation=turned(-20, 2)),
        lambda patient: tilted(patient, 12),
    ],
)
def test_without_the_option_it_is_refused_with_it_every_place_keeps_its_value(patient, make):
    made = make(patient).write()
    with pytest.raises(DataError, match="Give --resample-oblique"):
        read(made)
    data = read_upright(made)
    native = made.affine_lps()
    native[:3, 2] = np.subtract(
        *[np.array(made.slices[k].ImagePositionPatient, float) for k in (1, 0)]
    )
    places = np.linalg.inv(native) @ data.volume.affine_lps
    index = np.indices(data.volume.array.shape).reshape(3, -1)
    there = places[:3, :3] @ index + places[:3, 3:]
    truth = map_coordinates(made.hu.transpose(2, 1, 0).astype(float), there, order=1, cval=-1024)
    inside = ((there > 0.01) & (there.T < np.array(made.hu.T.shape) - 1.01).T).all(axis=0)
    assert inside.sum() > 500
    assert np.abs(data.volume.array.ravel() - truth)[inside].max() <= 1
    outside = ((there < -1) | (there.T > np.array(made.hu.T.shape)).T).any(axis=0)
    assert (data.volume.array.ravel()[outside] == -1024).all()
    assert data.volume.interpolated.all()
    assert "Oblique or tilted" in data.warnings[-1]


def test_a_box_drawn_on_tilted_slices_keeps_volume_and_centre(patient):
    made = tilted(patient, 9, slices=20).write()
    contours = made.structure_set({"GTV-1": [(0, square(3.5, 19.5))] * 11}, image_uids=False)
    for k, contour in enumerate(contours.ROIContourSequence[0].ContourSequence, 4):
        points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
        shift = np.array(made.slices[k].ImagePositionPatient, float) - made.origin
        contour.ContourData = (points + shift).ravel().tolist()
    contours.save_as(made.folder / "rs.dcm", enforce_file_format=True)
    data = read_upright(made)
    shear = np.array([made.slices[k].ImagePositionPatient for k in (4, 14)], float)
    middle = made.affine_lps()[:3, :3] @ [11.5, 11.5, 0] + shear.mean(axis=0)
    truth_mm3 = 16 * SPACING_MM[1] * 16 * SPACING_MM[0] * 11 * STEP_MM
    edges = data.volume.affine_lps
    volume_mm3 = data.label.sum() * abs(np.linalg.det(edges[:3, :3]))
    centre = edges[:3, :3] @ np.argwhere(data.label).mean(0) + edges[:3, 3]
    assert volume_mm3 == pytest.approx(truth_mm3, rel=0.02)
    assert np.linalg.norm(centre - middle) < 0.1


def test_a_crooked_stack_is_refused_all_the_same(patient):
    made = patient()
    made.slices[3].ImagePositionPatient = [-8, -20, 37.5]
    with pytest.raises(DataError, match="not along a line"):
        read_upright(made.write())
