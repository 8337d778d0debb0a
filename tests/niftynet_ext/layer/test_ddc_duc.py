"""DDC and DUC against their written channel orders (nested loops in NumPy)."""

import numpy as np
import pytest

from tests.support.numpy_layers import R, ddc_numpy, duc_numpy


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
