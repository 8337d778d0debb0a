"""Render the parameters of a patient as Hounsfield units."""

from collections.abc import Sequence
from types import EllipsisType

import numpy as np
import numpy.typing as npt

from data_prep.phantom.anatomy import (
    AIRWAYS,
    BLOOD,
    BODY_MM,
    CANAL,
    CAVITY_MM,
    CORD_RADIUS_MM,
    DOMES,
    INF,
    RIB_FALL_MM,
    RIB_PITCH_MM,
    RIB_RADII_MM,
    SCAPULAE,
    VERTEBRA,
    Phantom,
    cavity_distance,
    ellipsoid_distance,
    lung_distance,
    tube_distance,
)

PHANTOM_AIR_HU = -1024
"""Air around the patient, and the lowest value that is rendered."""

PADDING_HU = -2000
"""Padding outside the scanner's circle."""

Box = tuple[slice, ...]
"""A part of the grid, as an index."""


def _texture(
    rng: np.random.Generator,
    axes: Sequence[np.ndarray],
    wavelengths_mm: tuple[float, float],
    waves: int = 48,
) -> np.ndarray:
    """Return a smooth random field of variance 1: plane waves of random direction, (x, y, z)."""
    k = rng.normal(size=(3, waves))
    k *= 2 * np.pi / np.linalg.norm(k, axis=0) / rng.uniform(*wavelengths_mm, waves)
    phases = [np.exp(1j * axes[i].reshape(-1, 1) * k[i]).astype(np.complex64) for i in range(3)]
    phases[0] *= np.exp(2j * np.pi * rng.random(waves)).astype(np.complex64)
    plane = (phases[0][:, None, :] * phases[1][None]).reshape(-1, waves)
    field = (plane @ phases[2].T).real.reshape([len(phase) for phase in phases])
    return np.asarray(field * np.float32((2 / waves) ** 0.5))


class _Canvas:
    """HU that are painted on, in the body frame; ``edge_mm`` is the width of a blurred edge."""

    def __init__(self, phantom: Phantom) -> None:
        self.axes = phantom.to_body(phantom.axes_lps_mm())
        self.edge_mm = np.float32(phantom.spacing_mm[0])
        shape = (phantom.matrix, phantom.matrix, phantom.slices)
        self.hu = np.full(shape, PHANTOM_AIR_HU, np.float32)

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Return the share of each voxel inside a body, from the signed distance."""
        return np.clip(0.5 - distance / self.edge_mm, 0, 1)

    def blend(
        self, hu: float | np.ndarray, coverage: np.ndarray, box: Box | EllipsisType = ...
    ) -> None:
        """Replace the values in ``box`` by ``hu`` as far as they are covered."""
        self.hu[box] += (hu - self.hu[box]) * coverage

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[Box, tuple[np.ndarray, ...]]:
        """Return the part of the grid between two corners: its index and its axes."""
        lines = [axis.ravel() for axis in self.axes]
        bounds = zip(lines, low, high, strict=True)
        box: Box = tuple(slice(*np.searchsorted(a, (lo - 4, hi + 4))) for a, lo, hi in bounds)
        return box, np.ix_(*(a[part] for a, part in zip(lines, box, strict=True)))

    def ellipsoid(
        self,
        hu: float,
        centre: Sequence[float],
        radii: Sequence[float],
        within: np.ndarray | None = None,
    ) -> None:
        """Paint an ellipsoid, only as far as the coverage ``within`` allows."""
        box, axes = self.box(np.subtract(centre, radii), np.add(centre, radii))
        coverage = self.cover(ellipsoid_distance(axes, centre, radii))
        self.blend(hu, coverage if within is None else coverage * within[box], box)

    def tube(
        self,
        hu: float,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        start_radius: float,
        end_radius: float,
        within: np.ndarray | None = None,
    ) -> None:
        """Paint a tapering tube, only as far as the coverage ``within`` allows."""
        radius = max(start_radius, end_radius)
        box, axes = self.box(np.minimum(start, end) - radius, np.maximum(start, end) + radius)
        coverage = self.cover(tube_distance(axes, start, end, start_radius, end_radius))
        self.blend(hu, coverage if within is None else coverage * within[box], box)


def _paint_trunk(
    canvas: _Canvas, phantom: Phantom, cavity: np.ndarray, texture: np.ndarray
) -> None:
    """Paint table, skin and fat, muscle, and the soft tissue of the cavity."""
    x, y, z = canvas.axes
    table_y = BODY_MM[1] + 9 - np.sqrt(np.clip(1 - (x / 330) ** 2, 0, 1)) * 60 + 50
    shell = np.abs(y - table_y - 7) - 7 + np.maximum(np.abs(x) - 175, 0)
    canvas.blend(-150, canvas.cover(np.maximum(shell, 5.5 - np.abs(np.abs(y - table_y - 7) - 1.5))))
    swell = (1 - 0.03 * (z / 80) ** 2).astype(np.float32)
    radii = (BODY_MM[0] * swell, BODY_MM[1] * swell, INF)
    body = ellipsoid_distance((x, y, z), (0, 0, 0), radii, power=2.3)
    canvas.blend(30, canvas.cover(body))
    canvas.blend(-95 + 8 * texture, canvas.cover(body + 2))
    muscle = canvas.cover(body + phantom.fat_mm + 3 * texture)
    canvas.blend(52 - 120 * np.clip(3 * (texture - 1.2), 0, 1), muscle)  # with fat between
    canvas.blend(20 + 14 * texture, canvas.cover(cavity + 1))


def _paint_skeleton(canvas: _Canvas, phantom: Phantom, cavity: np.ndarray) -> None:
    """Paint ribs (tilted rings around the cavity), sternum, scapulae, vertebrae and discs."""
    x, y, z = canvas.axes
    fall = RIB_FALL_MM * (CAVITY_MM[1] - y) / (2 * CAVITY_MM[1])  # lower in front than at the back
    half = RIB_PITCH_MM / 2
    height = (z + fall + phantom.rib_phase_mm + half) % RIB_PITCH_MM - half
    rib = ellipsoid_distance((cavity - 5.5, height), (0, 0), RIB_RADII_MM)
    bony = np.clip((y + 62) / 8, 0, 1) * 520 + 110  # cartilage in front
    beside = np.clip((np.abs(x) - 13) / 3, 0, 1)
    canvas.blend(bony - 0.45 * bony * (rib < -2.2), canvas.cover(rib) * beside)
    for (cx, cy, cz), radii, turn in SCAPULAE:
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        canvas.blend(520, canvas.cover(ellipsoid_distance((u, v, z - cz), (0, 0, 0), radii)))
    canvas.ellipsoid(330, (0, -85, 20), (19, 5.5, 92))
    disc = np.abs((z + phantom.rib_phase_mm) % RIB_PITCH_MM - half) < 2.8
    for number, (centre, radii) in enumerate(VERTEBRA):
        bone = ellipsoid_distance(canvas.axes, centre, radii)
        hu = np.where(bone > -2, 480, 230).astype(np.float32)
        canvas.blend(np.where(disc, 85, hu) if number == 0 else hu, canvas.cover(bone))
    canvas.blend(15, canvas.cover(ellipsoid_distance(canvas.axes, *CANAL)))
    cord = (CORD_RADIUS_MM, CORD_RADIUS_MM, INF)
    canvas.blend(38, canvas.cover(ellipsoid_distance(canvas.axes, CANAL[0], cord)))


def _paint_chest(
    canvas: _Canvas, phantom: Phantom, cavity: np.ndarray, texture: np.ndarray
) -> None:
    """Paint the lungs, the organs beside them, and the vessels and airways within."""
    inside = canvas.cover(cavity)
    for centre, radii in BLOOD:
        inner = [min(radius - 3, 999) for radius in radii]
        canvas.ellipsoid(phantom.blood_hu, centre, inner, inside)
    for centre, radii in DOMES:
        canvas.ellipsoid(62, centre, [radius - 2 for radius in radii], inside)
    lungs = canvas.cover(lung_distance(canvas.axes, cavity))
    dependent = 45 * canvas.axes[1] / CAVITY_MM[1]  # denser towards the back, as the patient lies
    canvas.blend(phantom.lung_hu + dependent + 16 * texture, lungs)
    for vessel in phantom.vessels:
        canvas.tube(30, *vessel, within=lungs)
    for hu, wall_mm in ((20, 2), (-990, 0)):  # all walls before any lumen, since tubes are joined
        for start, end, radius in AIRWAYS:
            canvas.tube(hu, start, end, radius + wall_mm, radius + wall_mm)


def _paint_tumour(hu: np.ndarray, phantom: Phantom, texture: np.ndarray) -> None:
    """Paint the ellipsoid, its edge as wide as a voxel is along the normal of the edge."""
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


def _add_noise(hu: np.ndarray, sigma_hu: float, rng: np.random.Generator) -> None:
    """Add Gaussian noise like that of a smooth kernel: neighbours within a slice correlate."""
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    side = np.float32(0.45)
    for axis in (0, 1):
        noise += side * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    hu += noise * (np.float32(sigma_hu) / (1 + 2 * side**2))


def render(phantom: Phantom) -> np.ndarray:
    """Render the CT of a patient.

    :return: ``(matrix, matrix, slices)`` int16 HU, indices rising along LPS x, y, z.
    """
    rng = np.random.default_rng(phantom.seed)
    canvas = _Canvas(phantom)
    cavity = cavity_distance(canvas.axes)
    texture = _texture(rng, canvas.axes, (9, 60))
    _paint_trunk(canvas, phantom, cavity, texture)
    _paint_skeleton(canvas, phantom, cavity)
    _paint_chest(canvas, phantom, cavity, texture)
    _paint_tumour(canvas.hu, phantom, texture)
    _add_noise(canvas.hu, phantom.noise_hu, rng)
    hu = np.clip(np.rint(canvas.hu), PHANTOM_AIR_HU, 3071).astype(np.int16)
    if phantom.padded:
        i = np.arange(phantom.matrix) - (phantom.matrix - 1) / 2
        hu[np.hypot(i[:, None], i) > phantom.matrix / 2] = PADDING_HU
    return hu
