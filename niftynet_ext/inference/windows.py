"""``inference_windows`` in [INFERENCE]: NiftyNet's grid, blended windows, or the whole volume.

NiftyNet cuts a volume into windows and lets the last one win where they overlap, which leaves
seams; and it stops at a volume that is smaller than the window.
"""

import numpy as np
import tensorflow as tf
from niftynet.engine.image_window import LOCATION_FORMAT
from niftynet.engine.sampler_grid_v2 import GridSampler, grid_spatial_coordinates
from niftynet.engine.windows_aggregator_grid import GridSamplesAggregator

from niftynet_ext.core.choices import GRID, WHOLE
from niftynet_ext.inference.blending import Blend


def evenly(size, window, step):
    """
    :param size: of the volume along an axis, at least that of the window
    :param window: its side
    :param step: at most, between the first voxels of neighbours
    :return: first voxels of the fewest windows that reach from end to end
    """
    missing = size - window
    return np.linspace(0, missing, -(-missing // step) + 1).round().astype(int)


def placement(kind, shape, window, border, multiple):
    """Where the windows of one volume lie.

    :param kind: one of :data:`niftynet_ext.core.choices.INFERENCE_WINDOWS` but ``grid``
    :param shape: (X, Y, Z) of the volume
    :param window: three sides; of no matter for the whole volume
    :param border: half the overlap of neighbours, at least; 0: an eighth of that side
    :param multiple: the network takes windows with sides that are multiples of it
    :return: sides of the window; (n, 3) first voxels. A window may reach beyond the volume, where
        it is to be padded
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
    return window, np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)


def cut(image, first, window):
    """
    :param image: (X, Y, Z, ...)
    :param first: voxel that the window begins at
    :param window: three sides
    :return: (*window, ...), the image's edge repeated where the window reaches beyond it
    """
    part = image[
        tuple(slice(start, start + side) for start, side in zip(first, window, strict=True))
    ]
    missing = [(0, side - there) for side, there in zip(window, part.shape[:3], strict=True)]
    if not any(after for _, after in missing):
        return part
    return np.pad(part, missing + [(0, 0)] * (part.ndim - 3), mode="edge")


def infer_volume(kind, image, window, border, multiple, infer):
    """A volume in windows, as ``net_segment inference`` does it.

    :param kind: one of :data:`niftynet_ext.core.choices.INFERENCE_WINDOWS`
    :param image: (X, Y, Z, channels)
    :param window: three sides; below 1 the whole side
    :param border: three widths; see ``inference_windows``
    :param multiple: as for :func:`placement`
    :param infer: function of a window (x, y, z, channels) to (x, y, z, classes)
    :return: (X, Y, Z, classes)
    """
    shape = image.shape[:3]
    window = tuple(side if side > 0 else whole for side, whole in zip(window, shape, strict=True))
    if kind == GRID:
        return infer_grid(image, window, border, infer)
    window, corners = placement(kind, shape, window, border, multiple)
    blend = None
    for first in corners:
        found = infer(cut(image, first, window))
        blend = blend or Blend(shape, found.shape[-1])
        blend.add(found, first)
    return blend.result()


def infer_grid(image, window, border, infer):
    """As NiftyNet's grid sampler cuts and its aggregator pastes: the last window wins."""
    corners = grid_spatial_coordinates(0, {"image": image.shape[:3]}, {"image": window}, border)[
        "image"
    ]
    result = None
    for first, last in corners[:, 1:].reshape(-1, 2, 3):
        found = infer(image[tuple(map(slice, first, last))])
        if result is None:
            result = np.zeros((*image.shape[:3], found.shape[-1]), found.dtype)
        inside = tuple(slice(edge, side - edge) for edge, side in zip(border, window, strict=True))
        target = tuple(map(slice, first + border, last - np.asarray(border)))
        result[target] = found[inside]
    return result


class SeamlessSampler(GridSampler):
    """NiftyNet's grid sampler with the windows of :func:`placement`.

    :param kind: as for :func:`placement`
    :param multiple: as for :func:`placement`
    """

    def __init__(self, kind, multiple, **options):
        self.kind, self.multiple = kind, multiple
        if kind == WHOLE:  # one at a time
            options |= {"spatial_window_size": (0, 0, 0), "batch_size": 1}
        super().__init__(name="seamless_sampler", **options)
        if kind == WHOLE:  # another shape for each volume; NiftyNet takes the first one's for all
            self.window.set_spatial_shape((0, 0, 0))

    def layer_op(self):
        """Windows with their locations, then NiftyNet's stop signal."""
        output = None
        while True:
            image_id, data, _ = self.reader(idx=None, shuffle=False)
            if not data:
                break
            image = data["image"]
            sides = self.window.match_image_shapes({"image": image.shape})["image"]
            window, corners = placement(
                self.kind, image.shape[:3], sides[:3], self.border_size, self.multiple
            )
            # whole batches only; the aggregator leaves out what comes twice
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
                "inference found no volume to read: look at csv_file of the image, "
                "dataset_split_file and dataset_to_infer"
            )
        yield {name: np.full_like(value, -1) for name, value in output.items()}


class BlendingAggregator(GridSamplesAggregator):
    """NiftyNet's grid aggregator with :class:`Blend` in the place of the last window's word."""

    blends, seen = None, ()

    def decode_batch(self, window, location):
        """
        :param window: dict of name to (batch, x, y, z, channels)
        :param location: (batch, 7) of image, first voxel, end
        :return: False at the stop signal
        """
        for i, (image_id, *first) in enumerate(location[:, :4].astype(int).tolist()):
            if image_id != self.image_id:
                self.finish()
                if self._is_stopping_signal(location[i]):
                    return False
                self.csv_out, self.seen = {}, set()
                # also sets the image's number, and pads as volume_padding_size asks
                shape = self._initialise_empty_image(image_id, 1, np.uint8).shape[:3]
                self.blends = {key: Blend(shape, found.shape[-1]) for key, found in window.items()}
            if tuple(first) in self.seen:
                continue
            self.seen.add(tuple(first))
            for key, found in window.items():
                self.blends[key].add(found[i], first)
        return True

    def finish(self):
        """Write the volume that is complete."""
        if self.blends:
            self.image_out = {key: blend.result() for key, blend in self.blends.items()}
            self._save_current_image()
            self.blends = None


def choose(module):
    """Let ``inference_windows`` choose sampler and aggregator of a segmentation.

    :param module: ``niftynet.application.segmentation_application``
    """
    application = module.SegmentationApplication
    grid_sampler, grid_aggregator = (
        application.initialise_grid_sampler,
        application.initialise_grid_aggregator,
    )

    def kind(self):
        return getattr(self.action_param, "inference_windows", GRID)

    def initialise_grid_sampler(self):
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

    def initialise_grid_aggregator(self):
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
