"""NiftyNet's uniform sampler with the deformation computed where the windows are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from niftynet.engine.image_window import LOCATION_FORMAT
from niftynet.engine.sampler_uniform_v2 import UniformSampler, rand_spatial_coordinates

from niftynet_ext.core.errors import RefusedError
from niftynet_ext.sampler import deform, draw, volumes

# NiftyNet is untyped: its objects (reader, layers) are Any


class DeformedWindowSampler(UniformSampler):
    """Windows, locations, queues and order of subjects like NiftyNet's UniformSampler.

    A single deformation is drawn for all ``windows_per_image`` windows when a subject is read.

    :param reader: NiftyNet's image reader with its preprocessing layers
    :param store: which other samplers may use as well
    :param foreground_share: of the windows, centred on a voxel of the label that is not 0
    :param options: of NiftyNet's UniformSampler
    :raises RefusedError: layers or images for which there is no such sampling
    """

    def __init__(
        self,
        reader: Any,
        store: volumes.VolumeStore,
        foreground_share: float = 0.0,
        **options: Any,
    ) -> None:
        self.store, self.foreground_share = store, foreground_share
        self.fixed_layers, self.random_layers = draw.split(reader.preprocessors)
        self.orders = interpolation_orders(reader, self.random_layers)
        super().__init__(reader=reader, **options)
        self.window_centers_sampler = self._window_centres

    def layer_op(self, idx: Any) -> dict[str, np.ndarray]:
        """Cut the windows of a subject.

        :param idx: index of the subject
        :return: windows (n, x, y, z, 1, channels) and locations (n, 7), by NiftyNet's names
        """
        subject = int(idx)
        stored = self.store.get((self.reader, subject), lambda: self._prepare(subject))
        drawn = draw.draw(self.random_layers, stored["shape"]) if self.random_layers else None
        shape = drawn.shape if drawn else tuple(stored["shape"].tolist())
        shapes = {name: (*shape, 1, len(stored[name])) for name in self.window.names}
        # the whole deformed label tells where the tumour is now
        label = None
        if self.foreground_share > 0:
            label = whole(stored["label"], self.orders["label"], drawn)
        locations = self._spatial_coordinates_generator(
            subject_id=subject,
            data={"sampler": label},
            img_sizes=shapes,
            win_sizes=self.window.match_image_shapes(shapes),
            n_samples=self.window.n_samples,
        )
        output = {}
        for name, location in locations.items():
            given = label if name == "label" else None
            output[name] = self._cut(name, stored[name], drawn, location, given)
            output[LOCATION_FORMAT.format(name)] = location.astype(np.int32)
        return output

    def dataset_preprocessing(self, dataset: Any) -> Any:
        """Queue and shuffle like NiftyNet, but windows that are copied.

        TensorFlow's windows are views of all windows of their volume: none of that memory would be
        free until the last of them has left the queue.

        :param dataset: of single windows
        :return: of batches
        """
        copied = dataset.map(
            lambda window: {name: tf.raw_ops.DeepCopy(x=value) for name, value in window.items()}
        )
        return super().dataset_preprocessing(copied)

    def _prepare(self, subject: int) -> volumes.Arrays:
        """Return stored channels by name, and their spatial ``shape``, an array too."""
        data = volumes.read(self.reader, subject, self.fixed_layers)
        shapes = {name: array.shape[:4] for name, array in data.items()}
        if len(set(shapes.values())) > 1 or any(shape[3] != 1 for shape in shapes.values()):
            raise RefusedError(
                f"subject {self.reader.get_subject_id(subject)}: window_sampling = uniform_fast "
                f"needs inputs of the same shape (x, y, z, 1), found {shapes}"
            )
        shape = np.array(next(iter(shapes.values()))[:3])
        return {**volumes.prepare(data, self.orders, bool(self.random_layers)), "shape": shape}

    def _cut(
        self,
        name: str,
        channels: np.ndarray,
        drawn: deform.Deformation | None,
        location: np.ndarray,
        given: np.ndarray | None,
    ) -> np.ndarray:
        """Return windows (n, x, y, z, 1, channels) of the type that NiftyNet expects.

        :param given: the whole deformed volumes, where they are known already
        """
        starts, size = location[:, 1:4], location[0, 4:7] - location[0, 1:4]
        dtype = self.window.tf_dtypes[name].as_numpy_dtype
        out = deform.empty((len(starts), *size, 1, len(channels)), dtype)
        for number, channel in enumerate(channels):
            place = out[..., 0, number]
            if drawn is None or given is not None:
                deform.crop(channel if given is None else given[number], starts, place)
            else:
                deform.windows(channel, self.orders[name], drawn, starts, place)
        return out

    def _window_centres(
        self,
        number: int,
        image_size: np.ndarray,
        window_size: np.ndarray,
        label: np.ndarray | None,
    ) -> np.ndarray:
        """Draw like NiftyNet, and for a share of the windows a voxel of the label.

        :param label: (channels, x, y, z), or None
        :return: (number, 3) centres of windows that lie inside the volume
        """
        centres = rand_spatial_coordinates(number, image_size, window_size, None)
        if label is None:
            return centres
        chosen = np.random.random(number) < self.foreground_share
        voxels = np.flatnonzero(label[0] > 0.5)
        if voxels.size:
            drawn = voxels[np.random.randint(0, voxels.size, chosen.sum())]
            half = window_size // 2
            centres[chosen] = np.clip(
                np.stack(np.unravel_index(drawn, label[0].shape), axis=-1),
                half,
                image_size - window_size + half,
            )
        return centres


def whole(channels: np.ndarray, order: int, drawn: deform.Deformation | None) -> np.ndarray:
    """Deform whole volumes.

    :param channels: stored volumes
    :param order: of interpolation
    :param drawn: what was drawn, or None
    :return: (channels, x, y, z)
    """
    if drawn is None:
        return channels
    return np.stack(
        [deform.box(channel, order, drawn, (0, 0, 0), drawn.shape) for channel in channels]
    )


def interpolation_orders(reader: Any, random_layers: Iterable[Any]) -> dict[str, int]:
    """Return the order of interpolation of ``image``, ``label``, ...

    :param reader: NiftyNet's image reader
    :param random_layers: its augmentation layers
    :raises RefusedError: an order is not 0, 1 or 3, an input has several, or an image is not 3-D
    """
    known = set(deform.INTERPOLATORS)
    found = {}
    for index, images in enumerate(reader.output_list):
        for name, image in images.items():
            orders = set(image.interp_order)
            if random_layers and (len(orders) > 1 or not orders <= known):
                raise RefusedError(
                    f"window_sampling = uniform_fast: the {name} has interp_order "
                    f"{sorted(orders)}; expected one of {sorted(known)} for all its sections. "
                    f"Change interp_order, or use window_sampling = uniform"
                )
            if image.spatial_rank != 3:
                raise RefusedError(
                    f"window_sampling = uniform_fast needs 3-D volumes; the {name} of subject "
                    f"{reader.get_subject_id(index)} is {image.shape[:3]} voxels. Use "
                    f"window_sampling = uniform ({image.file_path[0]})"
                )
            found[name] = image.interp_order[0]
    return found
