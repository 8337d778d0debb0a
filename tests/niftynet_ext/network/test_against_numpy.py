"""Both networks, whole, against NumPy and SciPy in float64, written from the table of layers."""

import numpy as np
import pytest

from tests.support.numpy_layers import conv_numpy, ddc_numpy, duc_numpy, group_norm_numpy


class Numpy:
    """The layers, with variables looked up by their checkpoint names."""

    def __init__(self, variables):
        self.variables = variables

    def norm(self, flow, name):
        return group_norm_numpy(
            flow, 4, *(self.variables[f"{name}/{v}"] for v in ("gamma", "beta"))
        )

    def prelu(self, flow, name):
        return np.where(flow > 0, flow, self.variables[f"{name}/alpha"] * flow)

    def conv(self, flow, name, dilation=1):
        kernel = self.variables[f"{name}/w"]
        if kernel.shape[:3] == (1, 1, 1):
            return flow @ kernel[0, 0, 0]
        return conv_numpy(flow, kernel, dilation)

    def conv_gn(self, flow, name, activation=True):
        scope = f"{name}_gn_prelu" if activation else f"{name}_gn"
        flow = self.norm(self.conv(flow, f"{scope}/conv_"), f"{scope}/gn_")
        return self.prelu(flow, f"{scope}/prelu_acti_") if activation else flow

    def blocks(self, flow, name, channels, dilations):
        for block in (f"{name}_{i}" for i in range(3)):
            out = flow
            for i, dilation in enumerate(dilations):
                out = self.norm(out, f"{block}/gn_{i}")
                out = self.prelu(out, f"{block}/prelu_acti_{i}")
                out = self.conv(out, f"{block}/conv_{i}", dilation)
            if flow.shape[-1] > channels:
                flow = self.conv(flow, f"{block}/residual_sum/proj")
            pad = channels - flow.shape[-1]
            flow = out + np.pad(flow, [(0, 0)] * 4 + [(pad // 2, pad - pad // 2)])
        return flow

    def trunk(self, image):
        cells = ddc_numpy(self.conv_gn(image, "conv_00"))
        lateral0 = self.conv_gn(cells, "lat_02")
        lateral1 = self.blocks(cells, "res_03", 8, [1, 1])
        lateral2 = self.blocks(lateral1, "res_04", 16, [1, 3])
        last = self.blocks(lateral2, "res_05", 32, [1, 3, 5])
        return self.conv_gn(np.concatenate([lateral0, lateral1, lateral2, last], -1), "conv_06")


def v1_numpy(layers, image):
    return duc_numpy(layers.conv_gn(layers.trunk(image), "conv_07", activation=False))


def v2_numpy(layers, image):
    return layers.conv(duc_numpy(layers.trunk(image)), "conv_07")


@pytest.mark.slow  # the golden numbers test nearly all of it
@pytest.mark.parametrize(
    "name, truth", [("DenseHighRes3DNet", v1_numpy), ("DenseHighRes3DNetV2", v2_numpy)]
)
def test_logits_equal_a_numpy_implementation(tf, evaluate, name, truth):
    from niftynet_ext.network import dense_highres3dnet

    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 24, 16, 24, 1)).astype(np.float32)
    logits = getattr(dense_highres3dnet, name)(num_classes=2)(tf.constant(image))
    values = {
        v: rng.normal(0, np.sqrt(2 / np.prod(v.shape.as_list()[:-1])), v.shape.as_list()).astype(
            np.float32
        )
        if v.op.name.endswith("/w")
        else rng.normal(0.5, 0.3, v.shape.as_list()).astype(np.float32)
        for v in tf.trainable_variables()
    }
    layers = Numpy({v.op.name.removeprefix(f"{name}/"): x for v, x in values.items()})
    expected = truth(layers, image)
    assert expected.std() > 0.1
    assert evaluate(logits, load=values) == pytest.approx(expected, abs=1e-4)
