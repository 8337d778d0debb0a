"""What is kept, where, and what remains of it."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from niftynet_ext.sampler import volumes


def test_memory_up_to_the_bound_and_a_file_beyond(tmp_path, monkeypatch):
    monkeypatch.setattr(volumes, "PIECE", 8192)
    store = volumes.VolumeStore(3000, tmp_path)
    made = {k: np.random.default_rng(k).random((10, 10, 1 + k)) for k in range(12)}
    for _ in range(2):
        for k, array in made.items():
            # 64 bits after 7: nothing may lie across the boundary of a type
            found = store.get(k, lambda k=k, a=array: {"a": a, "b": np.arange(7, dtype=np.uint8)})
            assert np.array_equal(found["a"], array) and np.array_equal(found["b"], np.arange(7))
            assert not found["a"].flags.writeable
    total = sum(array.nbytes + 7 for array in made.values())
    assert 0 < store.in_memory <= 3000 and store.in_memory + store.on_disk == total
    assert not list(tmp_path.iterdir())  # it has no name


def test_nothing_is_left_after_a_kill(tmp_path):
    program = f"""
import numpy as np, os, signal
from niftynet_ext.sampler.volumes import VolumeStore
VolumeStore(0, {str(tmp_path)!r}).get(0, lambda: {{"a": np.ones(1 << 20)}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=r"has no space for 0\.25 GB .* No space left .* raise"):
        volumes.VolumeStore(0, tmp_path).get(0, lambda: {"a": np.ones(10)})


def test_made_once_and_two_at_a_time(tmp_path):
    store, made = volumes.VolumeStore(1 << 20, tmp_path), []
    both = threading.Barrier(2, timeout=10)

    def make(key):
        made.append(key)
        both.wait()  # only together with the other key
        return {"a": np.full(3, key)}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda key: store.get(key, lambda: make(key)), [0, 1] * 20))
    assert sorted(made) == [0, 1] and [int(arrays["a"][0]) for arrays in found] == [0, 1] * 20


@pytest.mark.parametrize(
    "array, kind",
    [
        (np.array([0, 1, 255.0]), np.uint8),
        (np.array([0, 0.5]), np.float32),
        (np.array([-1.0, 1]), np.float32),
        (np.array([0, 256.0]), np.float32),
    ],
)
def test_labels_take_a_byte(array, kind):
    found = volumes.compact(array)
    assert found.dtype == kind and np.array_equal(found, array)


@pytest.mark.parametrize("axcodes", [("R", "A", "S"), ("L", "S", "A")])
def test_volumes_are_niftynets(make_reader, layers, axcodes):
    """Turned, padded, whitened, as its reader has them when nothing is drawn."""
    reader = make_reader(layers("pad, whiten"), axcodes=axcodes)
    for index in range(2):
        _, expected, _ = reader(index)
        found = volumes.read(reader, index, reader.preprocessors)
        stored = volumes.prepare(found, {"image": 3, "label": 0}, deforming=False)
        for name, array in expected.items():
            assert np.array_equal(found[name], array)
            assert np.array_equal(stored[name][0], array[..., 0, 0])
    assert abs(found["image"].mean()) < 1e-3 and found["image"].std() == pytest.approx(1, abs=0.01)
