"""Masks and CTs to make DICOM objects of, and readers of these objects."""

import numpy as np
import pydicom

from data_prep.dicom_in import contours, structures
from data_prep.dicom_in.scan import scan
from data_prep.dicom_in.series import choose_series, read_volume
from data_prep.dicom_out.sources import Algorithm, read_sources

ALGORITHM = Algorithm("densehighres3dnet_v1", "0123456789abcdef" * 4)


def read_ct(folder):
    """Return a folder's only CT as a volume, and its headers in the volume's order."""
    (patient,), *_ = scan(folder)
    series = choose_series(list(patient.series.values()))
    volume = read_volume(series)
    return volume, read_sources(series, volume.sop_instance_uids)


def random_mask(volume, seed=4):
    """Return a mask with single pixels, holes, corners that touch and an empty last slice."""
    mask = np.random.default_rng(seed).random(volume.array.shape) < 0.5
    mask[2:9, 2:9, :] = True
    mask[4:7, 4:7, :] = False
    mask[..., -1] = False
    return mask


def fill(path, volume, name):
    """Return the mask that :mod:`data_prep.dicom_in.contours` makes of a set, without a warning."""
    structure_set = structures.read_structure_set(path)
    (roi,) = (roi for roi in structure_set.candidates if roi.name == name)
    mask, warnings = contours.build_mask(volume, structure_set, roi)
    assert not warnings
    return mask


def mask_by_position(path, volume):
    """Return the mask of the only segment of a SEG, each frame put at its stated position."""
    seg = pydicom.dcmread(path)
    frames = seg.pixel_array.reshape(seg.NumberOfFrames, seg.Rows, seg.Columns)
    cosines = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    row, column = np.reshape(cosines.ImageOrientationPatient, (2, 3)).astype(float)
    between_rows, between_columns = map(float, measures.PixelSpacing)
    mask = np.zeros(volume.array.shape, bool)
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for r, c in np.argwhere(frame):
            place = origin + c * between_columns * row + r * between_rows * column
            index = np.linalg.solve(volume.affine_lps, [*place, 1])[:3]
            assert np.abs(index - index.round()).max() < 1e-3
            mask[tuple(index.round().astype(int))] = True
    return mask
