"""Group normalisation against its definition in NumPy, and against NiftyNet's own layer."""

import numpy as np
import pytest

from tests.support.numpy_layers import group_norm_numpy


@pytest.fixture
def image():
    return np.random.default_rng(1).normal(3.0, 2.0, size=(2, 5, 4, 3, 12)).astype(np.float32)


def test_group_norm_equals_its_definition(tf, evaluate, image):
    from niftynet_ext.layer.group_norm import GroupNormLayer

    inputs = tf.placeholder(tf.float32, (None, None, None, None, 12))
    layer = GroupNormLayer()
    out = layer(inputs)
    beta, gamma = layer.trainable_variables()
    rng = np.random.default_rng(2)
    b, g = (rng.normal(size=(1, 1, 1, 1, 12)).astype(np.float32) for _ in range(2))
    value = evaluate(out, {inputs: image}, {beta: b, gamma: g})
    assert value == pytest.approx(group_norm_numpy(image, 4, g, b), abs=2e-6)


def test_same_as_niftynet(tf, evaluate, image):
    from niftynet.layer.gn import GNLayer

    from niftynet_ext.layer.group_norm import GroupNormLayer

    inputs = tf.constant(image)
    layers = GroupNormLayer(name="a"), GNLayer(group_size=4, name="b")
    outs = [layer(inputs) for layer in layers]
    names = [[v.op.name.split("/")[-1] for v in layer.trainable_variables()] for layer in layers]
    assert names[0] == names[1]
    a, b = evaluate(outs)
    assert a == pytest.approx(b, abs=2e-6)


def test_large_offset_keeps_its_digits(tf, evaluate):
    """A mean a thousand times the deviation: E[x^2] - E[x]^2 in float32 would lose the variance."""
    from niftynet_ext.layer.group_norm import GroupNormLayer

    image = np.random.default_rng(3).normal(1000.0, 1.0, (1, 8, 8, 8, 4)).astype(np.float32)
    out = evaluate(GroupNormLayer()(tf.constant(image)))
    assert out.std(axis=(1, 2, 3)) == pytest.approx(np.ones((1, 4)), abs=2e-3)


def test_channels_must_fill_groups(tf):
    from niftynet_ext.layer.group_norm import GroupNormLayer

    with pytest.raises(ValueError, match="6 channels in 4 groups"):
        GroupNormLayer()(tf.zeros((1, 2, 2, 2, 6)))


def test_gradients_are_those_of_niftynet(tf, evaluate, image):
    """Ours are written by hand; TensorFlow derives those of GNLayer."""
    from niftynet.layer.gn import GNLayer

    from niftynet_ext.layer.group_norm import GroupNormLayer

    rng = np.random.default_rng(4)
    inputs, upstream = tf.constant(image), tf.constant(rng.normal(size=image.shape), tf.float32)
    gradients, load = [], {}
    values = [rng.normal(size=(1, 1, 1, 1, 12)).astype(np.float32) for _ in range(2)]
    for layer in (GroupNormLayer(name="a"), GNLayer(group_size=4, name="b")):
        out = layer(inputs)
        variables = layer.trainable_variables()
        load.update(zip(variables, values, strict=True))
        gradients.append(tf.gradients(out * upstream, [inputs, *variables]))
    for a, b in zip(*evaluate(gradients, load=load), strict=True):
        assert a == pytest.approx(b, abs=float(1e-5 * np.abs(b).max()))
