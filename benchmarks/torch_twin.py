"""DenseHighRes3DNet-v1 in PyTorch: the same layers, weights and logits, to measure against.

For benchmarks only (``pip install torch``). Weights carry the TensorFlow variables' names, so a
checkpoint of either network can be loaded into the other; tensors are NCDHW, as PyTorch needs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# as in niftynet_ext: a copy, so that this file can run in an environment without it
N_GROUPS, VARIANCE_EPSILON, BLOCKS_PER_ROW = 4, 1e-5, 3
STAGES = (("res_03", 8, (1, 1)), ("res_04", 16, (1, 3)), ("res_05", 32, (1, 3, 5)))


class ConvGN(nn.Module):
    """Convolution without bias, group norm, PReLU (or no activation)."""

    def __init__(self, channels_in: int, channels: int, side: int, activated: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels_in, channels, side, padding="same", bias=False)
        self.gn = nn.GroupNorm(N_GROUPS, channels, eps=VARIANCE_EPSILON)
        self.acti = nn.PReLU(channels) if activated else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Apply the three layers to (batch, channels, X, Y, Z)."""
        return self.acti(self.gn(self.conv(images)))


class Block(nn.Module):
    """(group norm, PReLU, dilated convolution) for each dilation, and the shortcut around them."""

    def __init__(self, channels_in: int, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        inputs = (channels_in, *[channels] * (len(dilations) - 1))
        self.gn = nn.ModuleList(nn.GroupNorm(N_GROUPS, n, eps=VARIANCE_EPSILON) for n in inputs)
        self.acti = nn.ModuleList(nn.PReLU(n) for n in inputs)
        self.conv = nn.ModuleList(
            nn.Conv3d(n, channels, 3, padding="same", dilation=d, bias=False)
            for n, d in zip(inputs, dilations, strict=True)
        )
        self.proj = (
            nn.Conv3d(channels_in, channels, 1, bias=False) if channels_in > channels else None
        )
        self.widen = channels - channels_in

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Apply the block to (batch, channels, X, Y, Z)."""
        flow = images
        for norm, activation, conv in zip(self.gn, self.acti, self.conv, strict=True):
            flow = conv(activation(norm(flow)))
        if self.proj is not None:
            return flow + self.proj(images)
        # NiftyNet pads the missing channels half before, half after
        before = self.widen // 2
        return flow + functional.pad(images, [0] * 6 + [before, self.widen - before])


class Twin(nn.Module):
    """:class:`niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNet` for two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_00 = ConvGN(1, 8, 3)
        self.lat_02 = ConvGN(64, 8, 1)
        channels_in = 64
        for name, channels, dilations in STAGES:
            for i in range(BLOCKS_PER_ROW):
                setattr(self, f"{name}_{i}", Block(channels_in, channels, dilations))
                channels_in = channels
        self.conv_06 = ConvGN(64, 64, 1)
        self.conv_07 = ConvGN(64, 16, 1, activated=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the logits.

        :param images: (batch, 1, X, Y, Z); X, Y, Z even
        :return: logits (batch, 2, X, Y, Z)
        """
        flow = self.conv_00(images)
        batch, channels, x, y, z = flow.shape
        cells = flow.view(batch, channels, x // 2, 2, y // 2, 2, z // 2, 2)
        flow = cells.permute(0, 1, 7, 5, 3, 2, 4, 6).reshape(
            batch, 8 * channels, x // 2, y // 2, z // 2
        )
        laterals = [self.lat_02(flow)]
        for name, _, _ in STAGES:
            for i in range(BLOCKS_PER_ROW):
                flow = getattr(self, f"{name}_{i}")(flow)
            laterals.append(flow)
        flow = self.conv_07(self.conv_06(torch.cat(laterals, 1)))
        cells = flow.view(batch, 2, 2, 2, 2, x // 2, y // 2, z // 2)  # x, y, z offsets, class
        return cells.permute(0, 4, 5, 1, 6, 2, 7, 3).reshape(batch, 2, x, y, z)

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take the weights of the TensorFlow network.

        :param weights: variable name (below the network's scope) -> array
        :raises KeyError: a weight is missing
        """
        for name, parameter in self.named_parameters():
            value = torch.from_numpy(weights[tensorflow_name(name)].copy())
            if value.ndim == 5 and "conv" in name or "proj" in name:
                value = value.permute(4, 3, 0, 1, 2)
            parameter.data.copy_(value.reshape(parameter.shape))


def tensorflow_name(name: str) -> str:
    """Translate the name of a weight.

    :param name: a parameter of :class:`Twin`, e.g. ``res_03_0.gn.1.weight``
    :return: its TensorFlow variable, e.g. ``res_03_0/gn_1/gamma``
    """
    layer, part, *rest = name.split(".")
    number = rest[0] if len(rest) == 2 else ""
    if part == "proj":
        return f"{layer}/residual_sum/proj/w"
    if not layer.startswith("res"):
        layer += "_gn" if layer == "conv_07" else "_gn_prelu"
    leaf = {"gn": "gamma" if rest[-1] == "weight" else "beta", "acti": "alpha", "conv": "w"}[part]
    scope = "prelu_acti" if part == "acti" else part
    return f"{layer}/{scope}_{number}/{leaf}"
