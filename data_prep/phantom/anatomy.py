"""A patient in closed form: shapes, parameters, and their random choice.

LPS mm is DICOM's patient frame (x to the left, y to the back, z to the head). The *body* frame has
the same directions, its origin in the middle of the chest, and is divided by the patient's size, so
one table of anatomy serves all patients. Arrays are ``(x, y, z)`` with every index rising in LPS.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Axes = tuple[np.ndarray, ...]
"""Coordinates along x, y and z: three arrays that broadcast to ``(x, y, z)``."""

Point = tuple[float, float, float]

Shape = tuple[Point, Point]
"""Centre and radii of an ellipsoid, body mm."""

Vessel = tuple[Point, Point, float, float]
"""A tube: start, end, radius at the start, radius at the end; body mm."""

TUMOUR_RADII_MM = (15.0, 40.0)
"""Smallest and largest semi-axis of a tumour."""

CONTOUR_POINTS = 144
"""An inscribed polygon has sin(2 pi / n) n / 2 pi of its ellipse's area: 0.9997 for 144 points."""

INF = np.inf
# Body frame, mm: (centre), (radii); an infinite radius makes a cylinder.
CAVITY_MM = (119.0, 79.0)
BODY_MM = (147.0, 104.0)
_HEART: Shape = ((24, -33, -56), (56, 41, 58))
_ARCH: Shape = ((12, -4, 38), (25, 36, 15))
_AORTA: Shape = ((22, 27, 0), (13, 13, INF))
_CAVA: Shape = ((-19, -22, 0), (11, 12, INF))
_SPINE: Shape = ((0, 50, 0), (25, 25, INF))
_COLUMN: Shape = ((0, -8, 0), (16, 110, INF))
_HILA: tuple[Shape, ...] = (((-31, 3, -4), (17, 15, 20)), ((33, 3, 0), (16, 15, 19)))
DOMES: tuple[Shape, ...] = (((-62, 2, -142), (92, 96, 78)), ((66, 4, -152), (86, 92, 76)))
_MEDIASTINUM: tuple[Shape, ...] = (_COLUMN, _HEART, _ARCH, _AORTA, _CAVA, _SPINE, *_HILA)
BLOOD: tuple[Shape, ...] = (_HEART, _ARCH, _AORTA, _CAVA, ((-2, -16, 2), (25, 14, 16)), *_HILA)
VERTEBRA: tuple[Shape, ...] = (  # body, arch, spinous process
    ((0, 40, 0), (18, 14, INF)),
    ((0, 69, 0), (17, 6, INF)),
    ((0, 82, 0), (3.5, 14, INF)),
)
SCAPULAE: tuple[tuple[Point, Point, float], ...] = (
    ((-92, 62, 62), (34, 4.5, 60), 0.62),
    ((92, 62, 62), (34, 4.5, 60), -0.62),
)
CANAL: Shape = ((0, 60.5, 0), (9, 7.5, INF))
CORD_RADIUS_MM = 5.0
AIRWAYS: tuple[
    tuple[Point, Point, float], ...
] = (  # start, end, radius: the trachea and the main bronchi
    ((0, -2, 130), (0, 4, 18), 9.0),
    ((0, 4, 18), (-33, 6, -6), 6.5),
    ((0, 4, 18), (36, 8, -8), 5.5),
)
_VESSEL_RADII_MM = (5.0, 3.6, 2.7, 2.0, 1.4, 0.7)  # at each branching, from the hilum outwards
RIB_PITCH_MM, RIB_FALL_MM, RIB_RADII_MM = 25.0, 62.0, (3.6, 6.0)


@dataclass(frozen=True)
class Ellipsoid:
    """A solid ellipsoid in patient mm.

    :param centre_lps_mm: centre.
    :param radii_mm: three semi-axes.
    :param rotation: 3x3, its columns are the directions of the semi-axes in LPS.
    """

    centre_lps_mm: Point
    radii_mm: Point
    rotation: tuple[Point, Point, Point]

    @property
    def volume_ml(self) -> float:
        """Volume, ``4/3 pi a b c``, in mL."""
        return float(4 / 3 * np.pi * np.prod(self.radii_mm) / 1000)

    @property
    def quadric(self) -> np.ndarray:
        """Matrix M of ``(p - centre)' M (p - centre) = 1``, ``(3, 3)``, in 1/mm2."""
        axes = np.asarray(self.rotation, float)
        return axes @ np.diag(np.asarray(self.radii_mm, float) ** -2) @ axes.T

    def level(self, axes_lps_mm: Axes) -> np.ndarray:
        """Return ``(p - centre)' M (p - centre)`` at points that broadcast: below 1 inside."""
        u = [a - c for a, c in zip(axes_lps_mm, self.centre_lps_mm, strict=True)]
        level: np.ndarray = sum(
            self.quadric[i, j] * u[i] * u[j] for i in range(3) for j in range(3)
        )
        return level

    def cross_section(self, z_mm: float, points: int = CONTOUR_POINTS) -> np.ndarray | None:
        """Return the ellipse in which an axial plane cuts the ellipsoid.

        :param z_mm: LPS z of the plane.
        :return: ``(points, 2)`` x and y in mm on the ellipse, or None where the plane misses it.
        """
        m, dz = self.quadric, z_mm - self.centre_lps_mm[2]
        shift = -np.linalg.solve(m[:2, :2], m[:2, 2]) * dz
        level = 1 - dz**2 * m[2, 2] + shift @ m[:2, :2] @ shift
        if level <= 1e-4:  # a miss, or a sliver of a hundredth of the radii
            return None
        angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)])
        ellipse = np.sqrt(level) * np.linalg.solve(np.linalg.cholesky(m[:2, :2]).T, circle)
        return ellipse.T + shift + self.centre_lps_mm[:2]


_NO_TUMOUR = Ellipsoid((0, 0, 0), (0, 0, 0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
"""Placeholder while the place of the tumour is searched."""


@dataclass(frozen=True)
class Phantom:
    """All parameters of a patient; :func:`render` only adds noise, from ``seed``.

    :param uid_seed: what the DICOM UIDs are derived from, together with the patient's id.
    :param matrix: voxels along x and y.
    :param origin_lps_mm: centre of voxel (0, 0, 0).
    :param body_lps_mm: origin of the body frame.
    :param size: scale of the body frame along each axis.
    :param padded: whether pixels outside the scanner's circle are padding.
    """

    patient_id: str
    seed: int
    uid_seed: str
    matrix: int
    slices: int
    spacing_mm: Point
    origin_lps_mm: Point
    body_lps_mm: Point
    size: Point
    fat_mm: float
    rib_phase_mm: float
    lung_hu: float
    blood_hu: float
    tumour_hu: float
    noise_hu: float
    padded: bool
    vessels: tuple[Vessel, ...]
    tumour: Ellipsoid

    def axes_lps_mm(self) -> Axes:
        """Return the voxel centres, as three arrays that broadcast to ``(x, y, z)``."""
        counts = (self.matrix, self.matrix, self.slices)
        steps = zip(self.origin_lps_mm, self.spacing_mm, counts, strict=True)
        return np.ix_(*[origin + spacing * np.arange(n) for origin, spacing, n in steps])

    def to_body(self, axes_lps_mm: Iterable[npt.ArrayLike]) -> Axes:
        """Convert LPS mm to the body frame, axis by axis, float32."""
        triples = zip(axes_lps_mm, self.body_lps_mm, self.size, strict=True)
        return tuple(((np.asarray(a) - o) / s).astype(np.float32) for a, o, s in triples)


# --- anatomy: signed distances in body mm, negative inside; x, y, z broadcast ---


def ellipsoid_distance(
    axes: Sequence[np.ndarray],
    centre: Sequence[float],
    radii: Sequence[float | np.ndarray],
    power: float = 2,
) -> np.ndarray:
    """Return the distance along the ray from the centre to the surface of a (super)ellipsoid.

    :param axes: coordinates that broadcast, two or three axes.
    :param radii: one for each axis; infinite along the axis of a cylinder.
    :param power: 2 for an ellipsoid.
    """
    offsets = [a - np.float32(c) for a, c in zip(axes, centre, strict=True)]
    pairs = [(o, r) for o, r in zip(offsets, radii, strict=True) if np.isfinite(np.max(r))]
    if power == 2:
        q = np.sqrt(sum((o / np.asarray(r, np.float32)) ** 2 for o, r in pairs))
    else:
        q = sum((np.abs(o) / r) ** np.float32(power) for o, r in pairs) ** np.float32(1 / power)
    return np.sqrt(sum(o * o for o, _ in pairs)) * (1 - 1 / np.maximum(q, np.float32(1e-3)))


def _smooth_max(a: np.ndarray, b: np.ndarray, blend_mm: float = 8.0) -> np.ndarray:
    """Return the intersection of two bodies, with a rounded edge.

    The union is ``-_smooth_max(-a, -b)``.
    """
    h = np.clip(0.5 + (a - b) / np.float32(2 * blend_mm), 0, 1)
    return b + (a - b) * h + np.float32(blend_mm) * h * (1 - h)


def cavity_distance(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the distance to the rib cage's inside, a superellipse that narrows to the apex."""
    taper = np.sqrt(np.clip(1 - ((axes[2] + 25) / 128) ** 2, 0.05, 1)).astype(np.float32)
    return ellipsoid_distance(axes, (0, -1, 0), (*(mm * taper for mm in CAVITY_MM), INF), power=2.3)


def lung_distance(axes: Sequence[np.ndarray], cavity: np.ndarray | None = None) -> np.ndarray:
    """Return the distance to both lungs: the cavity without mediastinum and diaphragm.

    :param cavity: :func:`cavity_distance` at the same points, if it is known.
    """
    parts = [ellipsoid_distance(axes, centre, radii) for centre, radii in (*_MEDIASTINUM, *DOMES)]
    solid = parts[0]
    for part in parts[1:]:
        solid = -_smooth_max(-solid, -part)
    return _smooth_max(cavity_distance(axes) if cavity is None else cavity, -solid)


def tube_distance(
    axes: Sequence[np.ndarray],
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    start_radius: float,
    end_radius: float,
) -> np.ndarray:
    """Return the distance to a tapering tube with round ends."""
    first, last = np.asarray(start, np.float32), np.asarray(end, np.float32)
    dx, dy, dz = last - first
    x, y, z = (axis - coordinate for axis, coordinate in zip(axes, first, strict=True))
    t = np.clip((x * dx + y * dy + z * dz) / (dx * dx + dy * dy + dz * dz), 0, 1)
    gap = np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2 + (z - t * dz) ** 2)
    return gap - (start_radius + t * np.float32(end_radius - start_radius))


# --- random choice of the parameters ---


def _draw_vessels(rng: np.random.Generator) -> tuple[Vessel, ...]:
    """Draw two trees of tubes, from each hilum to the periphery, in body mm."""
    vessels: list[Vessel] = []

    def grow(start: np.ndarray, direction: np.ndarray, generation: int) -> None:
        end = start + (30, 24, 19, 16, 13)[generation] * rng.uniform(0.8, 1.25) * direction
        radii = _VESSEL_RADII_MM[generation], _VESSEL_RADII_MM[generation + 1]
        vessels.append((_point(start), _point(end), *radii))
        for _ in range(2 if generation < 4 else 0):
            bent = direction + rng.normal(0, 0.55, 3)
            grow(end, bent / np.linalg.norm(bent), generation + 1)

    for side in (-1, 1):
        for angle in np.arange(10) * np.pi / 5 + rng.uniform(0, 0.6):
            direction = np.array([side * 0.75, 0.9 * np.cos(angle), 1.1 * np.sin(angle)])
            direction += rng.normal(0, 0.15, 3)
            grow(np.array([side * 34.0, 4, -3]), direction / np.linalg.norm(direction), 0)
    return tuple(vessels)


def _point(values: np.ndarray) -> Point:
    x, y, z = values.tolist()
    return x, y, z


def _sphere_points(count: int = 256) -> np.ndarray:
    """Return points spread evenly over the unit sphere, ``(3, count)`` (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    z, azimuth = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    return np.stack([np.cos(azimuth) * np.sqrt(1 - z**2), np.sin(azimuth) * np.sqrt(1 - z**2), z])


def _surface(phantom: Phantom, tumour: Ellipsoid) -> Axes:
    """Return points on the surface of a tumour, in the body frame."""
    surface = np.asarray(tumour.rotation) @ (np.array(tumour.radii_mm)[:, None] * _sphere_points())
    return phantom.to_body(surface + np.array(tumour.centre_lps_mm)[:, None])


def lung_contact(phantom: Phantom, tumour: Ellipsoid | None = None) -> float:
    """Return the share of a tumour's surface that borders on lung, 0 to 1.

    :param tumour: the phantom's own by default.
    """
    return float((lung_distance(_surface(phantom, tumour or phantom.tumour)) < 0).mean())


def _is_seated(phantom: Phantom, tumour: Ellipsoid, seat: str) -> bool:
    """Tell whether a tumour is in its place: in the "lung", or on "wall" or "mediastinum"."""
    low, high = (0.93, 1.0) if seat == "lung" else (0.6, 0.88)
    if not low <= lung_contact(phantom, tumour) <= high:
        return False
    in_wall = float((cavity_distance(_surface(phantom, tumour)) > 0).mean())
    return {"lung": True, "wall": in_wall > 0.15, "mediastinum": in_wall < 0.02}[seat]


def _draw_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation about z after a tilt, ``(3, 3)``."""
    turn, tilt = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7)
    about_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    return np.array(about_z) @ np.array(about_x)


def _draw_tumour(
    rng: np.random.Generator, phantom: Phantom, seat: str, tries: int = 4000
) -> Ellipsoid:
    """Draw an ellipsoid in a lung: free, or on the chest wall or mediastinum.

    :param phantom: the patient; the tumour that it has is ignored.
    :param seat: "lung", "wall" or "mediastinum".
    """
    z_first, z_last = (phantom.axes_lps_mm()[2].ravel()[i] for i in (0, -1))
    for _ in range(tries):
        radii = np.clip(rng.uniform(21, 34) * rng.uniform(0.75, 1.25, 3), *TUMOUR_RADII_MM)
        rotation = _draw_rotation(rng)
        place = rng.uniform([35, -60, -75], [110, 55, 75]) * [rng.choice([-1, 1]), 1, 1]
        centre = np.round(place * phantom.size + phantom.body_lps_mm, 3)
        reach = np.sqrt(np.sum((rotation * radii) ** 2, axis=1))  # half the bounding box
        tumour = Ellipsoid(
            _point(centre),
            _point(np.round(radii, 3)),
            (_point(rotation[0]), _point(rotation[1]), _point(rotation[2])),
        )
        inside = z_first + reach[2] < centre[2] < z_last - reach[2]
        depth = cavity_distance(phantom.to_body(centre))
        if inside and depth < -4 and _is_seated(phantom, tumour, seat):
            return tumour
    raise ValueError(f"{phantom.patient_id}: no place for a tumour found; request more slices")


def draw_patient(
    rng: np.random.Generator, index: int, matrix: int = 192, slices: int = 40, uid_seed: str = "0"
) -> Phantom:
    """Draw the parameters of a patient.

    :param rng: the only source of randomness.
    :param index: 0-based; the tumour of every third patient lies on the chest wall or, alternately,
        on the mediastinum; the images of every third patient are padded outside the scanner's
        circle.
    :param matrix: voxels along x and y over a field of view of 334-360 mm.
    :param slices: number of slices over 150-168 mm of chest.
    :param uid_seed: what the DICOM UIDs are derived from, together with the patient's id.
    :raises ValueError: no tumour fits.
    """
    pixel_mm = round(rng.uniform(334, 360) / matrix, 4)
    slice_mm = round(rng.uniform(150, 168) / slices, 2)
    spacing = (pixel_mm, pixel_mm, slice_mm)
    body = np.array([rng.uniform(-20, 20), rng.uniform(-190, -130), rng.uniform(-800, -100)])
    extent = (np.array([matrix, matrix, slices]) - 1) * spacing
    origin = body - extent / 2 + rng.uniform([-5, -8, -9], [5, 2, 9])
    phantom = Phantom(
        patient_id=f"PHANTOM-{index + 1:03d}",
        seed=int(rng.integers(2**32)),
        uid_seed=uid_seed,
        matrix=matrix,
        slices=slices,
        spacing_mm=spacing,
        origin_lps_mm=_point(np.round(origin, 3)),
        body_lps_mm=_point(np.round(body, 3)),
        size=_point(rng.uniform([0.94, 0.93, 0.94], [1.04, 1.08, 1.06])),
        fat_mm=rng.uniform(7, 15),
        rib_phase_mm=rng.uniform(0, RIB_PITCH_MM),
        lung_hu=rng.uniform(-850, -780),
        blood_hu=(45, 120)[rng.integers(2)] + rng.uniform(-10, 30),  # or contrast agent
        tumour_hu=rng.uniform(25, 55),
        noise_hu=rng.uniform(15, 25),
        padded=index % 3 == 1,
        vessels=_draw_vessels(rng),
        tumour=_NO_TUMOUR,
    )
    seat = ("wall", "mediastinum")[index // 3 % 2] if index % 3 == 2 else "lung"
    return replace(phantom, tumour=_draw_tumour(rng, phantom, seat))


def tumour_mask(phantom: Phantom) -> np.ndarray:
    """Return the tumour at the voxel centres, from its closed form.

    :return: ``(matrix, matrix, slices)`` bool, on the grid of :func:`render`.
    """
    return phantom.tumour.level(phantom.axes_lps_mm()) <= 1
