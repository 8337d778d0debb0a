"""``tf.contrib.periodic_resample.periodic_resample``: the shuffle of ``SubPixelLayer``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def periodic_resample(
    values: tf.Tensor, shape: Sequence[int | None], name: str | None = None
) -> tf.Tensor:
    """Enlarge some axes by the elements of another axis, which shrinks (Shi et al., 2016).

    With factors ``g_j = ceil(shape_j / T_j)``, element ``s`` of the result is that of ``values``
    with index ``s_j // g_j`` on the enlarged axes and, on the shrinking axis q,
    ``S_q * sum_j G_j (s_j mod g_j) + s_q``, where ``G_j`` is the product of the factors before j.

    :param values: tensor of known shape T
    :param shape: sizes of the result, at least T's; None (or -1) for the axis that shrinks
    :param name: scope name
    :return: tensor; its size S_q on that axis is ``prod(T) // prod(other sizes)``
    :raises ValueError: unknown shape, none or several axes to shrink, too few elements
    """
    values = tf.convert_to_tensor(values)
    old: list[Any] = values.shape.as_list() if values.shape.rank is not None else [None]
    asked = [None if size is None or size == -1 else int(size) for size in shape]
    if None in old or len(asked) != len(old) or asked.count(None) != 1:
        raise ValueError(
            f"periodic_resample: expected a known shape, and a new size for each axis, exactly "
            f"one of them None; got shape {values.shape} and sizes {asked}"
        )
    q = asked.index(None)
    new = [0 if size is None else size for size in asked]
    axes = [axis for axis in range(len(old)) if axis != q]
    factors = [math.ceil(new[axis] / old[axis]) for axis in axes]
    new[q] = math.prod(old) // math.prod(new[axis] for axis in axes)
    needed = new[q] * math.prod(factors)
    if needed > old[q] or any(new[axis] < old[axis] for axis in axes):
        raise ValueError(f"periodic_resample: {values.shape} cannot become {new}")
    with tf.name_scope(name or "periodic_resample"):
        # the shrinking axis last, split into (last factor, ..., first factor, S_q)
        flow = tf.transpose(values, [*axes, q])[..., :needed]
        flow = tf.reshape(flow, [old[axis] for axis in axes] + factors[::-1] + [new[q]])
        n = len(axes)
        pairs = [axis for j in range(n) for axis in (j, 2 * n - 1 - j)]
        flow = tf.transpose(flow, [*pairs, 2 * n])
        flow = tf.reshape(
            flow,
            [old[axis] * factor for axis, factor in zip(axes, factors, strict=True)] + [new[q]],
        )
        flow = flow[tuple(slice(new[axis]) for axis in axes)]
        return tf.transpose(flow, [(*axes, q).index(axis) for axis in range(len(old))])
