"""Checks of the images and labels of a ``train`` or ``inference`` before its graph is built.

Grids and windows are judged by the files' headers, as NiftyNet's readers see them (turned to
``axcodes``, resampled to ``pixdim``). Label values need the data: each label is read once, and
what was found is kept in the model folder under the file's size and time of change.
"""

import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
from niftynet.io.image_loader import load_image_obj

from data_prep.core.files import write_json
from niftynet_ext.core.choices import GRID, WHOLE
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import check_known, say, some
from niftynet_ext.network.window_checks import window_multiple

CACHE = "label_values.json"
GRID_TOLERANCE = 0.1  # of a voxel: image and label of one patient may differ by rounding
THREADS = 4  # decompressing releases the interpreter's lock


def check_files(app, data_param, training):
    """
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


def check_whole_volumes(app, data_param, inference):
    """
    :param app: a NiftyNet application with its readers
    :param data_param: NiftyNet's dict of input section to parameters
    :param inference: parameters of [INFERENCE], or None
    :raises RefusedError: it does not fit the network, or a volume of the validation set
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


def window_sizes(sources, data_param, override):
    """
    :param sources: dict of ``image``, ``label``, ... to the input sections it is made of
    :param data_param: dict of input section to parameters
    :param override: ``spatial_window_size`` of [INFERENCE], or empty
    :return: dict of ``image``, ``label``, ... to window size; sides below 1 mean the whole side
    """
    sizes = {}
    for name, sections in sources.items():
        own = getattr(data_param.get(sections[0]), "spatial_window_size", None)
        sizes[name] = tuple(override or own or ())
    return sizes


def check_multiple(windows, multiple, network):
    """
    :param windows: dict of name to window size
    :param multiple: number that divides every side
    :param network: its name, for the message
    :raises RefusedError: one that does not; names the nearest smaller window
    """
    for name, window in windows.items():
        if any(side > 0 and side % multiple for side in window):
            near = tuple(max(side // multiple, 1) * multiple for side in window)
            raise RefusedError(
                f"spatial_window_size of the {name} is {window}: {network} needs "
                f"multiples of {multiple}, e.g. {near}"
            )


def check_grids(subject, images):
    """
    :param subject: id, for the message
    :param images: dict of ``image``, ``label``, ... to NiftyNet's image object
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
                f"subject {subject}: {first_name} and {name} lie apart: their affines put the same "
                f"voxel up to {shift:.2f} voxels away ({files}). Correct the affine that is wrong"
            )


def grid_shift(one, other):
    """
    :param one: NiftyNet's image object
    :param other: another of the same shape
    :return: largest distance between the corners of their grids, in voxels of the first
    """
    if one.spatial_rank < 3:  # pictures have no affine worth the name
        return 0.0
    affines = []
    for image in (one, other):
        affine, shape = image.original_affine[0], image.original_shape[:3]
        if image.output_axcodes[0]:  # NiftyNet turns both to the same axes
            turn = nibabel.orientations.io_orientation(affine)
            affine = affine @ nibabel.orientations.inv_ornt_aff(turn, shape)
        affines.append(affine)
    if one.output_pixdim[0]:  # resampled: only the first voxel and the directions are comparable
        shape = (1, 1, 1)
    else:
        shape = np.asarray(one.shape[:3])
    corners = np.stack(np.meshgrid(*[(0, side - 1) for side in shape], [1.0]), -1).reshape(-1, 4)
    apart = np.linalg.norm((corners @ (affines[0] - affines[1]).T)[:, :3], axis=1).max()
    return apart / np.linalg.norm(affines[0][:3, :3], axis=0).min()


def check_windows(subject, images, windows, net_param, smallest):
    """
    :param subject: id, for the message
    :param images: dict of ``image``, ``label``, ... to NiftyNet's image object
    :param windows: dict of the same names to window size
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


def padded(shape, net_param):
    """
    :param shape: spatial shape
    :param net_param: parameters of [NETWORK]
    :return: shape after NiftyNet's PadLayer
    """
    pad_to = tuple(getattr(net_param, "volume_padding_to_size", (0,)))
    if pad_to != (0,):
        pad_to += (0,) * (3 - len(pad_to))
        return tuple(max(int(side), goal) for side, goal in zip(shape, pad_to, strict=True))
    border = tuple(getattr(net_param, "volume_padding_size", (0, 0, 0)))
    border += (0,) * (3 - len(border))
    return tuple(int(side) + 2 * edge for side, edge in zip(shape, border, strict=True))


def check_labels(app, model_dir):
    """Values of every label of a segmentation, training and validation.

    :param app: NiftyNet's segmentation application with its readers
    :param model_dir: NiftyNet's model folder, where what was found is kept
    :raises RefusedError: values outside 0..C-1, or nothing but background
    """
    task = app.segmentation_param
    if task.label_normalisation:
        return  # NiftyNet maps whatever values there are
    files = {}
    for reader in app.readers:
        for index, images in enumerate(reader.output_list):
            if "label" in images:
                label = images["label"]
                if label.interp_order[0] > 0:
                    say_once(
                        f"labels are interpolated (interp_order = {label.interp_order[0]}) "
                        f"into values between the classes; set interp_order = 0"
                    )
                files[reader.get_subject_id(index)] = label
    found = read_label_values(files, Path(model_dir, CACHE))
    allowed = set(range(task.num_classes))
    for subject, values in found.items():
        if not set(values) <= allowed:
            odd = sorted(set(values) - allowed)
            raise RefusedError(
                f"subject {subject}: the label has the values {some(odd)}; num_classes = "
                f"{task.num_classes} allows 0 to {task.num_classes - 1}. Change the values or "
                f"num_classes, or set label_normalisation ({files[subject].file_path[0]})"
            )
    empty = [subject for subject, values in found.items() if set(values) == {0}]
    if found and len(empty) == len(found):
        raise RefusedError(
            f"all {len(empty)} labels are background only, e.g. "
            f"{files[empty[0]].file_path[0]}: there is nothing to learn"
        )
    if empty:
        say(f"{len(empty)} of {len(found)} labels are background only: {some(empty)}")


_said = set()


def say_once(text):
    """:param text: for :func:`~niftynet_ext.core.messages.say`, but once a process"""
    if text not in _said:
        _said.add(text)
        say(text)


def read_label_values(files, cache):
    """
    :param files: dict of subject to NiftyNet's image object
    :param cache: JSON file of earlier findings; written anew when something was read
    :return: dict of subject to sorted list of values
    :raises RefusedError: a label cannot be read
    """
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}

    def values(image):
        path = image.file_path[0]
        state = os.stat(path)
        stamp = [state.st_size, state.st_mtime_ns]
        if path not in known or known[path]["stamp"] != stamp:
            try:
                data = np.asanyarray(load_image_obj(path, image.loader[0]).dataobj)
            except (OSError, EOFError, ValueError, zlib.error) as error:
                raise RefusedError(
                    f"{path} cannot be read: {str(error).splitlines()[0]} Is it cut "
                    f"off? Write it anew"
                ) from error
            known[path] = {"stamp": stamp, "values": label_values(data)}
        return known[path]["values"]

    before = len(known), str(known)
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(files, pool.map(values, files.values()), strict=True))
    if (len(known), str(known)) != before:
        write_json(cache, known)
    return found


def label_values(data, most=50):
    """
    :param data: label array of any type
    :param most: how many values to return
    :return: sorted list of the distinct values
    """
    return [float(v) if v % 1 else int(v) for v in np.unique(data)[:most]]
