"""Whole-volume validation: the volume in windows, and the best checkpoint kept."""

import json

import nibabel
import numpy as np
import pytest

from data_prep.core import files
from data_prep.core.dice import dice
from niftynet_ext.core import checkpoints


@pytest.fixture
def best(tf):
    from niftynet_ext.training import best

    return best


def test_a_record_counts_while_its_checkpoint_is_whole(best, tmp_path):
    from tests.support.toy import write_checkpoint

    assert best.read_record(tmp_path) is None
    files.write_json(tmp_path / best.RECORD, {"iteration": 5, "dice": 0.5})
    assert best.read_record(tmp_path) is None
    write_checkpoint(tmp_path, 5)
    assert best.read_record(tmp_path)["dice"] == 0.5
    (tmp_path / best.RECORD).write_text("{")
    assert best.read_record(tmp_path) is None


def test_the_best_is_kept_found_by_inference_and_remembered(job):
    job.set("TRAINING", whole_volume_validation_every_n=3)
    job.set("SYSTEM", seed=3)
    job.add_handlers("best_checkpoint", "train_summary")
    folder = job.model / "best"
    code, text = job.net_segment("train", "--max_iter", 9)
    assert code == 0 and text.count("whole volumes of validation") == 3
    record = json.loads((folder / "best.json").read_text())
    assert checkpoints.whole(folder) == [record["iteration"]]  # the one best, beside the last few
    assert checkpoints.whole(job.model)[-1] == 9

    # NiftyNet's own inference with that network gives masks of that very Dice (in batches of
    # several it pastes the first windows once more at the end, over the last ones)
    flags = {
        "--model_dir": folder,
        "--dataset_split_file": job.folder / "split.csv",
        "--dataset_to_infer": "validation",
        "--batch_size": 1,
    }
    assert job.net_segment("inference", *(word for flag in flags.items() for word in flag))[0] == 0
    (output,) = (folder / "segmentation").glob("*005*.nii.gz")
    found = np.squeeze(nibabel.load(output).get_fdata()).argmax(-1) > 0
    label = np.asarray(nibabel.load(job.folder / "labels" / "005.nii.gz").dataobj) > 0
    assert record["subjects"] == {"005": pytest.approx(dice(found, label))}

    # a training that goes on has to beat the record, here one that it cannot beat
    best = {**record, "dice": 0.999}
    (folder / "best.json").write_text(json.dumps(best))
    code, text = job.net_segment("train", "--starting_iter", 9, "--max_iter", 12)
    assert code == 0 and "the best so far" not in text
    assert json.loads((folder / "best.json").read_text()) == best
    summary = json.loads((job.model / "train_summary.json").read_text())
    assert (summary["first_iteration"], summary["last_iteration"]) == (10, 12)
    assert summary["finished"] and summary["checkpoint"] == 12 and summary["seed"] == 3
    assert summary["best_checkpoint"]["dice"] == 0.999


def test_overlay_shows_the_slice_with_most_of_the_reference():
    from niftynet_ext.training import overlay

    image = np.zeros((6, 8, 4))
    reference = np.zeros(image.shape, bool)
    reference[1:5, 2:6, 2] = True
    picture = overlay.draw_overlay(image, reference, np.zeros(image.shape, bool))
    assert picture.shape == (8, 6, 3) and picture.dtype == np.uint8
    blue = (picture == overlay.REFERENCE).all(-1)
    assert blue.sum() == 12  # the rim of a square of 4 x 4
    assert blue[8 - 1 - 2, 1] and not blue[8 - 1 - 3, 2]  # y up, x to the right; hollow
