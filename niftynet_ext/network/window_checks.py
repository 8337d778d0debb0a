"""What a network requires of its input, checked with a clear message before the graph is built."""

from __future__ import annotations

import sys

import tensorflow as tf


def check_classes(network_name: str, num_classes: int) -> None:
    """Refuse a network that could not tell foreground from background.

    :param network_name: for the message
    :param num_classes: from ``num_classes`` in [SEGMENTATION]
    :raises ValueError: fewer than two classes (the background is a class)
    """
    if num_classes < 2:
        raise ValueError(
            f"{network_name} needs num_classes >= 2 (the background is a class), got "
            f"{num_classes}: set num_classes in [SEGMENTATION]"
        )


def check_window(network_name: str, images: tf.Tensor, multiple: int) -> tf.Tensor:
    """Refuse a window that the network cannot divide into cells.

    :param network_name: for the message
    :param images: (batch, X, Y, Z, channels); unknown sizes are checked when the graph runs
    :param multiple: every spatial size must be a multiple of it
    :return: ``images``, with a run-time check attached where a size is unknown
    :raises ValueError: not three spatial axes, or a size that is not a multiple
    """
    if images.shape.ndims != 5:
        raise ValueError(
            f"{network_name} works on (batch, X, Y, Z, channels), got shape "
            f"{images.shape.as_list()}: set a three-dimensional spatial_window_size"
        )
    window = images.shape.as_list()[1:4]
    message = (
        f"{network_name}: every side of spatial_window_size must be a multiple of {multiple}; "
        f"change spatial_window_size in the sections of both image and label in the ini file, "
        f"e.g. 192,192,48; got "
    )
    if any(size is not None and size % multiple for size in window):
        raise ValueError(message + ",".join("?" if size is None else str(size) for size in window))
    if None in window:
        sizes = tf.shape(images)[1:4]
        check = tf.assert_equal(sizes % multiple, 0, data=[message, sizes], summarize=3)
        with tf.control_dependencies([check]):
            images = tf.identity(images)
    return images


def window_multiple(network_name: str) -> int:
    """Return the number that must divide every side of a network's window.

    A module of networks states it as ``WINDOW_MULTIPLE``; a network inherits it with its class.

    :param network_name: short or dotted name of a network; empty for none
    :return: the multiple, 1 where no module states it
    """
    from niftynet.engine.application_factory import ApplicationNetFactory

    if not network_name:
        return 1
    for base in ApplicationNetFactory.create(network_name).__mro__:
        multiple = getattr(sys.modules.get(base.__module__), "WINDOW_MULTIPLE", None)
        if multiple:
            return int(multiple)
    return 1
