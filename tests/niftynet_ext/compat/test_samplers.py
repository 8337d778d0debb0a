"""Each of NiftyNet's samplers, and each pair of sampler and aggregator, on files."""

import importlib

import nibabel
import numpy as np
import pytest

SHAPE, WINDOW, BORDER = (14, 12, 10), (6, 6, 6), (1, 1, 1)


@pytest.fixture
def volumes(tmp_path):
    """dict of subject to a volume without two voxels alike, and files of it with a label."""
    result = {}
    for k, subject in enumerate(("s0", "s1")):
        image = np.random.default_rng(k).permutation(np.prod(SHAPE)).reshape(SHAPE)
        label = np.zeros(SHAPE, np.float32)
        label[7 + k, 6, 5] = 1
        for name, array in (("image", image.astype(np.float32)), ("sampler", label)):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{subject}_{name}.nii")
        result[subject] = image.astype(np.float32)
    return result


@pytest.fixture
def reader(tf, volumes, tmp_path):
    from niftynet.io.image_reader import ImageReader
    from niftynet.io.image_sets_partitioner import ImageSetsPartitioner

    sections = {}
    for name in ("image", "sampler"):
        table = tmp_path / f"{name}.csv"
        table.write_text("".join(f"{s},{tmp_path}/{s}_{name}.nii\n" for s in volumes))
        sections[name] = {"csv_file": str(table), "spatial_window_size": WINDOW, "interp_order": 0}
    files = ImageSetsPartitioner().initialise(sections).get_file_list()
    task = {"image": ("image",), "sampler": ("sampler",)}
    return ImageReader(["image", "sampler"]).initialise(sections, task, files)


def batches(tf, sampler):
    """Yield what the sampler yields, until it ends."""
    sampler.set_num_threads(1)
    with tf.Session() as session:
        while True:
            try:
                yield session.run(sampler.pop_batch_op())
            except tf.errors.OutOfRangeError:
                return


def test_no_thread_tunes_a_data_set(tf, reader):
    """TensorFlow's may sleep for a minute at the end of a session, and the session with it."""
    from niftynet.engine.sampler_grid_v2 import GridSampler

    sampler = GridSampler(reader, WINDOW)
    assert len(list(batches(tf, sampler))) > 1
    assert sampler.dataset.options().autotune.enabled is False


@pytest.mark.parametrize("name", ["uniform.Uniform", "weighted.Weighted", "balanced.Balanced"])
def test_windows_are_cut_where_they_say(tf, reader, volumes, name):
    module, kind = name.split(".")
    module = importlib.import_module(f"niftynet.engine.sampler_{module}_v2")
    sampler = getattr(module, f"{kind}Sampler")(reader, WINDOW, batch_size=2, windows_per_image=2)
    output = batches(tf, sampler)
    for _ in range(3):
        batch = next(output)
        for window, where in zip(batch["image"], batch["image_location"], strict=True):
            subject, x, y, z, x_end, y_end, z_end = where
            expected = volumes[f"s{subject}"][x:x_end, y:y_end, z:z_end]
            assert window.shape == (*WINDOW, 1) and np.array_equal(window[..., 0], expected)
            if kind == "Weighted":  # the one voxel with a weight is the window's centre
                assert (x + 3, y + 3, z + 3) == (7 + subject, 6, 5)
    sampler.close_all()


def aggregate(tf, sampler, aggregator):
    """Feed all windows to the aggregator.

    :return: list of the windows
    """
    windows = []
    for batch in batches(tf, sampler):
        windows.append(batch["image"])
        aggregator.decode_batch({"window_image": batch["image"]}, batch["image_location"])
    return windows


def read(path):
    return np.squeeze(nibabel.load(path).get_fdata())


def test_grid_gives_the_volume_back(tf, reader, volumes, tmp_path):
    from niftynet.engine.sampler_grid_v2 import GridSampler
    from niftynet.engine.windows_aggregator_grid import GridSamplesAggregator

    sampler = GridSampler(reader, WINDOW, batch_size=3, window_border=BORDER)
    out = tmp_path / "out"
    aggregate(
        tf,
        sampler,
        GridSamplesAggregator(reader, output_path=str(out), postfix="_out", window_border=BORDER),
    )
    inside = tuple(slice(1, -1) for _ in SHAPE)  # no window's middle reaches the outermost voxels
    for subject, volume in volumes.items():
        assert np.array_equal(
            read(out / f"window_image_{subject}__out.nii.gz")[inside], volume[inside]
        )


def test_resize_gives_the_shape_back(tf, reader, volumes, tmp_path):
    from niftynet.engine.sampler_resize_v2 import ResizeSampler
    from niftynet.engine.windows_aggregator_resize import ResizeSamplesAggregator

    sampler = ResizeSampler(reader, SHAPE, batch_size=1, shuffle=False)
    out = tmp_path / "out"
    aggregate(tf, sampler, ResizeSamplesAggregator(reader, output_path=str(out), postfix="_out"))
    for subject, volume in volumes.items():
        assert np.array_equal(read(out / f"window_image_{subject}__out.nii.gz"), volume)


def test_linear_interpolation_between_two_files(tf, reader, volumes, tmp_path):
    from niftynet.engine.sampler_linear_interpolate_v2 import LinearInterpolateSampler
    from niftynet.engine.windows_aggregator_identity import WindowAsImageAggregator

    sampler = LinearInterpolateSampler(
        reader, {"image": SHAPE, "sampler": SHAPE}, batch_size=1, n_interpolations=3
    )
    np.random.seed(
        1
    )  # NiftyNet pairs each file with one drawn at random, and drops pairs of the same file
    out = tmp_path / "out"
    mixed = aggregate(tf, sampler, WindowAsImageAggregator(reader, output_path=str(out)))
    assert mixed[1][0, ..., 0] == pytest.approx((volumes["s0"] + volumes["s1"]) / 2, rel=1e-6)
    saved = sorted(out.glob("*.nii.gz"))
    assert len(saved) == len(mixed) and read(saved[0]).shape == SHAPE


def test_random_vectors_are_mixed_in_even_steps(tf):
    from niftynet.engine.sampler_random_vector_v2 import RandomVectorSampler

    sampler = RandomVectorSampler(vector_size=(20,), batch_size=5, n_interpolations=5)
    batch = next(batches(tf, sampler))
    vectors = batch["vector"]
    steps = np.diff(vectors, axis=0)
    assert vectors.shape == (5, 20) and steps == pytest.approx(
        np.broadcast_to(steps[0], (4, 20)), abs=1e-5
    )
