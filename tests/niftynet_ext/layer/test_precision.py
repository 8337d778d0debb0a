"""Sixteen bits beside thirty-two: the same network, the same weights."""

import numpy as np
import pytest

SHAPE = (1, 24, 16, 16, 1)


@pytest.fixture
def numbers(tf, evaluate):
    """Function of the precision: logits, losses and all gradients of v1 on one seeded window."""
    from niftynet.engine.application_factory import ApplicationNetFactory
    from niftynet.layer.loss_segmentation import LossFunction

    from niftynet_ext.layer import precision

    def compute(name, loss):
        rng = np.random.default_rng(0)
        image = rng.normal(size=SHAPE).astype(np.float32)
        label = np.zeros(SHAPE, np.float32)
        label[:, 6:14, 4:10, 4:12] = 1
        image += 2 * label
        precision.choose(name)
        try:
            net = ApplicationNetFactory.create("densehighres3dnet_v1")(num_classes=2, name=name)
            logits = net(tf.constant(image))
        finally:
            precision.choose(precision.OFF)
        value = LossFunction(2, loss)(logits, tf.constant(label))
        variables = net.trainable_variables()
        load = {}
        for v in variables:
            shape = v.shape.as_list()
            kind = v.op.name.split("/")[-1]
            draw = rng.normal(size=shape)
            load[v] = {
                "gamma": 1 + 0.1 * draw,
                "beta": 0.1 * draw,
                "alpha": 0.25 + 0.1 * draw,
            }.get(kind, draw * np.sqrt(2 / np.prod(shape[:-1])))
        assert {v.dtype.base_dtype for v in variables} == {tf.float32}
        out, number, grads = evaluate([logits, value, tf.gradients(value, variables)], load=load)
        return (
            net,
            out,
            number,
            {v.op.name.split("/", 1)[1]: g for v, g in zip(variables, grads, strict=True)},
        )

    return compute


@pytest.mark.slow  # builds and differentiates the whole network twice
@pytest.mark.parametrize("loss", ["DiceForeground", "Focal"])
def test_bfloat16_is_close_to_float32(tf, numbers, loss):
    _, exact_logits, exact_loss, exact = numbers("off", loss)
    _, logits, value, gradients = numbers("bfloat16", loss)
    assert logits.dtype == np.float32 and np.isfinite(value)
    # bfloat16 has 8 bits: 4e-3 a rounding, some forty layers
    assert np.abs(logits - exact_logits).mean() < 0.05 * exact_logits.std()
    assert np.abs(logits - exact_logits).max() > 1e-4  # it is not float32
    assert value == pytest.approx(exact_loss, rel=0.03)
    assert {grad.dtype for grad in gradients.values()} == {np.dtype(np.float32)}
    flat, exact_flat = (
        np.concatenate([g[name].ravel() for name in exact]) for g in (gradients, exact)
    )
    cosine = flat @ exact_flat / np.linalg.norm(flat) / np.linalg.norm(exact_flat)
    assert np.isfinite(flat).all() and cosine > 0.97
    assert np.linalg.norm(flat) == pytest.approx(np.linalg.norm(exact_flat), rel=0.1)
