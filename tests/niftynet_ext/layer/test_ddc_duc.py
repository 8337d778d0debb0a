"""DDC and DUC against their written channel orders (nested loops in NumPy)."""
import itertools

import numpy as np
import pytest

R = 2
CELL = list(itertools.product(range(R), repeat=3))


def ddc_numpy(image):
    """Channel ((c*r + z)*r + y)*r + x of a cell is the voxel at offset (x, y, z)."""
    *space, channels = image.shape[1:]
    out = np.empty((len(image), *(s // R for s in space), channels * R ** 3), image.dtype)
    for c in range(channels):
        for x, y, z in CELL:
            out[..., ((c * R + z) * R + y) * R + x] = image[:, x::R, y::R, z::R, c]
    return out


def duc_numpy(features):
    """Channel ((x*r + y)*r + z)*K + k goes to class k of the voxel at offset (x, y, z)."""
    *space, channels = features.shape[1:]
    classes = channels // R ** 3
    out = np.empty((len(features), *(s * R for s in space), classes), features.dtype)
    for k in range(classes):
        for x, y, z in CELL:
            out[:, x::R, y::R, z::R, k] = features[..., ((x * R + y) * R + z) * classes + k]
    return out


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(size=(3, 4, 6, 2, 5)).astype(np.float32)


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("known", [True, False], ids=["static", "dynamic"])
def test_against_loops(tf, evaluate, image, batch, known):
    from niftynet_ext.layer.ddc import DDCLayer
    from niftynet_ext.layer.duc import DUCLayer
    inputs = tf.placeholder(tf.float32, (batch, *((4, 6, 2) if known else (None,) * 3), 5))
    down = DDCLayer(R)(inputs)
    up = DUCLayer(R)(down)
    assert down.shape.as_list()[-1] == 40 and up.shape.as_list()[-1] == 5
    down, up = evaluate([down, up], {inputs: image})
    assert np.array_equal(down, ddc_numpy(image))
    assert np.array_equal(up, duc_numpy(ddc_numpy(image)))


def test_duc_of_ddc_swaps_x_and_z_within_cells(tf, evaluate, image):
    """The two orders differ: of one channel, DUC(DDC(.)) transposes every cell."""
    from niftynet_ext.layer.ddc import DDCLayer
    from niftynet_ext.layer.duc import DUCLayer
    cube = image[:, :, :4, :2, :1].repeat(2, axis=3)
    out = evaluate(DUCLayer(R)(DDCLayer(R)(tf.constant(cube))))
    cells = cube.reshape(3, 2, 2, 2, 2, 2, 2)  # batch, X, x, Y, y, Z, z
    assert np.array_equal(out.reshape(cells.shape), cells.transpose(0, 1, 6, 3, 4, 5, 2))


def test_duc_refuses_odd_channels(tf):
    from niftynet_ext.layer.duc import DUCLayer
    with pytest.raises(ValueError, match="multiple of 8 channels, got 12"):
        DUCLayer(R)(tf.zeros((1, 2, 2, 2, 12)))
