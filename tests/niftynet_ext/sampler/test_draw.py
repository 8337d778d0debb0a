"""What is drawn against what NiftyNet's layers draw."""

import numpy as np
import pytest

SHAPE = (30, 24, 20)


def draw_both(layers, seed):
    """Return our draw, and NiftyNet's layers after they drew from the same random state."""
    from niftynet_ext.sampler import draw

    np.random.seed(seed)
    ours = draw.draw(layers, SHAPE)
    np.random.seed(seed)
    data = {"image": np.zeros((*SHAPE, 1, 1), np.float32)}
    for layer in layers:
        layer.randomise(*([data] if "elastic" in layer.name else []))
        data = layer(data, {"image": (1,)})
    return ours, layers, data["image"].shape[:3]


@pytest.mark.parametrize("seed", range(5))
def test_the_same_parameters_in_the_same_order(layers, seed):
    ours, (flip, scale, rotate, elastic), shape = draw_both(
        layers("flip, scale, rotate, elastic"), seed
    )
    assert ours.flips == tuple(a for a in (0, 2) if flip._rand_flip[a])
    assert ours.zoom == tuple(scale._rand_zoom) and ours.shape == shape
    assert np.array_equal(ours.rotation, rotate._transform)
    parameters = elastic._bspline_transformation.GetParameters()
    assert ours.lattice[::-1].ravel() == pytest.approx(parameters)


def test_a_share_is_not_deformed(layers):
    found = [draw_both(layers("half elastic"), seed)[0].lattice is None for seed in range(60)]
    assert 15 < sum(found) < 45


def test_what_changes_a_layer_is_kept_from_other_threads(layers):
    from niftynet_ext.sampler import draw

    (scale,) = layers("scale")
    draw.draw([scale], SHAPE)
    assert scale._rand_zoom is None


@pytest.mark.parametrize(
    "names", ["scale, flip", "elastic, scale", "scale, whiten", "scale, scale"]
)
def test_other_orders_are_refused(layers, names):
    from niftynet_ext.sampler import draw

    with pytest.raises(ValueError, match="in this order; found Random.*window_sampling = uniform"):
        draw.split(layers(names))


def test_other_layers_are_refused(layers, tf):
    from niftynet.layer.rand_bias_field import RandomBiasFieldLayer

    from niftynet_ext.sampler import draw

    with pytest.raises(ValueError, match="found PadLayer, RandomBiasFieldLayer"):
        draw.split([*layers("pad"), RandomBiasFieldLayer()])


def test_parts(layers):
    from niftynet_ext.sampler import draw

    both = layers("pad, whiten, flip, elastic")
    assert draw.split(both) == (both[:2], both[2:])
    assert draw.split([]) == ([], [])
