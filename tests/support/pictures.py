"""CTs to draw, and what to look for in a picture."""

import nibabel as nib
import numpy as np

from data_prep.pictures.planes import ShownVolume

SPACING_MM = np.array([4.0, 4.0, 6.0])


SHAPE = (48, 40, 20)


ORIGIN_MM = np.array([-94.0, -78.0, 100.0])


def box_mask(low_mm, high_mm):
    """A mask of the voxels whose centres lie in a box of RAS mm."""
    centres = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING_MM + ORIGIN_MM
    return ((centres > low_mm) & (centres < high_mm)).all(axis=-1)


def grid(array, flips=(1, 1, 1), order=(0, 1, 2)):
    """The array as a volume to show, stored with flipped and permuted axes."""
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = ORIGIN_MM
    ornt = np.column_stack([order, flips])
    image = nib.Nifti1Image(array.astype(np.int16), affine).as_reoriented(ornt)
    return ShownVolume(np.asarray(image.dataobj), image.affine)


def body():
    """Soft tissue in air, so that all but the edge of the grid is body."""
    hu = np.full(SHAPE, -1000)
    hu[4:-4, 4:-4] = 0
    return hu


def near(pixels, colour):
    """Where a picture has a colour (antialiasing aside), ``(rows, columns)`` bool."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.abs(pixels[..., :3] - rgb).max(axis=-1) < 0.15
