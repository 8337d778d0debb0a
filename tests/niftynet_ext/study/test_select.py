"""The best checkpoint of each model: which it is, and what is inferred for it."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from data_prep.core.errors import DataError
from niftynet_ext.study import rounds, select
from niftynet_ext.study.scoring import ModelPredictions
from tests.support.study import SHAPE, tumour
from tests.support.toy import write_checkpoint


def table(*rows):
    found = pd.DataFrame(rows, columns=["model", "iteration", "dice_3d_mean"])
    return found.astype({"iteration": "Int64"})


def test_highest_dice_and_the_earlier_of_equals():
    best = select.select_best(
        table(
            ("a", 30, 0.5),
            ("a", 20, 0.5),
            ("a", 60, 0.4),
            ("b", 20, 0.1),
            ("b", 60, 0.2),
            ("ensemble", None, 0.3),
        )
    )
    assert best["model"].tolist() == ["a", "b", "ensemble"]
    assert best["iteration"].fillna(0).tolist() == [20, 60, 0]


def test_from_folders(study):
    models = []
    for iteration, offset in ((20000, 3.0), (50000, 0.5), (60000, 1.0)):
        model = ModelPredictions("v1", iteration, study.folder / "v1" / f"validation_{iteration}")
        for patient_id in "AB":
            study.predict(patient_id, tumour(offset), model)
        models.append(model)
    path = study.folder / select.SELECTION_FILE
    found = select.select_checkpoints(models, study.references, "Validation", path)
    assert select.read_selection(path) == found.record
    assert [checkpoint.iteration for checkpoint in found.record.compared] == [20000, 50000, 60000]
    (best,) = found.record.best
    assert best.label == "v1@50000"
    assert best.folder == str(models[1].folder) and best.patients == 2
    assert best.dice_3d == max(checkpoint.dice_3d for checkpoint in found.record.compared)
    assert best.dice_3d == found.summary["dice_3d_mean"].max()


def test_an_unknown_newer_schema_is_refused(study):
    path = study.folder / select.SELECTION_FILE
    select.select_checkpoints([study.model], study.references, "Validation", path)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(DataError, match="has schema_version 7, expected at most 1: it is meant"):
        select.read_selection(path)
    path.unlink()
    with pytest.raises(DataError, match=r"selected\.json does not exist\. Run"):
        select.read_selection(path)


@pytest.fixture
def network(study, monkeypatch):
    """An ini file, checkpoints 20 and 30, and a ``net_segment`` that notes how it was called.

    The later checkpoint predicts better.
    """
    model_dir = study.folder / "net"
    write_checkpoint(model_dir, 20, 30)
    study.ini = study.folder / "net.ini"
    study.ini.write_text(f"[SYSTEM]\nmodel_dir = {model_dir}\n")
    study.calls, study.predicted = [], "AB"

    def run_command(words, log_path):
        study.calls.append(words)
        flags = dict(zip(words[2::2], words[3::2], strict=True))
        model = ModelPredictions("net", None, model_dir / flags["--save_seg_dir"])
        offset_mm = 30 / int(flags["--inference_iter"])
        for patient_id in study.predicted:
            study.predict_coarse(patient_id, tumour(offset_mm), model=model)
        return 0

    monkeypatch.setattr(rounds, "run_command", run_command)
    return study


def run_select(study, *iterations):
    models = select.infer_all([study.ini], iterations, study.references, "Validation")
    path = study.folder / select.SELECTION_FILE
    return select.select_checkpoints(models, study.references, "Validation", path).record


def test_checkpoints_are_inferred_on_validation_and_only_once(network):
    (best,) = run_select(network, 20, 30).best
    assert len(network.calls) == 2
    words = " ".join(network.calls[0])
    assert words.startswith("net_segment inference -c ")
    assert "--inference_iter 20" in words and "--dataset_to_infer validation" in words
    assert (best.model, best.iteration) == ("net", 30)
    assert run_select(network, 20, 30) and len(network.calls) == 2


def test_predictions_of_a_network_that_was_trained_again_are_made_again(network):
    run_select(network, 20, 30)
    model_dir = network.folder / "net"
    noted = select.CheckpointRecord.read(model_dir / "validation_20" / "checkpoint.json", "")
    index = (model_dir / "models" / "model.ckpt-20.index").read_bytes()
    data = model_dir / "models" / "model.ckpt-20.data-00000-of-00001"
    digest = hashlib.sha256(data.read_bytes() + index).hexdigest()
    assert noted == select.CheckpointRecord(iteration=20, sha256=digest)
    data.write_bytes(data.read_bytes() + b"other weights")
    network.calls.clear()
    run_select(network, 20, 30)
    assert [words[words.index("--inference_iter") + 1] for words in network.calls] == ["20"]
    (model_dir / "validation_30" / "checkpoint.json").unlink()
    run_select(network, 20, 30)
    assert len(network.calls) == 2


def test_stale_predictions_are_not_taken_for_those_of_an_inference_that_failed(network):
    run_select(network, 20)
    data = network.folder / "net" / "models" / "model.ckpt-20.data-00000-of-00001"
    data.write_bytes(data.read_bytes() + b"other weights")
    network.predicted = "A"
    with pytest.raises(DataError, match="did not predict all 2 patients of the set Validation"):
        run_select(network, 20)
    assert not list((network.folder / "net" / "validation_20").glob("*B*"))


def test_an_inference_that_failed_is_done_again(network):
    network.predicted = "A"
    with pytest.raises(DataError, match="did not predict all 2 patients of the set Validation"):
        run_select(network, 20)
    network.predicted = "AB"
    assert run_select(network, 20).best and len(network.calls) == 2


def test_a_checkpoint_that_does_not_exist(network):
    with pytest.raises(DataError, match="no checkpoint of iteration 20000. Choose among 20, 30"):
        run_select(network, 20000)


def test_an_empty_set(network):
    with pytest.raises(DataError, match="no patient in the set Training"):
        select.infer_all([network.ini], [20], network.references, "Training")


def test_a_model_that_found_nothing_can_still_be_selected(study):
    for patient_id in "ABC":
        study.predict(patient_id, np.zeros(SHAPE, bool))
    path = study.folder / select.SELECTION_FILE
    found = select.select_checkpoints([study.model], study.references, "Validation", path)
    assert found.record.best[0].dice_3d == 0
