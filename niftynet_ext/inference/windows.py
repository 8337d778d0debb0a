"""``inference_windows`` in [INFERENCE]: NiftyNet's grid, blended windows, or the whole volume.

NiftyNet cuts a volume into windows and lets the last one win where they overlap, which leaves
seams; and it fails on a volume that is smaller than the window.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from niftynet.engine.image_window import LOCATION_FORMAT
from niftynet.engine.sampler_grid_v2 import GridSampler, grid_spatial_coordinates
from niftynet.engine.windows_aggregator_grid import GridSamplesAggregator

from niftynet_ext.core.choices import GRID, WHOLE
from niftynet_ext.inference.blending import Blend

# NiftyNet is untyped: its objects (reader, application, modules) are Any

Infer = Callable[[np.ndarray], np.ndarray]
"""Function of a window (x, y, z, channels) to (x, y, z, classes)."""


def evenly(size: int, window: int, step: int) -> npt.NDArray[np.int_]:
    """Place the fewest windows along one axis that reach from end to end.

    :param size: side of the volume in voxels, at least that of the window
    :param window: side of the window
    :param step: greatest distance between the first voxels of neighbours
    :return: first voxels of the windows
    """
    missing = size - window
    return np.linspace(0, missing, -(-missing // step) + 1).round().astype(int)


def placement(
    kind: str, shape: Sequence[int], window: Sequence[int], border: Sequence[int], multiple: int
) -> tuple[tuple[int, ...], np.ndarray]:
    """Place the windows of one volume.

    :param kind: ``gaussian`` or ``whole``
    :param shape: (X, Y, Z) of the volume
    :param window: three sides; ignored for the whole volume
    :param border: at least half the overlap of neighbours; 0: an eighth of that side
    :param multiple: the network takes windows with sides that are multiples of it
    :return: sides of the window; (n, 3) first voxels. A window may reach beyond the volume, where
        it has to be padded
    :raises ValueError: borders leave nothing of a window
    """
    if kind == WHOLE:
        window, border = tuple(-(-side // multiple) * multiple for side in shape), (0, 0, 0)
    steps = [side - 2 * (width or side // 8) for side, width in zip(window, border, strict=True)]
    if min(steps) < 1:
        raise ValueError(
            f"border = {tuple(border)} leaves nothing of windows of {tuple(window)}: "
            "expected less than half of each side"
        )
    along = map(evenly, map(max, shape, window), window, steps)
    return tuple(window), np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)


def cut(image: np.ndarray, first: Sequence[int], window: Sequence[int]) -> np.ndarray:
    """Cut a window out of an image; repeat the image's edge where the window reaches beyond it.

    :param image: (X, Y, Z, ...)
    :param first: voxel where the window begins
    :param window: three sides
    :return: (x, y, z, ...)
    """
    part = image[
        tuple(slice(start, start + side) for start, side in zip(first, window, strict=True))
    ]
    missing = [(0, side - there) for side, there in zip(window, part.shape[:3], strict=True)]
    if not any(after for _, after in missing):
        return part
    return np.pad(part, missing + [(0, 0)] * (part.ndim - 3), mode="edge")


def infer_volume(
    kind: str,
    image: np.ndarray,
    window: Sequence[int],
    border: Sequence[int],
    multiple: int,
    infer: Infer,
) -> np.ndarray:
    """Segment a volume in windows, as ``net_segment inference`` does it.

    :param kind: one of :data:`niftynet_ext.core.choices.INFERENCE_WINDOWS`
    :param image: (X, Y, Z, channels)
    :param window: three sides; below 1: the whole side of the volume
    :param border: three widths; see ``inference_windows``
    :param multiple: as for :func:`placement`
    :param infer: the network
    :return: (X, Y, Z, classes)
    """
    shape = image.shape[:3]
    window = tuple(side if side > 0 else whole for side, whole in zip(window, shape, strict=True))
    if kind == GRID:
        return infer_grid(image, window, border, infer)
    window, corners = placement(kind, shape, window, border, multiple)
    blend = None
    for first in corners:
        output = infer(cut(image, first, window))
        blend = blend or Blend(shape, output.shape[-1])
        blend.add(output, first)
    assert blend is not None  # a volume has at least one window
    return blend.result()


def infer_grid(
    image: np.ndarray, window: Sequence[int], border: Sequence[int], infer: Infer
) -> np.ndarray:
    """Segment a volume like NiftyNet's grid sampler and aggregator: the last window wins.

    :param image: (X, Y, Z, channels)
    :param window: three sides
    :param border: three widths that are cut off each window
    :param infer: the network
    :return: (X, Y, Z, classes)
    """
    corners = grid_spatial_coordinates(0, {"image": image.shape[:3]}, {"image": window}, border)[
        "image"
    ]
    result = None
    for first, last in corners[:, 1:].reshape(-1, 2, 3):
        output = infer(image[tuple(map(slice, first, last))])
        if result is None:
            result = np.zeros((*image.shape[:3], output.shape[-1]), output.dtype)
        inside = tuple(slice(edge, side - edge) for edge, side in zip(border, window, strict=True))
        target = tuple(map(slice, first + border, last - np.asarray(border)))
        result[target] = output[inside]
    assert result is not None  # a volume has at least one window
    return result


class SeamlessSampler(GridSampler):
    """NiftyNet's grid sampler with the windows of :func:`placement`.

    :param kind: as for :func:`placement`
    :param multiple: as for :func:`placement`
    :param options: of NiftyNet's grid sampler
    """

    def __init__(self, kind: str, multiple: int, **options: Any) -> None:
        self.kind, self.multiple = kind, multiple
        if kind == WHOLE:  # one volume at a time
            options |= {"spatial_window_size": (0, 0, 0), "batch_size": 1}
        super().__init__(name="seamless_sampler", **options)
        if kind == WHOLE:  # shapes differ; NiftyNet would use that of the first volume for all
            self.window.set_spatial_shape((0, 0, 0))

    def layer_op(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield windows with their locations, then NiftyNet's stop signal.

        :raises ValueError: there is no volume
        """
        output: dict[str, np.ndarray] | None = None
        while True:
            image_id, data, _ = self.reader(idx=None, shuffle=False)
            if not data:
                break
            image = data["image"]
            sides = self.window.match_image_shapes({"image": image.shape})["image"]
            window, corners = placement(
                self.kind, image.shape[:3], sides[:3], self.border_size, self.multiple
            )
            # full batches only; the aggregator leaves out repeated windows
            missing = -len(corners) % self.batch_size
            for first in np.concatenate([corners, corners[:1].repeat(missing, axis=0)]):
                location = np.array([[image_id, *first, *(first + window)]], np.int32)
                output = {
                    "image": cut(image, first, window)[np.newaxis],
                    LOCATION_FORMAT.format("image"): location,
                }
                yield output
        if output is None:
            raise ValueError(
                "inference found no volume to read: check csv_file of the image, "
                "dataset_split_file and dataset_to_infer"
            )
        yield {name: np.full_like(value, -1) for name, value in output.items()}


class BlendingAggregator(GridSamplesAggregator):
    """NiftyNet's grid aggregator with :class:`.Blend` instead of the rule that the last wins."""

    blends: dict[str, Blend] | None = None
    seen: set[tuple[int, ...]]

    def decode_batch(self, window: dict[str, np.ndarray], location: np.ndarray) -> bool:
        """Add the windows of a batch to their volumes.

        :param window: outputs (batch, x, y, z, channels) by name
        :param location: (batch, 7) of image, first voxel, end
        :return: False at the stop signal
        """
        for i, (image_id, *first) in enumerate(location[:, :4].astype(int).tolist()):
            if image_id != self.image_id:
                self.finish()
                if self._is_stopping_signal(location[i]):
                    return False
                self.csv_out: dict[str, Any] = {}
                self.seen = set()
                # also sets the image's number, and pads as volume_padding_size asks
                shape = self._initialise_empty_image(image_id, 1, np.uint8).shape[:3]
                self.blends = {
                    name: Blend(shape, output.shape[-1]) for name, output in window.items()
                }
            assert self.blends is not None  # made with the first window of each image
            if tuple(first) in self.seen:
                continue
            self.seen.add(tuple(first))
            for name, output in window.items():
                self.blends[name].add(output[i], first)
        return True

    def finish(self) -> None:
        """Write the volume that is complete."""
        if self.blends:
            self.image_out = {name: blend.result() for name, blend in self.blends.items()}
            self._save_current_image()
            self.blends = None


def choose(module: Any) -> None:
    """Let ``inference_windows`` choose sampler and aggregator of a segmentation.

    :param module: ``niftynet.application.segmentation_application``
    """
    application = module.SegmentationApplication
    grid_sampler, grid_aggregator = (
        application.initialise_grid_sampler,
        application.initialise_grid_aggregator,
    )

    def kind(self: Any) -> str:
        return getattr(self.action_param, "inference_windows", GRID)

    def initialise_grid_sampler(self: Any) -> Any:
        if kind(self) == GRID:
            return grid_sampler(self)
        from niftynet_ext.network.window_checks import window_multiple  # only if chosen

        tf.logging.info("inference_windows = %s", kind(self))
        self.sampler = [
            [
                SeamlessSampler(
                    kind(self),
                    window_multiple(self.net_param.name),
                    reader=reader,
                    window_sizes=self.data_param,
                    batch_size=self.net_param.batch_size,
                    spatial_window_size=self.action_param.spatial_window_size,
                    window_border=self.action_param.border,
                    queue_length=self.net_param.queue_length,
                )
                for reader in self.readers
            ]
        ]
        return None

    def initialise_grid_aggregator(self: Any) -> Any:
        if kind(self) == GRID:
            return grid_aggregator(self)
        self.output_decoder = BlendingAggregator(
            image_reader=self.readers[0],
            output_path=self.action_param.save_seg_dir,
            interp_order=self.action_param.output_interp_order,
            postfix=self.action_param.output_postfix,
        )
        return None

    application.initialise_grid_sampler = initialise_grid_sampler
    application.initialise_grid_aggregator = initialise_grid_aggregator
