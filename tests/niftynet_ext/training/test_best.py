"""Whole-volume validation: the volume in windows, and the best checkpoint kept."""

import json
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from data_prep.core import files
from data_prep.core.colours import REFERENCE_RGB
from data_prep.core.errors import DataError
from data_prep.core.overlap import dice
from niftynet_ext.core import checkpoints
from niftynet_ext.training import best_record
from niftynet_ext.training.best_record import BestRecord
from niftynet_ext.training.training_summary import TrainingSummary
from tests.support.toy import write_checkpoint


@pytest.fixture
def best(tf):
    from niftynet_ext.training import best

    return best


RECORD = BestRecord(
    iteration=5, dice=0.5, subjects={"001": 0.4, "002": 0.6}, checkpoint="models/model.ckpt-5"
)


def test_a_record_is_read_as_it_was_written(tmp_path):
    best_record.write_best(tmp_path, RECORD)
    assert json.loads((tmp_path / "best.json").read_text()) == {
        "schema_version": 1,
        "iteration": 5,
        "dice": 0.5,
        "subjects": {"001": 0.4, "002": 0.6},
        "checkpoint": "models/model.ckpt-5",
    }
    with pytest.raises(DataError, match="names models/model.ckpt-5, which is absent or incomplete"):
        best_record.read_best(tmp_path)
    write_checkpoint(tmp_path, 5)
    assert best_record.read_best(tmp_path) == best_record.best_so_far(tmp_path) == RECORD


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema_version": 1}', '{"iteration": 5}'])
def test_a_record_that_is_absent_or_damaged_counts_as_none(tmp_path, content):
    write_checkpoint(tmp_path, 5)
    if content is not None:
        (tmp_path / "best.json").write_text(content)
    assert best_record.best_so_far(tmp_path) is None


def test_a_record_without_its_checkpoint_counts_as_none(tmp_path):
    best_record.write_best(tmp_path, RECORD)
    assert best_record.best_so_far(tmp_path) is None


def test_a_record_of_a_newer_version_is_refused_where_a_training_would_overwrite_it(best, tmp_path):
    folder = tmp_path / "best"
    files.write_json(folder / "best.json", RECORD.as_json() | {"schema_version": 2, "rank": 1})
    write_checkpoint(folder, 5)
    options = {"model_dir": str(tmp_path), "whole_volume_validation_every_n": 3}
    with pytest.raises(
        SystemExit, match="has schema_version 2, expected at most 1.*remove best_checkpoint"
    ):
        best.BestCheckpoint(initial_iter=5, **options)
    best.BestCheckpoint(initial_iter=5, is_training_action=False, **options)  # inference


def test_the_best_is_kept_found_by_inference_and_remembered(job):
    job.set("TRAINING", whole_volume_validation_every_n=3)
    job.set("SYSTEM", seed=3)
    job.add_handlers("best_checkpoint", "train_summary")
    folder = job.model / "best"
    code, text = job.net_segment("train", "--max_iter", 9)
    assert code == 0 and text.count("on the validation set (1 whole volume)") == 3
    record = json.loads((folder / "best.json").read_text())
    assert checkpoints.whole(folder) == [record["iteration"]]  # the best, beside the last few
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

    # a resumed training has to beat the record, here one that it cannot beat
    unbeatable = {**record, "dice": 0.999}
    (folder / "best.json").write_text(json.dumps(unbeatable))
    code, text = job.net_segment("train", "--starting_iter", 9, "--max_iter", 12)
    assert code == 0 and "the best so far" not in text
    assert json.loads((folder / "best.json").read_text()) == unbeatable
    summary = TrainingSummary.read(job.model / "train_summary.json", "Train again.")
    assert (summary.first_iteration, summary.last_iteration) == (10, 12)
    assert summary.finished and summary.checkpoint == 12 and summary.seed == 3
    assert summary.best_checkpoint.dice == 0.999


def test_a_summary_has_the_best_record_only_where_it_can_be_read(tf, tmp_path):
    from niftynet_ext.training.summary import TrainSummary

    application = SimpleNamespace(
        net_param=SimpleNamespace(name="toynet.ToyNet"), action_param=SimpleNamespace()
    )
    folder = tmp_path / "best"
    write_checkpoint(folder, 5)
    handler = TrainSummary(model_dir=str(tmp_path))
    for schema, expected in ((1, {"iteration": 5, "dice": 0.5}), (2, None)):
        files.write_json(folder / "best.json", RECORD.as_json() | {"schema_version": schema})
        handler.on_end(application)
        content = json.loads((tmp_path / "train_summary.json").read_text())
        assert content["best_checkpoint"] == expected
    assert content["schema_version"] == 1 and content["loss"] is None


def test_overlay_shows_the_slice_with_most_of_the_reference():
    from niftynet_ext.training import overlay

    image = np.zeros((6, 8, 4))
    reference = np.zeros(image.shape, bool)
    reference[1:5, 2:6, 2] = True
    picture = overlay.draw_overlay(image, reference, np.zeros(image.shape, bool))
    assert picture.shape == (8, 6, 3) and picture.dtype == np.uint8
    blue = (picture == REFERENCE_RGB).all(-1)
    assert blue.sum() == 12  # the rim of a square of 4 x 4
    assert blue[8 - 1 - 2, 1] and not blue[8 - 1 - 3, 2]  # y up, x to the right; hollow
