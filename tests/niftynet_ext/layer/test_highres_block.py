"""The residual block against its definition in NumPy and SciPy."""

import numpy as np
import pytest

from tests.support.numpy_layers import conv_numpy, group_norm_numpy

DILATIONS = (1, 3, 5)


@pytest.mark.parametrize(
    "chns_in, chns_out", [(4, 8), (8, 4), (4, 4)], ids=["widens", "narrows", "keeps"]
)
def test_a_residual_block_equals_its_definition(tf, evaluate, chns_in, chns_out):
    from niftynet_ext.layer.highres_block import HighResBlock

    rng = np.random.default_rng(chns_in)
    image = rng.normal(size=(2, 12, 9, 11, chns_in)).astype(np.float32)
    out = HighResBlock(chns_out, DILATIONS, name="res")(tf.constant(image))
    values = {
        v: rng.normal(0.0, 0.3, v.shape.as_list()).astype(np.float32)
        for v in tf.trainable_variables()
    }
    named = {v.op.name.removeprefix("res/"): value for v, value in values.items()}
    assert ("residual_sum/proj/w" in named) == (chns_out < chns_in)

    flow = image
    for i, dilation in enumerate(DILATIONS):
        flow = group_norm_numpy(flow, 4, named[f"gn_{i}/gamma"], named[f"gn_{i}/beta"])
        flow = np.where(flow > 0, flow, named[f"prelu_acti_{i}/alpha"] * flow)
        flow = conv_numpy(flow, named[f"conv_{i}/w"], dilation)
    if chns_out < chns_in:
        shortcut = image @ named["residual_sum/proj/w"][0, 0, 0]
    else:
        pad = chns_out - chns_in
        shortcut = np.pad(image, [(0, 0)] * 4 + [(pad // 2, pad - pad // 2)])
    assert evaluate(out, load=values) == pytest.approx(flow + shortcut, abs=5e-5)
