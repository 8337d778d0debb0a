"""Volumes in windows: NiftyNet's grid, blended, and whole; the ini key under net_segment."""

import nibabel
import numpy as np
import pytest


@pytest.fixture
def windows(tf):
    from niftynet_ext.inference import windows

    return windows


SHAPES = [
    ((7, 9, 5), (4, 4, 5)),
    ((8, 8, 8), (8, 8, 8)),
    ((6, 5, 4), (0, -1, 2)),
    ((9, 4, 4), (4, 4, 4)),
]


@pytest.mark.parametrize("kind", ["grid", "gaussian", "whole"])
@pytest.mark.parametrize("shape, window", SHAPES)
def test_windows_cover_the_volume(windows, kind, shape, window):
    image = np.random.default_rng(0).random((*shape, 2))
    found = windows.infer_volume(kind, image, window, (0, 0, 0), 8, lambda w: w)
    assert found == pytest.approx(image, abs=1e-6)


def test_borders_are_cut_off_and_the_last_window_of_a_grid_wins(windows):
    cut = []

    def infer(window):
        cut.append(int(window[0, 0, 0, 0]))
        return np.full(window.shape, float(len(cut)))

    ramp = np.arange(8.0)[:, np.newaxis, np.newaxis, np.newaxis] * np.ones((8, 4, 4, 1))
    found = windows.infer_volume("grid", ramp, (6, 4, 4), (1, 0, 0), 8, infer)
    expected = np.zeros(8)
    for number, first in enumerate(cut, start=1):  # NiftyNet's choice of windows
        expected[first + 1 : first + 5] = number
    assert {0, 2} <= set(cut) and expected[[0, 7]].tolist() == [0, 0]
    assert found[:, 0, 0, 0].tolist() == expected.tolist()


def test_blended_windows_have_no_seam(windows):
    """Each window says another number: in a grid a step, blended a slope."""

    def infer_with(cut):
        def infer(window):
            cut.append(None)
            return np.full(window.shape, float(len(cut)))

        return infer

    image = np.zeros((48, 8, 8, 1))
    grid, blended = (
        windows.infer_volume(kind, image, (32, 8, 8), border, 8, infer_with([]))[:, 4, 4, 0]
        for kind, border in (("grid", (0, 0, 0)), ("gaussian", (8, 0, 0)))
    )
    assert np.abs(np.diff(grid)).max() >= 1
    assert 0 < np.abs(np.diff(blended)).max() < 0.4


@pytest.mark.parametrize(
    "shape, border, expected",
    [
        ((256, 192, 134), (0, 0, 0), [[0, 64], [0], [0, 29, 57, 86]]),  # a quarter at least
        ((256, 192, 96), (0, 0, 12), [[0, 64], [0], [0, 24, 48]]),
        ((192, 100, 48), (0, 0, 0), [[0], [0], [0]]),
    ],
)
def test_blended_windows_are_as_few_as_overlap_as_asked(windows, shape, border, expected):
    window, corners = windows.placement("gaussian", shape, (192, 192, 48), border, 8)
    assert window == (192, 192, 48)
    assert [sorted(set(along.tolist())) for along in corners.T] == expected
    assert len(corners) == np.prod([len(along) for along in expected])


def test_borders_that_leave_nothing_are_refused(windows):
    with pytest.raises(ValueError, match=r"border = \(8, 8, 4\) leaves nothing.*\(32, 16, 16\)"):
        windows.placement("gaussian", (64, 64, 64), (32, 16, 16), (8, 8, 4), 8)


def test_whole_volumes_are_padded_to_multiples(windows):
    shapes = []

    def infer(window):
        shapes.append(window.shape)
        return window

    image = np.random.default_rng(1).random((13, 16, 5, 1))
    windows.infer_volume("whole", image, (8, 8, 8), (2, 2, 2), 8, infer)
    windows.infer_volume("whole", image, (8, 8, 8), (2, 2, 2), 1, infer)
    assert shapes == [(16, 16, 8, 1), (13, 16, 5, 1)]
    padded = windows.cut(image, (0, 0, 0), (16, 16, 8))
    assert np.array_equal(padded[13:, :, :5], image[12:].repeat(3, axis=0))  # the edge repeated


def test_small_volumes_are_padded_to_the_window(windows):
    window, corners = windows.placement("gaussian", (20, 20, 5), (16, 16, 8), (0, 0, 0), 8)
    assert window == (16, 16, 8) and set(corners[:, 2]) == {0}
    assert (corners.max(axis=0) + window).tolist() == [20, 20, 8]


@pytest.fixture
def infer(job):
    """Function of the name of a run and flags: the probabilities that net_segment writes."""
    job.set("SYSTEM", seed=3)
    assert job.net_segment("train", "--max_iter", 2)[0] == 0

    def run(name, *flags):
        code, text = job.net_segment("inference", "--save_seg_dir", name, *flags)
        assert code == 0, text
        (path,) = (job.model / name).glob("*.nii.gz")
        image = nibabel.load(path)
        assert image.shape == (20, 20, 16, 1, 2)
        assert np.array_equal(image.affine, np.diag([2.0, 2.0, 3.0, 1.0]))
        assert image.get_fdata().sum(-1) == pytest.approx(np.ones((20, 20, 16, 1)), abs=1e-5)
        return image.get_fdata()

    return run


# a grid window of the volume's own size has no seams; the toy network sees one voxel further
NO_SEAMS = ("--spatial_window_size", "20,20,16")


@pytest.mark.slow  # trains and infers; windows are tested without NiftyNet
def test_whole_volumes_under_net_segment(infer):
    inside = np.s_[1:-1, 1:-1]  # beyond, 20 voxels padded to 24 are seen
    assert infer("whole", "--inference_windows", "whole")[inside] == pytest.approx(
        infer("grid", *NO_SEAMS)[inside], abs=1e-5
    )


@pytest.mark.slow  # placing and blending are tested without NiftyNet
def test_blended_windows_under_net_segment(infer):
    """Zeros beyond a window change its outermost voxels, which a blend weighs least."""
    truth = infer("truth", *NO_SEAMS)
    error = {
        name: np.abs(infer(name, *flags) - truth).mean()
        for name, flags in {
            "grid": (),
            "blended": ("--inference_windows", "gaussian", "--border", "4,4,2"),
            "batch": ("--inference_windows", "gaussian", "--batch_size", "3"),
        }.items()
    }
    assert 0 < error["blended"] < 0.7 * error["grid"]
    assert 0 < error["batch"] < 0.7 * error["grid"]
    # a last batch that is filled up changes nothing
    single = infer("single", "--inference_windows", "gaussian", "--batch_size", "1")
    assert infer("five", "--inference_windows", "gaussian", "--batch_size", "5") == pytest.approx(
        single, abs=1e-6
    )


def test_a_kind_that_does_not_exist_is_refused(job):
    code, text = job.net_segment("inference", "--inference_windows", "gauss")
    assert code != 0 and "gauss" in text and "gaussian" in text
