"""The sub-pixel shuffle against the formula of its documentation, element by element."""

import itertools
import math

import numpy as np
import pytest


def by_formula(values, shape):
    """P[s] = T[h], with h_i = s_i // g_i and h_q = S_q * sum_j G_j (s_j mod g_j) + s_q."""
    q = shape.index(None)
    others = [i for i in range(len(shape)) if i != q]
    g = {i: math.ceil(shape[i] / values.shape[i]) for i in others}
    size_q = values.size // math.prod(shape[i] for i in others)
    full = [size_q if size is None else size for size in shape]
    out = np.empty(full, values.dtype)
    for s in itertools.product(*map(range, full)):
        factor, h_q = 1, s[q]
        for j in others:
            h_q += size_q * factor * (s[j] % g[j])
            factor *= g[j]
        out[s] = values[tuple(h_q if i == q else s[i] // g[i] for i in range(len(s)))]
    return out


@pytest.mark.parametrize(
    "old, new",
    [
        ((3, 4), [6, None]),
        ((2, 3, 4, 8), [2, 6, 8, None]),
        ((1, 2, 3, 2, 27), [1, 6, 9, 6, None]),
        ((2, 2, 8), [4, 4, None]),
        ((8, 3, 2), [None, 6, 4]),
        ((3, 6), [5, None]),
    ],
)
def test_formula(tf, evaluate, old, new):
    values = np.arange(math.prod(old), dtype=np.float32).reshape(old)
    out = evaluate(tf.contrib.periodic_resample.periodic_resample(tf.constant(values), new))
    assert np.array_equal(out, by_formula(values, new))


def test_refusals(tf):
    resample = tf.contrib.periodic_resample.periodic_resample
    with pytest.raises(ValueError, match="one of them None"):
        resample(tf.ones((2, 8)), [4, 4])
    with pytest.raises(ValueError, match="known shape"):
        resample(tf.placeholder(tf.float32, (None, 8)), [4, None])
    with pytest.raises(ValueError, match=r"cannot become \[1, 16\]"):
        resample(tf.ones((2, 8)), [1, None])
