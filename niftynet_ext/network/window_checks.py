"""What a network asks of its input, said clearly before the graph is built."""

import sys

import tensorflow as tf


def check_classes(name, num_classes):
    """
    :param name: network name, for the message
    :param num_classes: from ``num_classes`` in [SEGMENTATION]
    :raises ValueError: fewer than two classes (background is one of them)
    """
    if num_classes < 2:
        raise ValueError(
            f"{name} needs num_classes >= 2 (background counts as one), got {num_classes}: "
            f"set num_classes in [SEGMENTATION]"
        )


def check_window(name, images, multiple):
    """
    :param name: network name, for the message
    :param images: (batch, X, Y, Z, C); unknown sizes are checked when the graph runs
    :param multiple: every spatial size must be a multiple of it
    :return: ``images``, with a run-time check attached where a size is unknown
    :raises ValueError: not three spatial axes, or a size that is no multiple
    """
    if images.shape.ndims != 5:
        raise ValueError(
            f"{name} works on (batch, X, Y, Z, channels), got shape "
            f"{images.shape.as_list()}: set a three-dimensional spatial_window_size"
        )
    window = images.shape.as_list()[1:4]
    message = (
        f"{name}: every side of spatial_window_size must be a multiple of {multiple}; "
        f"change spatial_window_size in the ini file (both the one of the image and the "
        f"one of the label), e.g. 192,192,48; got "
    )
    if any(size is not None and size % multiple for size in window):
        raise ValueError(message + ",".join("?" if s is None else str(s) for s in window))
    if None in window:
        sizes = tf.shape(images)[1:4]
        check = tf.assert_equal(sizes % multiple, 0, data=[message, sizes], summarize=3)
        with tf.control_dependencies([check]):
            images = tf.identity(images)
    return images


def window_multiple(name):
    """
    :param name: network, short or dotted; a module of networks may say ``WINDOW_MULTIPLE``
    :return: number that divides every side of its window
    """
    from niftynet.engine.application_factory import ApplicationNetFactory

    if not name:
        return 1
    bases = ApplicationNetFactory.create(name).__mro__
    return next(
        (
            multiple
            for multiple in (
                getattr(sys.modules.get(base.__module__), "WINDOW_MULTIPLE", None) for base in bases
            )
            if multiple
        ),
        1,
    )
