"""The best checkpoint of each model: which it is, and what is inferred for it."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from data_prep.core.errors import DataError
from niftynet_ext.commands.parser import main
from niftynet_ext.study import rounds, select
from niftynet_ext.study.scoring import Model
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


def test_from_folders(study, capsys):
    folders = []
    for iteration, offset in ((20000, 3.0), (50000, 0.5), (60000, 1.0)):
        model = Model("v1", iteration, study.folder / "v1" / f"validation_{iteration}")
        for one in "AB":
            study.predict(one, tumour(offset), model)
        folders.append(str(model.folder))
    out = study.folder / "best.json"
    assert (
        main(
            [
                "select",
                "--references",
                str(study.references),
                "--predictions",
                *folders,
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert "best of v1: v1@50000" in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert [one["iteration"] for one in content["compared"]] == [20000, 50000, 60000]
    (best,) = content["best"]
    assert best["folder"] == folders[1] and best["patients"] == 2
    assert best["dice_3d"] == max(one["dice_3d"] for one in content["compared"])


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
        model = Model("net", None, model_dir / flags["--save_seg_dir"])
        for one in study.predicted:
            study.predict_coarse(one, tumour(30 / int(flags["--inference_iter"])), model=model)
        return 0

    monkeypatch.setattr(rounds, "run_command", run_command)
    return study


def run_select(study, *words):
    return main(
        [
            "select",
            "--references",
            str(study.references),
            "-c",
            str(study.ini),
            "--out",
            str(study.folder / "best.json"),
            *words,
        ]
    )


def test_checkpoints_are_inferred_on_validation_and_only_once(network):
    assert run_select(network, "--iterations", "20", "30") == 0
    assert len(network.calls) == 2
    words = " ".join(network.calls[0])
    assert words.startswith("net_segment inference -c ")
    assert "--inference_iter 20" in words and "--dataset_to_infer validation" in words
    (best,) = json.loads((network.folder / "best.json").read_text())["best"]
    assert (best["model"], best["iteration"]) == ("net", 30)
    assert run_select(network, "--iterations", "20", "30") == 0 and len(network.calls) == 2


def test_predictions_of_a_network_that_was_trained_anew_are_made_again(network):
    assert run_select(network, "--iterations", "20", "30") == 0
    model_dir = network.folder / "net"
    noted = json.loads((model_dir / "validation_20" / "checkpoint.json").read_text())
    index = (model_dir / "models" / "model.ckpt-20.index").read_bytes()
    data = model_dir / "models" / "model.ckpt-20.data-00000-of-00001"
    digest = hashlib.sha256(data.read_bytes() + index).hexdigest()
    assert noted == {"iteration": 20, "sha256": digest}
    data.write_bytes(data.read_bytes() + b"other weights")
    network.calls.clear()
    assert run_select(network, "--iterations", "20", "30") == 0
    assert [words[words.index("--inference_iter") + 1] for words in network.calls] == ["20"]
    (model_dir / "validation_30" / "checkpoint.json").unlink()  # of an earlier version
    assert run_select(network, "--iterations", "20", "30") == 0 and len(network.calls) == 2


def test_stale_predictions_are_not_taken_for_those_of_an_inference_that_broke_off(network):
    assert run_select(network, "--iterations", "20") == 0
    data = network.folder / "net" / "models" / "model.ckpt-20.data-00000-of-00001"
    data.write_bytes(data.read_bytes() + b"other weights")
    network.predicted = "A"
    assert run_select(network, "--iterations", "20") == 2
    assert not list((network.folder / "net" / "validation_20").glob("*B*"))


def test_an_inference_that_broke_off_is_done_again(network):
    network.predicted = "A"
    assert run_select(network, "--iterations", "20") == 2
    network.predicted = "AB"
    assert run_select(network, "--iterations", "20") == 0 and len(network.calls) == 2


def test_a_checkpoint_that_is_not_there(network, capsys):
    assert run_select(network) == 2  # the paper's iterations
    assert "no checkpoint of iteration 20000. Choose among 20, 30" in capsys.readouterr().err


def test_patients_that_were_not_predicted(network, capsys):
    network.predicted = "A"
    assert run_select(network, "--iterations", "20") == 2
    assert "did not predict all 2 patients of the set Validation" in capsys.readouterr().err


def test_an_empty_set(network):
    with pytest.raises(DataError, match="no patient in the set Training"):
        select.infer_all([network.ini], [20], network.references, "Training")


def test_a_model_that_found_nothing_can_still_be_chosen(study):
    for one in "ABC":
        study.predict(one, np.zeros(SHAPE, bool))
    assert (
        main(
            [
                "select",
                "--references",
                str(study.references),
                "--predictions",
                str(study.model.folder),
                "--out",
                str(study.folder / "best.json"),
            ]
        )
        == 0
    )
