"""Every network, layer, loss and measure of NiftyNet gives the numbers of TensorFlow 1.15.

The numbers in ``tensorflow_1.npz`` come from ``make_fixture.py`` on NiftyNet's own stack.
"""

import json
from pathlib import Path

import niftynet  # noqa: F401  (its import installs the TensorFlow 1 interface)
import numpy as np
import pytest

from tests.support import array_cases, make_fixture
from tests.support import tensorflow_cases as cases

# Largest difference, as a part of the largest number of its kind (an output, a gradient by the
# inputs, the norms of the gradients by the weights). Float32 has 6e-8; what a network's layers
# multiply is allowed the networks alone.
TOLERANCE = {
    "layer": {"output": 1e-5, "gradient": 1e-5, "norms": 1e-5},
    "network": {"output": 1e-4, "gradient": 1e-3, "norms": 1e-3},
    # 3e-7 more or less in its input move the norms of its gradients by 3e-3
    "network.unet_2d.UNet2D": {"output": 1e-4, "gradient": 1e-3, "norms": 1e-2},
}

# Each kind of network once; all of them take three minutes, and change with TensorFlow only
QUICK_NETWORKS = (
    "network.highres3dnet_small.HighRes3DNetSmall(num_classes=2)[(1,8,8,8,1)]",
    "network.resnet.",
    "network.se_resnet.",
    "network.simple_gan.SimpleGAN()[(2,10);(2,16,16,1)]",
    "network.toynet.",
    "network.vnet.VNet(num_classes=2)[(1,16,16,1)]",
)


def is_slow(name):
    return name.startswith("network.") and not name.startswith(QUICK_NETWORKS)


@pytest.fixture(scope="module")
def expected():
    """dict of case to the list of its arrays, and dict of case to its variables."""
    with np.load(Path(make_fixture.FIXTURE)) as archive:
        sizes, numbers = json.loads(str(archive["sizes"])), archive["numbers"]
        variables = json.loads(str(archive["variables"]))
    ends = np.cumsum([size for _, parts in sizes for size in parts])
    parts = iter(np.split(numbers, ends[:-1]))
    return {name: [next(parts) for _ in sizes_] for name, sizes_ in sizes}, variables


def test_all_cases_are_in_the_fixture(expected):
    assert list(expected[0]) == [*cases.CASES, *array_cases.CASES]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if is_slow(name) else []) for name in cases.CASES],
    ids=str,
)
def test_a_layer_loss_or_network_gives_the_numbers_of_tensorflow_1(expected, name):
    arrays, variables = expected
    result = cases.compute(cases.CASES[name])
    assert result["variables"] == variables[name]
    for field, array in zip(make_fixture.FIELDS, arrays[name], strict=True):
        tolerance = TOLERANCE.get(name.split("(")[0], TOLERANCE[name.split(".")[0]])[field]
        largest = float(np.abs(array[np.isfinite(array)]).max(initial=1e-6))
        assert result[field] == pytest.approx(array, abs=tolerance * largest, rel=0, nan_ok=True), (
            field
        )


@pytest.mark.parametrize("name", list(array_cases.CASES))
def test_array_functions_give_the_numbers_of_tensorflow_1(expected, name):
    value = cases.summary(array_cases.CASES[name]())
    assert value == pytest.approx(expected[0][name][0], rel=1e-5, abs=1e-5)
