"""A synthetic lung cancer cohort in DICOM, whose tumours are known in closed form.

Each patient is drawn (:func:`draw_patient`, parameters only), rendered (:func:`render`, Hounsfield
units) and written (:func:`write_cohort`, CT Image Storage and RT Structure Set Storage as TCIA
delivers them). This module reads no DICOM and shares no geometry with the rest of the package: what
it says about a tumour cannot agree with the reader by sharing a fault.

Frames. LPS mm is DICOM's patient frame (x to the left, y to the back, z to the head). The *body*
frame has the same directions, its origin amid the chest, and is divided by the patient's size, so
one table of anatomy serves all patients. Arrays are ``(x, y, z)`` with every index rising in LPS.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from data_prep import DataError

TRUTH_FILE = "truth.json"
KIND = "phantom cohort"
AIR_HU, PADDING_HU, RESCALE_INTERCEPT = -1024, -2000, -1024
TUMOUR_RADII_MM = (12.0, 30.0)
CONTOUR_POINTS = 144
"""An inscribed polygon has sin(2 pi / n) n / 2 pi of its ellipse's area: 0.9997 for 144 points."""

_INF = np.inf
# Body frame, mm: (centre), (radii); an infinite radius makes a cylinder.
_CAVITY_MM = (119.0, 79.0)
_BODY_MM = (147.0, 104.0)
_HEART = ((24, -33, -56), (56, 41, 58))
_ARCH = ((12, -4, 38), (25, 36, 15))
_AORTA = ((22, 27, 0), (13, 13, _INF))
_CAVA = ((-19, -22, 0), (11, 12, _INF))
_SPINE = ((0, 50, 0), (25, 25, _INF))
_COLUMN = ((0, -8, 0), (16, 110, _INF))
_HILA = (((-31, 3, -4), (17, 15, 20)), ((33, 3, 0), (16, 15, 19)))
_DOMES = (((-62, 2, -142), (92, 96, 78)), ((66, 4, -152), (86, 92, 76)))
_MEDIASTINUM = (_COLUMN, _HEART, _ARCH, _AORTA, _CAVA, _SPINE, *_HILA)
_BLOOD = (_HEART, _ARCH, _AORTA, _CAVA, ((-2, -16, 2), (25, 14, 16)), *_HILA)
_VERTEBRA = (  # body, arch, spinous process
    ((0, 40, 0), (18, 14, _INF)),
    ((0, 69, 0), (17, 6, _INF)),
    ((0, 82, 0), (3.5, 14, _INF)),
)
_SCAPULAE = (((-92, 62, 62), (34, 4.5, 60), 0.62), ((92, 62, 62), (34, 4.5, 60), -0.62))
_CANAL = ((0, 60.5, 0), (9, 7.5, _INF))
_CORD_RADIUS_MM = 5.0
_AIRWAYS = (  # start, end, radius: the trachea and the main bronchi
    ((0, -2, 130), (0, 4, 18), 9.0),
    ((0, 4, 18), (-33, 6, -6), 6.5),
    ((0, 4, 18), (36, 8, -8), 5.5),
)
_VESSEL_RADII_MM = (5.0, 3.6, 2.7, 2.0, 1.4, 0.7)  # at each branching, from the hilum outwards
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, but what planning systems still write
_ROI_COLOURS = {
    "GTV-1": [255, 176, 0],
    "Lung-Left": [0, 180, 255],
    "Lung-Right": [0, 200, 120],
    "Spinal-Cord": [255, 255, 0],
}
_LIMITS = {"patients": (1, 999), "matrix": (32, 1024), "slices": (16, 400), "seed": (0, 2**63)}
_RIB_PITCH_MM, _RIB_FALL_MM, _RIB_RADII_MM = 25.0, 62.0, (3.6, 6.0)


@dataclass(frozen=True)
class Ellipsoid:
    """A solid ellipsoid in patient mm.

    :param centre_lps_mm: centre, LPS
    :param radii_mm: three semi-axes
    :param rotation: 3x3, its columns are the directions of the semi-axes in LPS
    """

    centre_lps_mm: tuple
    radii_mm: tuple
    rotation: tuple

    @property
    def volume_ml(self):
        """4/3 pi abc, in mL."""
        return float(4 / 3 * np.pi * np.prod(self.radii_mm) / 1000)

    @property
    def quadric(self):
        """M of ``(p - centre)' M (p - centre) = 1``, in 1/mm2, ``(3, 3)``."""
        axes = np.asarray(self.rotation, float)
        return axes @ np.diag(np.asarray(self.radii_mm, float) ** -2) @ axes.T

    def level(self, axes_lps_mm):
        """``(p - centre)' M (p - centre)`` at points that broadcast: below 1 inside."""
        u = [a - c for a, c in zip(axes_lps_mm, self.centre_lps_mm, strict=True)]
        return sum(self.quadric[i, j] * u[i] * u[j] for i in range(3) for j in range(3))

    def cross_section(self, z_mm, points=CONTOUR_POINTS):
        """The ellipse in which an axial plane cuts the ellipsoid.

        :param z_mm: the plane's LPS z
        :return: ``(points, 2)`` x and y in mm on the ellipse, or None where the plane misses
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


@dataclass(frozen=True)
class Phantom:
    """All that is to know of a patient; :func:`render` adds nothing but noise from ``seed``.

    ``origin_lps_mm`` is the centre of voxel (0, 0, 0), ``body_lps_mm`` the body frame's origin,
    ``size`` its scale per axis; ``vessels`` holds (start, end, start radius, end radius), body mm.
    """

    patient_id: str
    seed: int
    uid_seed: str
    matrix: int
    slices: int
    spacing_mm: tuple
    origin_lps_mm: tuple
    body_lps_mm: tuple
    size: tuple
    fat_mm: float
    rib_phase_mm: float
    lung_hu: float
    blood_hu: float
    tumour_hu: float
    noise_hu: float
    padded: bool
    vessels: tuple = ()
    tumour: Ellipsoid = None

    def axes_lps_mm(self):
        """Voxel centres, as three arrays that broadcast to ``(x, y, z)``."""
        counts = (self.matrix, self.matrix, self.slices)
        steps = zip(self.origin_lps_mm, self.spacing_mm, counts, strict=True)
        return np.ix_(*[origin + spacing * np.arange(n) for origin, spacing, n in steps])

    def to_body(self, axes_lps_mm):
        """LPS mm to the body frame, axis by axis, float32."""
        triples = zip(axes_lps_mm, self.body_lps_mm, self.size, strict=True)
        return tuple(((a - o) / s).astype(np.float32) for a, o, s in triples)


# --- anatomy: signed distances in body mm, negative inside; x, y, z broadcast ---


def _ellipsoid(axes, centre, radii, power=2):
    """Distance along the ray from the centre to a (super)ellipsoid's surface."""
    offsets = [a - np.float32(c) for a, c in zip(axes, centre, strict=True)]
    pairs = [(o, r) for o, r in zip(offsets, radii, strict=True) if np.isfinite(np.max(r))]
    if power == 2:
        q = np.sqrt(sum((o / np.float32(r)) ** 2 for o, r in pairs))
    else:
        q = sum((np.abs(o) / r) ** np.float32(power) for o, r in pairs) ** np.float32(1 / power)
    return np.sqrt(sum(o * o for o, _ in pairs)) * (1 - 1 / np.maximum(q, np.float32(1e-3)))


def _smooth_max(a, b, blend_mm=8.0):
    """Intersection of two bodies with its edge rounded; the union is ``-_smooth_max(-a, -b)``."""
    h = np.clip(0.5 + (a - b) / np.float32(2 * blend_mm), 0, 1)
    return b + (a - b) * h + np.float32(blend_mm) * h * (1 - h)


def _cavity(axes):
    """The rib cage's inside: a superellipse that narrows to the apex."""
    taper = np.sqrt(np.clip(1 - ((axes[2] + 25) / 128) ** 2, 0.05, 1)).astype(np.float32)
    return _ellipsoid(axes, (0, -1, 0), (*(mm * taper for mm in _CAVITY_MM), _INF), power=2.3)


def _lungs(axes, cavity=None):
    """Both lungs: the cavity without mediastinum and diaphragm."""
    solid = None
    for centre, radii in (*_MEDIASTINUM, *_DOMES):
        part = _ellipsoid(axes, centre, radii)
        solid = part if solid is None else -_smooth_max(-solid, -part)
    return _smooth_max(_cavity(axes) if cavity is None else cavity, -solid)


def _tube(axes, start, end, start_radius, end_radius):
    """A tapering tube with round ends."""
    (x, y, z), (dx, dy, dz) = np.float32(start), np.float32(end) - np.float32(start)
    x, y, z = axes[0] - x, axes[1] - y, axes[2] - z
    t = np.clip((x * dx + y * dy + z * dz) / (dx * dx + dy * dy + dz * dz), 0, 1)
    gap = np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2 + (z - t * dz) ** 2)
    return gap - (start_radius + t * np.float32(end_radius - start_radius))


# --- drawing: parameters only ---


def _draw_vessels(rng):
    """Two trees of tubes, from each hilum to the periphery, in body mm."""
    vessels = []

    def grow(start, direction, generation):
        end = start + (30, 24, 19, 16, 13)[generation] * rng.uniform(0.8, 1.25) * direction
        vessels.append((tuple(start), tuple(end), *_VESSEL_RADII_MM[generation:generation + 2]))
        for _ in range(2 if generation < 4 else 0):
            bent = direction + rng.normal(0, 0.55, 3)
            grow(end, bent / np.linalg.norm(bent), generation + 1)

    for side in (-1, 1):
        for angle in np.arange(10) * np.pi / 5 + rng.uniform(0, 0.6):
            direction = np.array([side * 0.75, 0.9 * np.cos(angle), 1.1 * np.sin(angle)])
            direction += rng.normal(0, 0.15, 3)
            grow(np.array([side * 34.0, 4, -3]), direction / np.linalg.norm(direction), 0)
    return tuple(vessels)


def _sphere_points(count=256):
    """Points spread evenly over the unit sphere, ``(3, count)`` (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    z, azimuth = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    return np.stack([np.cos(azimuth) * np.sqrt(1 - z**2), np.sin(azimuth) * np.sqrt(1 - z**2), z])


def lung_contact(phantom, tumour=None):
    """The part of a tumour's surface that borders on lung, 0 to 1."""
    tumour = tumour or phantom.tumour
    surface = np.asarray(tumour.rotation) @ (np.array(tumour.radii_mm)[:, None] * _sphere_points())
    points = phantom.to_body(surface + np.array(tumour.centre_lps_mm)[:, None])
    return float((_lungs(points) < 0).mean())


def _draw_rotation(rng):
    """A turn about z after a tilt, ``(3, 3)``."""
    turn, tilt = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7)
    about_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    return np.array(about_z) @ np.array(about_x)


def _draw_tumour(rng, phantom, touching, tries=4000):
    """An ellipsoid in a lung: free, or seated on chest wall or mediastinum when ``touching``."""
    wanted = (0.5, 0.82) if touching else (0.93, 1.0)
    z_first, z_last = (phantom.axes_lps_mm()[2].ravel()[i] for i in (0, -1))
    for _ in range(tries):
        radii = np.clip(rng.uniform(14, 28) * rng.uniform(0.68, 1.32, 3), *TUMOUR_RADII_MM)
        rotation = _draw_rotation(rng)
        place = rng.uniform([35, -60, -75], [110, 55, 75]) * [rng.choice([-1, 1]), 1, 1]
        centre = np.round(place * phantom.size + phantom.body_lps_mm, 3)
        reach = np.sqrt(np.sum((rotation * radii) ** 2, axis=1))  # half the bounding box
        tumour = Ellipsoid(
            tuple(centre.tolist()), tuple(np.round(radii, 3).tolist()), tuple(rotation.tolist())
        )
        inside = z_first + reach[2] < centre[2] < z_last - reach[2]
        depth = _cavity(phantom.to_body(centre))
        if inside and depth < -4 and wanted[0] <= lung_contact(phantom, tumour) <= wanted[1]:
            return tumour
    raise ValueError(f"{phantom.patient_id}: no place for a tumour found; ask for more slices")


def draw_patient(rng, index, matrix=192, slices=40, uid_seed="0"):
    """Draw a patient's parameters.

    :param rng: ``numpy.random.Generator``, the only source of chance
    :param index: 0-based; every third patient's tumour sits on chest wall or mediastinum, every
        third one's images are padded outside the scanner's circle
    :param matrix: voxels along x and y over a field of view of 334-360 mm
    :param slices: number of slices over 150-168 mm of chest
    :param uid_seed: what the DICOM UIDs are derived from, beside the patient's id
    :return: :class:`Phantom`
    :raises ValueError: if no tumour fits
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
        origin_lps_mm=tuple(np.round(origin, 3).tolist()),
        body_lps_mm=tuple(np.round(body, 3).tolist()),
        size=tuple(rng.uniform([0.94, 0.93, 0.94], [1.04, 1.08, 1.06]).tolist()),
        fat_mm=rng.uniform(7, 15),
        rib_phase_mm=rng.uniform(0, _RIB_PITCH_MM),
        lung_hu=rng.uniform(-850, -780),
        blood_hu=(45, 120)[rng.integers(2)] + rng.uniform(-10, 30),  # or contrast agent
        tumour_hu=rng.uniform(25, 55),
        noise_hu=rng.uniform(15, 25),
        padded=index % 3 == 1,
        vessels=_draw_vessels(rng),
    )
    return replace(phantom, tumour=_draw_tumour(rng, phantom, touching=index % 3 == 2))


# --- rendering: parameters to Hounsfield units ---


def _texture(rng, axes, wavelengths_mm, waves=48):
    """A smooth random field of variance one: plane waves of random direction, ``(x, y, z)``."""
    k = rng.normal(size=(3, waves))
    k *= 2 * np.pi / np.linalg.norm(k, axis=0) / rng.uniform(*wavelengths_mm, waves)
    phases = [np.exp(1j * axes[i].reshape(-1, 1) * k[i]).astype(np.complex64) for i in range(3)]
    phases[0] *= np.exp(2j * np.pi * rng.random(waves)).astype(np.complex64)
    plane = (phases[0][:, None, :] * phases[1][None]).reshape(-1, waves)
    field = (plane @ phases[2].T).real.reshape([len(phase) for phase in phases])
    return field * np.float32((2 / waves) ** 0.5)


class _Canvas:
    """HU being painted, in the body frame; ``edge_mm`` is the width of a border's blur."""

    def __init__(self, phantom):
        self.axes = phantom.to_body(phantom.axes_lps_mm())
        self.edge_mm = np.float32(phantom.spacing_mm[0])
        self.hu = np.full((phantom.matrix, phantom.matrix, phantom.slices), AIR_HU, np.float32)

    def cover(self, distance):
        """Part of a voxel inside a body, from the signed distance."""
        return np.clip(0.5 - distance / self.edge_mm, 0, 1)

    def blend(self, hu, coverage, box=...):
        """Replace what is there by ``hu`` (number or array) where covered, within ``box``."""
        self.hu[box] += (hu - self.hu[box]) * coverage

    def box(self, low, high):
        """The part of the grid between two corners: its index and its axes."""
        lines = [axis.ravel() for axis in self.axes]
        bounds = zip(lines, low, high, strict=True)
        box = tuple(slice(*np.searchsorted(a, (lo - 4, hi + 4))) for a, lo, hi in bounds)
        return box, np.ix_(*(a[part] for a, part in zip(lines, box, strict=True)))

    def ellipsoid(self, hu, centre, radii, within=None):
        """Paint an ellipsoid, only as far as the coverage ``within`` allows."""
        box, axes = self.box(np.subtract(centre, radii), np.add(centre, radii))
        coverage = self.cover(_ellipsoid(axes, centre, radii))
        self.blend(hu, coverage if within is None else coverage * within[box], box)

    def tube(self, hu, start, end, start_radius, end_radius, within=None):
        """Paint a tapering tube, only as far as the coverage ``within`` allows."""
        radius = max(start_radius, end_radius)
        box, axes = self.box(np.minimum(start, end) - radius, np.maximum(start, end) + radius)
        coverage = self.cover(_tube(axes, start, end, start_radius, end_radius))
        self.blend(hu, coverage if within is None else coverage * within[box], box)


def _paint_trunk(canvas, phantom, cavity, texture):
    """Table, skin and fat, muscle, and the cavity's soft tissue."""
    x, y, z = canvas.axes
    table_y = _BODY_MM[1] + 9 - np.sqrt(np.clip(1 - (x / 330) ** 2, 0, 1)) * 60 + 50
    shell = np.abs(y - table_y - 7) - 7 + np.maximum(np.abs(x) - 175, 0)
    canvas.blend(-150, canvas.cover(np.maximum(shell, 5.5 - np.abs(np.abs(y - table_y - 7) - 1.5))))
    swell = (1 - 0.03 * (z / 80) ** 2).astype(np.float32)
    body = _ellipsoid((x, y, z), (0, 0, 0), (_BODY_MM[0] * swell, _BODY_MM[1] * swell, _INF), 2.3)
    canvas.blend(30, canvas.cover(body))
    canvas.blend(-95 + 8 * texture, canvas.cover(body + 2))
    muscle = canvas.cover(body + phantom.fat_mm + 3 * texture)
    canvas.blend(52 - 120 * np.clip(3 * (texture - 1.2), 0, 1), muscle)  # with fat between
    canvas.blend(20 + 14 * texture, canvas.cover(cavity + 1))


def _paint_skeleton(canvas, phantom, cavity):
    """Ribs (tilted rings around the cavity), sternum, scapulae, vertebrae and discs."""
    x, y, z = canvas.axes
    fall = _RIB_FALL_MM * (_CAVITY_MM[1] - y) / (2 * _CAVITY_MM[1])  # lower in front than behind
    half = _RIB_PITCH_MM / 2
    height = (z + fall + phantom.rib_phase_mm + half) % _RIB_PITCH_MM - half
    rib = _ellipsoid((cavity - 5.5, height), (0, 0), _RIB_RADII_MM)
    bony = np.clip((y + 62) / 8, 0, 1) * 520 + 110  # cartilage in front
    beside = np.clip((np.abs(x) - 13) / 3, 0, 1)
    canvas.blend(bony - 0.45 * bony * (rib < -2.2), canvas.cover(rib) * beside)
    for (cx, cy, cz), radii, turn in _SCAPULAE:
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        canvas.blend(520, canvas.cover(_ellipsoid((u, v, z - cz), (0, 0, 0), radii)))
    canvas.ellipsoid(330, (0, -85, 20), (19, 5.5, 92))
    disc = np.abs((z + phantom.rib_phase_mm) % _RIB_PITCH_MM - half) < 2.8
    for number, (centre, radii) in enumerate(_VERTEBRA):
        bone = _ellipsoid(canvas.axes, centre, radii)
        hu = np.where(bone > -2, 480, 230).astype(np.float32)
        canvas.blend(np.where(disc, 85, hu) if number == 0 else hu, canvas.cover(bone))
    canvas.blend(15, canvas.cover(_ellipsoid(canvas.axes, *_CANAL)))
    cord = (_CORD_RADIUS_MM, _CORD_RADIUS_MM, _INF)
    canvas.blend(38, canvas.cover(_ellipsoid(canvas.axes, _CANAL[0], cord)))


def _paint_chest(canvas, phantom, cavity, texture):
    """Lungs, what is carved from them, and the vessels and airways within."""
    inside = canvas.cover(cavity)
    for centre, radii in _BLOOD:
        canvas.ellipsoid(phantom.blood_hu, centre, np.minimum(np.subtract(radii, 3), 999), inside)
    for centre, radii in _DOMES:
        canvas.ellipsoid(62, centre, np.subtract(radii, 2), inside)
    lungs = canvas.cover(_lungs(canvas.axes, cavity))
    dependent = 45 * canvas.axes[1] / _CAVITY_MM[1]  # denser towards the back, as the patient lies
    canvas.blend(phantom.lung_hu + dependent + 16 * texture, lungs)
    for vessel in phantom.vessels:
        canvas.tube(30, *vessel, within=lungs)
    for hu, wall_mm in ((20, 2), (-990, 0)):  # all walls before any lumen: the tubes are joined
        for start, end, radius in _AIRWAYS:
            canvas.tube(hu, start, end, radius + wall_mm, radius + wall_mm)


def _paint_tumour(hu, phantom, texture):
    """The ellipsoid in patient mm, its edge as wide as a voxel is along the edge's normal."""
    axes, tumour = phantom.axes_lps_mm(), phantom.tumour
    reach = max(tumour.radii_mm) + max(phantom.spacing_mm)
    box = tuple(
        slice(*np.searchsorted(axis.ravel(), (centre - reach, centre + reach)))
        for axis, centre in zip(axes, tumour.centre_lps_mm, strict=True)
    )
    axes = np.ix_(*(axis.ravel()[part] for axis, part in zip(axes, box, strict=True)))
    q = np.sqrt(tumour.level(axes))
    offsets = np.stack(np.broadcast_arrays(*axes), axis=-1) - tumour.centre_lps_mm
    normal = offsets @ tumour.quadric  # q times the gradient of q
    steepness = np.linalg.norm(normal * phantom.spacing_mm, axis=-1)  # of q, per voxel
    coverage = np.clip(0.5 - (q - 1) * q / np.maximum(steepness, 1e-9), 0, 1).astype(np.float32)
    hu[box] += (phantom.tumour_hu + 9 * texture[box] - hu[box]) * coverage


def _add_noise(hu, sigma_hu, rng):
    """Gaussian noise as a smooth kernel leaves it: neighbours within a slice correlate."""
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    side = np.float32(0.45)
    for axis in (0, 1):
        noise += side * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    hu += noise * (np.float32(sigma_hu) / (1 + 2 * side**2))


def render(phantom):
    """Render a patient's CT.

    :param phantom: :class:`Phantom`
    :return: ``(matrix, matrix, slices)`` int16 HU, indices rising along LPS x, y, z
    """
    rng = np.random.default_rng(phantom.seed)
    canvas = _Canvas(phantom)
    cavity = _cavity(canvas.axes)
    texture = _texture(rng, canvas.axes, (9, 60))
    _paint_trunk(canvas, phantom, cavity, texture)
    _paint_skeleton(canvas, phantom, cavity)
    _paint_chest(canvas, phantom, cavity, texture)
    _paint_tumour(canvas.hu, phantom, texture)
    _add_noise(canvas.hu, phantom.noise_hu, rng)
    hu = np.clip(np.rint(canvas.hu), AIR_HU, 3071).astype(np.int16)
    if phantom.padded:
        i = np.arange(phantom.matrix) - (phantom.matrix - 1) / 2
        hu[np.hypot(i[:, None], i) > phantom.matrix / 2] = PADDING_HU
    return hu


def tumour_mask(phantom):
    """The tumour at the voxel centres, from its closed form.

    :param phantom: :class:`Phantom`
    :return: ``(matrix, matrix, slices)`` bool, the grid of :func:`render`
    """
    return phantom.tumour.level(phantom.axes_lps_mm()) <= 1


# --- writing ---


def _lung_polygons(phantom, points=90):
    """The lungs' outlines, as seen from the deepest point of each lung in each slice.

    What heart or hilum hides from that point is left out: an organ to find by name, not a truth.

    :return: {ROI name: [(slice index, ``(points, 2)`` LPS x and y in mm)]}
    """
    z_mm = phantom.axes_lps_mm()[2].ravel()
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    reach = np.arange(0, 150, 1.0)
    polygons = {"Lung-Left": [], "Lung-Right": []}
    for name, side in (("Lung-Left", 1), ("Lung-Right", -1)):
        grid = phantom.to_body(np.ix_(*[np.zeros(1)] * 2, z_mm))[2]
        x, y = np.float32(side * np.arange(20, 116, 4.0)), np.arange(-70, 70, 4, dtype=np.float32)
        depth = _lungs((x[:, None, None], y[None, :, None], grid))
        for k, z in enumerate(grid.ravel()):
            i, j = np.unravel_index(np.argmin(depth[..., k]), depth.shape[:2])
            if depth[i, j, k] > -5:
                continue
            outward = (x[i] + reach * np.cos(angles), y[j] + reach * np.sin(angles))
            outward = tuple(a.astype(np.float32) for a in outward)
            outside = _lungs((*outward, np.float32([[z]])))
            last = np.maximum(np.argmax(outside > 0, axis=1), 1)  # first sample beyond the border
            rows = np.arange(points)
            before, after = outside[rows, last - 1], outside[rows, last]
            radius = (last - after / (after - before))[:, None]  # linear, steps of 1 mm
            border = np.hstack([x[i] + radius * np.cos(angles), y[j] + radius * np.sin(angles)])
            polygons[name].append((k, border * phantom.size[:2] + phantom.body_lps_mm[:2]))
    return polygons


def _polygons(phantom):
    """All ROIs' contours: {ROI name: [(slice index, ``(points, 2)`` LPS x and y in mm)]}."""
    z_mm = phantom.axes_lps_mm()[2].ravel()
    tumour = [(k, phantom.tumour.cross_section(z)) for k, z in enumerate(z_mm)]
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    circle = np.add(_CANAL[0][:2], _CORD_RADIUS_MM * np.hstack([np.cos(turn), np.sin(turn)]))
    cord = circle * phantom.size[:2] + phantom.body_lps_mm[:2]
    return {
        "GTV-1": [(k, xy) for k, xy in tumour if xy is not None],
        **_lung_polygons(phantom),
        "Spinal-Cord": [(k, cord) for k in range(phantom.slices)],
    }


def _uid(phantom, *parts):
    """A valid UID that depends on nothing but the cohort's seed, the patient and ``parts``."""
    return generate_uid(entropy_srcs=[KIND, phantom.uid_seed, phantom.patient_id, *map(str, parts)])


def _item(**attributes):
    """A DICOM data set that holds ``attributes``."""
    ds = Dataset()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def _object(phantom, sop_class, sop_uid, **attributes):
    """A DICOM object with the patient, study and equipment modules and ``attributes``."""
    common = dict(
        SpecificCharacterSet="ISO_IR 100", PatientID=phantom.patient_id,
        PatientName=phantom.patient_id, PatientBirthDate="", PatientSex="O",
        PatientIdentityRemoved="YES", DeidentificationMethod="synthetic: no person was imaged",
        StudyInstanceUID=_uid(phantom, "study"), StudyDate="20260101", StudyTime="090000",
        StudyID="1", AccessionNumber="", ReferringPhysicianName="",
        StudyDescription="Phantom thorax", Manufacturer="data_prep.phantom",
        FrameOfReferenceUID=_uid(phantom, "frame"), PositionReferenceIndicator="",
    )
    ds = _item(**common, **attributes)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = sop_uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _ct_uid(phantom, k):
    return _uid(phantom, "ct", k)


def _write_ct(phantom, folder):
    """One CT Image file a slice; names and instance numbers do not follow the positions."""
    hu = render(phantom)
    names = np.random.default_rng(phantom.seed).permutation(phantom.slices) + 1
    dx, dy, dz = phantom.spacing_mm
    attributes = dict(
        Modality="CT", SeriesInstanceUID=_uid(phantom, "ct"), SeriesNumber=2,
        SeriesDescription="Chest", BodyPartExamined="CHEST", PatientPosition="HFS",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], AcquisitionNumber=1, SliceThickness=dz,
        KVP=120, ConvolutionKernel="B30f",
        ContentDate="20260101", ContentTime="090000", ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[dy, dx], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        Rows=phantom.matrix, Columns=phantom.matrix, BitsAllocated=16, BitsStored=16, HighBit=15,
        PixelRepresentation=1, RescaleIntercept=RESCALE_INTERCEPT, RescaleSlope=1, RescaleType="HU",
        WindowCenter=-400, WindowWidth=1500,
    )
    if phantom.padded:
        attributes["PixelPaddingValue"] = PADDING_HU - RESCALE_INTERCEPT
    for k in range(phantom.slices):
        ds = _object(phantom, CTImageStorage, _ct_uid(phantom, k), **attributes)
        x, y, z = phantom.origin_lps_mm
        ds.ImagePositionPatient = [x, y, round(z + k * dz, 3)]
        ds.SliceLocation = ds.ImagePositionPatient[2]
        ds.InstanceNumber = phantom.slices - k  # counted from the head down
        ds.PixelData = (hu[:, :, k].T - np.int16(RESCALE_INTERCEPT)).astype("<i2").tobytes()
        ds.save_as(folder / f"1-{names[k]:03d}.dcm", enforce_file_format=True)


def _image_item(phantom, k):
    """A reference to the CT image of slice ``k``."""
    return _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=_ct_uid(phantom, k))


def _contour(phantom, k, xy):
    """A closed planar contour of slice ``k`` that names the image it lies on."""
    z = f"{phantom.origin_lps_mm[2] + k * phantom.spacing_mm[2]:.3f}"
    return _item(
        ContourImageSequence=[_image_item(phantom, k)],
        ContourGeometricType="CLOSED_PLANAR",
        ContourNumber=k + 1,
        NumberOfContourPoints=len(xy),
        ContourData=[value for x, y in xy for value in (f"{x:.3f}", f"{y:.3f}", z)],
    )


def _write_structures(phantom, folder):
    """One RT Structure Set with all ROIs."""
    frame, study_uid = _uid(phantom, "frame"), _uid(phantom, "study")
    images = [_image_item(phantom, k) for k in range(phantom.slices)]
    series = _item(SeriesInstanceUID=_uid(phantom, "ct"), ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS, ReferencedSOPInstanceUID=study_uid,
        RTReferencedSeriesSequence=[series],
    )
    ds = _object(
        phantom, RTStructureSetStorage, _uid(phantom, "rtstruct", 1), Modality="RTSTRUCT",
        SeriesInstanceUID=_uid(phantom, "rtstruct"), SeriesNumber=3, OperatorsName="",
        StructureSetLabel="PHANTOM", StructureSetDate="20260101", StructureSetTime="090000",
        ReferencedFrameOfReferenceSequence=[
            _item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])
        ],
        StructureSetROISequence=[], ROIContourSequence=[], RTROIObservationsSequence=[],
        ApprovalStatus="UNAPPROVED",
    )
    for number, (name, polygons) in enumerate(_polygons(phantom).items(), 1):
        kind = "GTV" if name == "GTV-1" else "ORGAN"
        ds.StructureSetROISequence.append(_item(
            ROINumber=number, ReferencedFrameOfReferenceUID=frame, ROIName=name,
            ROIGenerationAlgorithm="AUTOMATIC",
        ))
        ds.ROIContourSequence.append(_item(
            ROIDisplayColor=_ROI_COLOURS[name], ReferencedROINumber=number,
            ContourSequence=[_contour(phantom, k, xy) for k, xy in polygons],
        ))
        ds.RTROIObservationsSequence.append(_item(
            ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType=kind,
            ROIInterpreter="",
        ))
    ds.save_as(folder / "1-001.dcm", enforce_file_format=True)


def _truth(phantom):
    """What ``truth.json`` says of a patient."""
    tumour = phantom.tumour
    return {
        "id": phantom.patient_id,
        "size_voxels": [phantom.matrix, phantom.matrix, phantom.slices],
        "spacing_mm": list(phantom.spacing_mm),
        "origin_lps_mm": list(phantom.origin_lps_mm),
        "tumours": [{
            "roi": "GTV-1",
            "centre_lps_mm": list(tumour.centre_lps_mm),
            "radii_mm": list(tumour.radii_mm),
            "rotation": [list(row) for row in tumour.rotation],  # columns: directions of the radii
            "volume_ml": tumour.volume_ml,
            "centroid_lps_mm": list(tumour.centre_lps_mm),
            "lung_contact": round(lung_contact(phantom), 3),
        }],
    }


def _write_truth(out_dir, parameters, patients):
    """Write ``truth.json`` at once or not at all; no patients in it mark an unfinished cohort."""
    text = json.dumps({"kind": KIND, "parameters": parameters, "patients": patients}, indent=1)
    draft = out_dir / (TRUTH_FILE + ".part")
    draft.write_text(text + "\n", encoding="utf-8")
    os.replace(draft, out_dir / TRUTH_FILE)


def _clear(out_dir):
    """Make room in ``out_dir``: an older phantom cohort goes, anything else is refused."""
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        ours = json.loads((out_dir / TRUTH_FILE).read_text(encoding="utf-8"))["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours and any(out_dir.iterdir()):
        raise DataError(
            f"{out_dir} is not empty and holds no {KIND} (no {TRUTH_FILE} of one): "
            "nothing was written; name a new or an empty folder"
        )
    for folder in out_dir.iterdir():
        if re.fullmatch(r"PHANTOM-\d{3}(\.part)?", folder.name):
            shutil.rmtree(folder)


def write_cohort(out_dir, patients=10, matrix=192, slices=40, seed=0):
    """Write ``PHANTOM-001/CT/*.dcm``, ``PHANTOM-001/RTSTRUCT/*.dcm``, ... and ``truth.json``.

    The same arguments give the same bytes; a patient does not depend on how many follow. An older
    phantom cohort in ``out_dir``, finished or not, is replaced. ``truth.json`` comes last: until
    then it lists no patients.

    :param out_dir: folder, made if need be
    :param patients: number of patients, 1-999
    :param matrix: rows and columns of a slice, 32-1024
    :param slices: slices per patient, 16-400, over 150-168 mm of chest
    :param seed: integer >= 0
    :return: ``out_dir`` as a ``Path``
    :raises ValueError: on a parameter out of its range
    :raises data_prep.DataError: if ``out_dir`` holds something else
    """
    parameters = {"patients": patients, "matrix": matrix, "slices": slices, "seed": seed}
    for name, value in parameters.items():
        low, high = _LIMITS[name]
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    out_dir, asked = Path(out_dir), {name: int(value) for name, value in parameters.items()}
    _clear(out_dir)
    _write_truth(out_dir, asked, [])
    truths = []
    for index in range(patients):
        rng = np.random.default_rng([seed, index])
        phantom = draw_patient(rng, index, matrix, slices, uid_seed=str(seed))
        draft = out_dir / f"{phantom.patient_id}.part"
        for kind, write in (("CT", _write_ct), ("RTSTRUCT", _write_structures)):
            (draft / kind).mkdir(parents=True)
            write(phantom, draft / kind)
        draft.rename(out_dir / phantom.patient_id)
        truths.append(_truth(phantom))
    _write_truth(out_dir, asked, truths)
    return out_dir
