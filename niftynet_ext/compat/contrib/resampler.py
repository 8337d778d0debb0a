"""``tf.contrib.resampler.resampler``: NiftyNet's 2-D linear resampling with a zero boundary."""

from __future__ import annotations

import tensorflow as tf


def resampler(data: tf.Tensor, warp: tf.Tensor, name: str = "resampler") -> tf.Tensor:
    """Interpolate bilinearly at given points; outside the image the value is zero.

    Between the outermost pixels and one pixel further out the value falls linearly to zero.
    Differentiable by the image and by the points.

    :param data: (batch, height, width, channels)
    :param warp: (batch, ..., 2) points as (x, y): x counts along the width, y along the height
    :param name: scope name
    :return: (batch, ..., channels)
    """
    with tf.name_scope(name):
        data, warp = tf.convert_to_tensor(data), tf.convert_to_tensor(warp)
        size = tf.cast(tf.shape(data)[2:0:-1], warp.dtype)  # width, height
        inside = tf.reduce_all((warp > -1.0) & (warp < size), axis=-1, keepdims=True)
        # a point outside (or NaN) becomes the corner of a frame of zeros around the image
        warp = tf.where(tf.broadcast_to(inside, tf.shape(warp)), warp, -tf.ones_like(warp))
        framed = tf.pad(data, [[0, 0], [1, 1], [1, 1], [0, 0]])
        low = tf.floor(warp)
        x_high, y_high = tf.unstack(tf.expand_dims(warp - low, -2), axis=-1)
        column, row = tf.unstack(tf.cast(low, tf.int32) + 1, axis=-1)

        def pixels(dy: int, dx: int) -> tf.Tensor:
            return tf.gather_nd(framed, tf.stack([row + dy, column + dx], -1), batch_dims=1)

        above = pixels(0, 0) * (1.0 - x_high) + pixels(0, 1) * x_high
        below = pixels(1, 0) * (1.0 - x_high) + pixels(1, 1) * x_high
        return above * (1.0 - y_high) + below * y_high
