"""Checks of the images and labels of a ``train`` or ``inference`` before its graph is built.

Grids and windows are checked from the files' headers, as NiftyNet's readers see them (turned to
``axcodes``, resampled to ``pixdim``). Label values: :mod:`.preflight_labels`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel
import numpy as np

from niftynet_ext.core.choices import GRID, WHOLE
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import check_known
from niftynet_ext.network.window_checks import window_multiple

# NiftyNet is untyped: its objects (application, reader, images, parameters) are Any

Window = tuple[int, ...]
"""Sides of a window in voxels; below 1: the whole side of the volume."""

GRID_TOLERANCE = 0.1
"""Of a voxel: image and label of one patient may differ by rounding."""


def check_files(app: Any, data_param: Any, training: bool) -> None:
    """Check sampling, windows and grids of all subjects.

    :param app: a NiftyNet application with its readers
    :param data_param: NiftyNet's dict of input section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: the first mistake found
    """
    sampling = app.net_param.window_sampling
    # in the other applications a label may be one number, or a condition on another grid
    dense = hasattr(app, "segmentation_param") or hasattr(app, "regression_param")
    known = getattr(app, "SUPPORTED_SAMPLING", {sampling: None})
    check_known("[NETWORK] window_sampling", sampling, known)
    multiple = window_multiple(getattr(app.net_param, "name", ""))
    for number, reader in enumerate(app.readers):
        windows = window_sizes(
            reader.input_sources,
            data_param,
            () if training else app.action_param.spatial_window_size,
        )
        kind = GRID if training else getattr(app.action_param, "inference_windows", GRID)
        if kind != WHOLE:
            check_multiple(windows, multiple, app.net_param.name)
        shrink = getattr(app.action_param, "scaling_percentage", ()) if training else ()
        smallest = min(1.0, 1 + shrink[0] / 100) if shrink and number == 0 else 1.0
        for index, images in enumerate(reader.output_list):
            subject = reader.get_subject_id(index)
            if dense and len(images) > 1:
                check_grids(subject, images)
            if sampling != "resize" and kind == GRID:  # the others pad a volume to the window
                check_windows(subject, images, windows, app.net_param, smallest)


def check_whole_volumes(app: Any, data_param: Any, inference: Any) -> None:
    """Check the windows of the whole-volume validation.

    :param app: a NiftyNet application with its readers
    :param data_param: NiftyNet's dict of input section to parameters
    :param inference: parameters of [INFERENCE], or None
    :raises RefusedError: the window does not fit the network, or a volume of the validation set
    """
    reader, kind = app.readers[-1], getattr(inference, "inference_windows", GRID)
    if kind == WHOLE:
        return
    windows = window_sizes(
        reader.input_sources, data_param, getattr(inference, "spatial_window_size", ())
    )
    check_multiple(windows, window_multiple(app.net_param.name), app.net_param.name)
    for index, images in enumerate(reader.output_list if kind == GRID else ()):
        check_windows(reader.get_subject_id(index), images, windows, app.net_param, 1.0)


def window_sizes(
    sources: Mapping[str, Sequence[str]], data_param: Any, override: Sequence[int]
) -> dict[str, Window]:
    """Return the window of each input.

    :param sources: the input sections that ``image``, ``label``, ... are made of
    :param data_param: NiftyNet's dict of input section to parameters
    :param override: ``spatial_window_size`` of [INFERENCE], or empty
    :return: windows of ``image``, ``label``, ...
    """
    sizes = {}
    for name, sections in sources.items():
        own = getattr(data_param.get(sections[0]), "spatial_window_size", None)
        sizes[name] = tuple(override or own or ())
    return sizes


def check_multiple(windows: Mapping[str, Window], multiple: int, network: str) -> None:
    """Refuse a window that the network does not take.

    :param windows: windows of ``image``, ``label``, ...
    :param multiple: number that must divide every side
    :param network: its name, for the message
    :raises RefusedError: it does not divide a side; the message has the nearest smaller window
    """
    for name, window in windows.items():
        if any(side > 0 and side % multiple for side in window):
            near = tuple(max(side // multiple, 1) * multiple for side in window)
            raise RefusedError(
                f"spatial_window_size of the {name} is {window}: {network} needs "
                f"multiples of {multiple}, e.g. {near}"
            )


def check_grids(subject: str, images: Mapping[str, Any]) -> None:
    """Refuse images of one subject that are not on the same grid.

    :param subject: id, for the message
    :param images: NiftyNet's image objects ``image``, ``label``, ...
    :raises RefusedError: shapes or affines differ
    """
    (first_name, first), *others = images.items()
    for name, other in others:
        files = f"{first_name} {first.file_path[0]}, {name} {other.file_path[0]}"
        if tuple(other.shape[:3]) != tuple(first.shape[:3]):
            raise RefusedError(
                f"subject {subject}: {first_name} and {name} differ in shape: "
                f"{tuple(first.shape[:3])} and {tuple(other.shape[:3])} ({files}). Resample one to "
                f"the grid of the other, or give both sections the same pixdim and axcodes"
            )
        shift = grid_shift(first, other)
        if shift > GRID_TOLERANCE:
            raise RefusedError(
                f"subject {subject}: {first_name} and {name} are shifted: their affines place "
                f"the same voxel up to {shift:.2f} voxels apart ({files}). Correct the wrong affine"
            )


def grid_shift(first: Any, second: Any) -> float:
    """Return the largest distance between the corners of two grids, in voxels of the first.

    :param first: NiftyNet's image object
    :param second: another of the same shape
    """
    if first.spatial_rank < 3:  # 2-D pictures have no meaningful affine
        return 0.0
    affines = []
    for image in (first, second):
        affine, shape = image.original_affine[0], image.original_shape[:3]
        if image.output_axcodes[0]:  # NiftyNet turns both to the same axes
            turn = nibabel.orientations.io_orientation(affine)
            affine = affine @ nibabel.orientations.inv_ornt_aff(turn, shape)
        affines.append(affine)
    # where NiftyNet resamples, only the first voxel and the directions are comparable
    shape = (1, 1, 1) if first.output_pixdim[0] else tuple(first.shape[:3])
    corners = np.stack(np.meshgrid(*[(0, side - 1) for side in shape], [1.0]), -1).reshape(-1, 4)
    apart = np.linalg.norm((corners @ (affines[0] - affines[1]).T)[:, :3], axis=1).max()
    return float(apart / np.linalg.norm(affines[0][:3, :3], axis=0).min())


def check_windows(
    subject: str,
    images: Mapping[str, Any],
    windows: Mapping[str, Window],
    net_param: Any,
    smallest: float,
) -> None:
    """Refuse a window that does not fit a volume.

    :param subject: id, for the message
    :param images: NiftyNet's image objects ``image``, ``label``, ...
    :param windows: windows of the same names
    :param net_param: parameters of [NETWORK], for the padding of volumes
    :param smallest: factor of the smallest random scaling
    :raises RefusedError: the window does not fit
    """
    for name, image in images.items():
        window = windows[name]
        shape = padded(image.shape[:3], net_param)
        scaled = tuple(int(round(side * smallest)) if side > 1 else side for side in shape)
        if any(wanted > side for wanted, side in zip(window, scaled, strict=False)):
            after = f", and {scaled} after scaling by {smallest:g}" if scaled != shape else ""
            raise RefusedError(
                f"subject {subject}: the {name} is {shape} voxels{after}; spatial_window_size "
                f"{window} does not fit. Use a smaller window or set volume_padding_to_size in "
                f"[NETWORK] ({image.file_path[0]})"
            )


def padded(shape: Sequence[int], net_param: Any) -> tuple[int, ...]:
    """Return a spatial shape after NiftyNet's PadLayer.

    :param shape: spatial shape of the volume
    :param net_param: parameters of [NETWORK]
    """
    pad_to = tuple(getattr(net_param, "volume_padding_to_size", (0,)))
    if pad_to != (0,):
        pad_to += (0,) * (3 - len(pad_to))
        return tuple(max(int(side), goal) for side, goal in zip(shape, pad_to, strict=True))
    border = tuple(getattr(net_param, "volume_padding_size", (0, 0, 0)))
    border += (0,) * (3 - len(border))
    return tuple(int(side) + 2 * edge for side, edge in zip(shape, border, strict=True))
