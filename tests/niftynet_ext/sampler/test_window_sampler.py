"""Windows beside those of NiftyNet's UniformSampler, drawn from the same random state."""

import nibabel
import numpy as np
import pytest

from tests.support import volumes as support
from tests.support.volumes import SHAPE, WINDOW

RANGE_SHARE, DICE = 0.02, 0.995


@pytest.fixture
def make_sampler(tmp_path):
    def make(reader, share=0.0, windows=4, window=WINDOW, **options):
        from niftynet_ext.sampler.volumes import VolumeStore
        from niftynet_ext.sampler.window_sampler import DeformedWindowSampler

        return DeformedWindowSampler(
            reader,
            VolumeStore(1 << 30, tmp_path),
            share,
            window_sizes=window,
            windows_per_image=windows,
            queue_length=10,
            **options,
        )

    return make


def stock(reader, **options):
    from niftynet.engine.sampler_uniform_v2 import UniformSampler

    return UniformSampler(
        reader, window_sizes=WINDOW, windows_per_image=4, queue_length=10, **options
    )


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(
    "names, order",
    [
        ("whiten, scale, elastic", 3),
        pytest.param("whiten, scale, elastic", 1, marks=pytest.mark.slow),
        pytest.param("whiten, elastic", 3, marks=pytest.mark.slow),
        ("pad, whiten, flip, scale, half elastic", 3),
        ("whiten, flip, scale, rotate, elastic", 3),
        ("whiten, flip", 3),
        ("whiten, scale", 3),
        ("whiten, shrink", 3),
    ],
)
def test_windows_are_those_of_niftynet(make_reader, layers, make_sampler, names, order):
    # shrunk by 40 % the window would not fit
    shape = tuple(2 * n for n in SHAPE) if "shrink" in names else SHAPE
    reader = make_reader(layers(names), order, shape)
    ours, niftynets = make_sampler(reader), stock(reader)
    apart, labels = [], []
    for seed in range(6):
        np.random.seed(seed)
        found = ours(seed % 2)
        np.random.seed(seed)
        expected = niftynets(seed % 2)
        assert list(found) != [] and set(found) == set(expected)
        for name in ("image_location", "label_location"):
            assert np.array_equal(found[name], expected[name])
            assert found[name].dtype == np.int32
        assert found["image"].shape == expected["image"].shape
        assert found["image"].dtype == found["label"].dtype == np.float32
        apart.append(np.abs(found["image"] - expected["image"]).mean() / np.ptp(expected["image"]))
        labels.append((found["label"] > 0.5, expected["label"] > 0.5))
        assert set(np.unique(found["label"])) <= {0, 1}
    assert np.mean(apart) <= RANGE_SHARE
    assert dice(*(np.stack(both) for both in zip(*labels, strict=True))) >= DICE


def test_real_patient(shared, tmp_path, make_reader, layers, make_sampler, monkeypatch):
    """A CT around its tumour, with the noise that interpolating twice takes away."""
    from data_prep.cohort.prepare import Parameters, prepare_cohort
    from data_prep.core.engine import Engine

    prepare_cohort(
        shared / "data" / "LUNG1-001", tmp_path, Parameters(split=(1, 0, 0)), Engine(workers=1)
    )
    volumes = {
        name: np.asarray(nibabel.load(tmp_path / f"{name}s/LUNG1-001.nii.gz").dataobj)
        for name in ("image", "label")
    }
    low = [
        max(0, int(axis.mean()) - n // 2)
        for axis, n in zip(np.nonzero(volumes["label"]), (110, 110, 60), strict=True)
    ]
    part = tuple(slice(a, a + n) for a, n in zip(low, (110, 110, 60), strict=True))
    monkeypatch.setattr(support, "make_image", lambda *_: volumes["image"][part])
    monkeypatch.setattr(support, "make_label", lambda *_: volumes["label"][part])
    reader = make_reader(layers("whiten, scale, elastic"))
    np.random.seed(1)
    found = make_sampler(reader)(0)
    np.random.seed(1)
    expected = stock(reader)(0)
    apart = np.abs(found["image"] - expected["image"]).mean()
    assert apart <= RANGE_SHARE / 2 * np.ptp(expected["image"]) < 0.1
    assert (expected["label"] > 0.5).sum() > 10_000
    assert dice(found["label"] > 0.5, expected["label"] > 0.5) >= DICE


def test_validation_windows_are_niftynets_exactly(make_reader, layers, make_sampler):
    reader = make_reader(layers("pad, whiten"))
    np.random.seed(3)
    found = make_sampler(reader)(1)
    np.random.seed(3)
    expected = stock(reader)(1)
    for name, array in expected.items():
        assert np.array_equal(found[name], array)


def test_labels_are_not_smoothed(make_reader, layers, make_sampler):
    """NiftyNet smooths labels before it shrinks them, and its losses then cut 0.99999 to 0."""
    reader = make_reader(layers("whiten, shrink"), shape=tuple(2 * n for n in SHAPE))
    np.random.seed(0)
    assert len(np.unique(stock(reader)(0)["label"])) > 2
    assert set(np.unique(make_sampler(reader)(0)["label"])) == {0, 1}


@pytest.mark.parametrize("names", ["whiten, scale, elastic", "whiten"])
def test_a_share_of_windows_is_centred_on_the_label(make_reader, layers, make_sampler, names):
    reader = make_reader(layers(names))
    small, half = (8, 8, 6), (4, 4, 3)

    def centred(share):
        np.random.seed(0)
        sampler = make_sampler(reader, share, windows=50, window=small)
        labels = np.concatenate([sampler(k % 2)["label"] for k in range(6)])
        return labels[:, half[0], half[1], half[2], 0, 0].mean()

    volume_share = np.mean([reader.output_list[k]["label"].get_data().mean() for k in range(2)])
    assert centred(0.0) < 3 * volume_share < 0.1
    assert centred(1.0) == 1
    assert centred(0.5) == pytest.approx(0.5, abs=0.1)


def test_a_subject_without_tumour_is_sampled_uniformly(
    make_reader, layers, make_sampler, monkeypatch
):
    monkeypatch.setattr(support, "make_label", lambda shape, seed: np.zeros(shape, np.uint8))
    windows = make_sampler(make_reader(layers("whiten, elastic")), 1.0, windows=30)(0)
    assert not windows["label"].any() and len(np.unique(windows["label_location"], axis=0)) > 20


def test_large_windows_stay_inside(make_reader, layers, make_sampler):
    sampler = make_sampler(make_reader(layers("whiten, elastic")), 1.0, windows=30)
    found = sampler(0)["label_location"]
    assert (found[:, 1:4] >= 0).all() and (found[:, 4:] <= SHAPE).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_data_set_gives_batches(tf, make_reader, layers, make_sampler, threads):
    sampler = make_sampler(make_reader(layers("whiten, scale, elastic")), batch_size=2)
    sampler.set_num_threads(threads)
    batch, subjects = sampler.pop_batch_op(), set()
    with tf.Session() as session:
        for _ in range(12):
            found = session.run(batch)
            assert found["image"].shape == found["label"].shape == (2, *WINDOW, 1)
            subjects |= set(found["image_location"][:, 0].tolist())
    assert subjects == {0, 1}


def test_memory_is_flat(make_reader, layers, make_sampler):
    """Over 1,000 windows of 125 readings, after the first of each volume."""
    import resource

    sampler = make_sampler(make_reader(layers("whiten, scale, elastic")), windows=8)
    for k in range(10):
        sampler(k % 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for k in range(125):
        sampler(k % 2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # kB


def test_what_cannot_be_interpolated_is_refused(make_reader, layers, make_sampler):
    with pytest.raises(ValueError, match=r"the image has interp_order \[2\]; expected one of"):
        make_sampler(make_reader(layers("scale"), order=2))
    make_sampler(make_reader(layers("whiten"), order=2))  # nothing is interpolated
    with pytest.raises(ValueError, match=r"the image of subject s0 is \(60, 50, 1\) voxels"):
        make_sampler(make_reader(layers("whiten"), shape=(60, 50, 1)))
