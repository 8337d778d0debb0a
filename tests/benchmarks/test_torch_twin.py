"""The PyTorch twin that the network is timed against is the same network."""

import importlib.util

import numpy as np
import pytest


def test_logits_of_the_released_network(shared, root):
    torch = pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("torch_twin", root / "benchmarks/torch_twin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with np.load(shared / "golden" / "released_densehighres3dnet.npz") as golden:
        twin = module.Twin()
        twin.load(
            {name.partition("/")[2]: golden[name] for name in golden if name.startswith("weight:")}
        )
        with torch.inference_mode():
            logits = twin(torch.from_numpy(np.moveaxis(golden["image"], -1, 1).copy()))
        assert np.abs(np.moveaxis(logits.numpy(), 1, -1) - golden["logits"]).max() <= 1e-4
