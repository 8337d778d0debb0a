"""Dice, then focal loss, in rounds of plain `net_segment train` calls."""

from pathlib import Path

import pytest

from niftynet_ext.core.errors import RoundsError
from niftynet_ext.core.paper import Stage
from niftynet_ext.study import rounds
from tests.support.toy import write_checkpoint

PLAN = (Stage("DiceForeground", 20), Stage("Focal", 30))


@pytest.fixture
def ini(tmp_path):
    (tmp_path / "split.csv").write_text("A,Training\n")
    path = tmp_path / "net.ini"
    path.write_text(f"[SYSTEM]\nmodel_dir = {tmp_path}/model\ndataset_split_file = ../split.csv\n")
    return path


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Record the calls; each "training" saves its last iteration."""
    made = []

    def fake(words, _log_path):
        made.append(dict(zip(words[2::2], words[3::2], strict=True)))
        model_dir = Path(made[-1].get("--model_dir", tmp_path / "model"))
        write_checkpoint(model_dir, int(made[-1]["--max_iter"]))
        return 0

    monkeypatch.setattr(rounds, "run_command", fake)
    return made


def stages(calls):
    return [(c["--loss_type"], c["--starting_iter"], c["--max_iter"]) for c in calls]


def test_papers_plan(capsys, root):
    rounds.train_in_rounds(root / "config_ini/densehighres3dnet_v1.ini", dry_run=True)
    lines = capsys.readouterr().out.splitlines()
    assert [
        (
            line.split("--loss_type ")[1].split()[0],
            line.split("--starting_iter ")[1].split()[0],
            line.split("--max_iter ")[1].split()[0],
        )
        for line in lines
    ] == [
        ("DiceForeground", "0", "20000"),
        ("Focal", "20000", "30000"),
        ("DiceForeground", "30000", "50000"),
        ("Focal", "50000", "60000"),
    ]
    assert all(line.startswith("net_segment train -c ") for line in lines)
    assert not any("--model_dir" in line for line in lines)  # the ini file's stays


def test_each_stage_starts_from_the_last_ones_checkpoint(ini, calls):
    rounds.train_in_rounds(ini, PLAN)
    assert stages(calls) == [("DiceForeground", "0", "20"), ("Focal", "20", "30")]
    rounds.train_in_rounds(ini, PLAN)
    assert len(calls) == 2  # nothing left to do


@pytest.mark.parametrize(
    "saved, expected",
    [
        ([], [("DiceForeground", "0", "20"), ("Focal", "20", "30")]),
        ([5, 15], [("DiceForeground", "15", "20"), ("Focal", "20", "30")]),
        ([15, 20], [("Focal", "20", "30")]),
        ([20, 25], [("Focal", "25", "30")]),
        ([30], []),
    ],
)
def test_resumes_from_the_last_checkpoint(ini, tmp_path, calls, saved, expected):
    write_checkpoint(tmp_path / "model", *saved)
    rounds.train_in_rounds(ini, PLAN)
    assert stages(calls) == expected


def test_resumes_where_netsegment_would(ini, tmp_path, calls):
    """The checkpoint that `--starting_iter -1` takes, in the folder of an earlier training."""
    write_checkpoint(tmp_path / "model", 15, 30)
    (tmp_path / "model" / "models" / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt-15"'
    )
    rounds.train_in_rounds(ini, PLAN[:1])
    assert stages(calls) == [("DiceForeground", "15", "20")]


def test_a_folder_in_use_is_left_as_it_is(ini, tmp_path, calls, monkeypatch):
    def refuse(model_dir):
        raise SystemExit(f"{model_dir} is in use")

    monkeypatch.setattr(rounds.lock, "check_free", refuse)
    (tmp_path / "model").mkdir()
    with pytest.raises(SystemExit, match="in use"):
        rounds.train_in_rounds(ini, PLAN)
    assert not calls and not any((tmp_path / "model").iterdir())


def test_a_half_written_checkpoint_is_not_resumed(ini, tmp_path, calls):
    write_checkpoint(tmp_path / "model", 5, 15)
    data = tmp_path / "model" / "models" / "model.ckpt-15.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    rounds.train_in_rounds(ini, PLAN)
    assert stages(calls)[0] == ("DiceForeground", "5", "20")


LONG_LOG = (
    """\
\x1b[1mINFO:niftynet:\x1b[0m starting
\x1b[1mCRITICAL:niftynet:\x1b[0m [CT] csv file /x/ct.csv not found.
Traceback (most recent call last):
  File "segmentation.py", line 1, in <module>
ValueError: every side of spatial_window_size must be a multiple of 8, got 20,24,16
"""
    + '  File "frame.py", line 2, in frame\n' * 40
    + """\
\x1b[1mCRITICAL:niftynet:\x1b[0m [CT] csv file /x/ct.csv not found.
tensorflow.python.framework.errors_impl.InvalidArgumentError: window size is larger than image
\t [[{{node PyFunc}}]]
"""
)


@pytest.mark.parametrize("saved, advice", [([], "try again after"), ([7], "resume from the last")])
def test_a_failed_stage_says_why(ini, tmp_path, monkeypatch, saved, advice):
    """NiftyNet ends with 0; the causes stand far above the end of the log."""

    def broken(_words, log_path):
        write_checkpoint(tmp_path / "model", *saved)
        with log_path.open("a") as log:
            log.write(LONG_LOG)
        return 0

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "rounds.log").write_text("KeyError: of an earlier call\n")
    monkeypatch.setattr(rounds, "run_command", broken)
    with pytest.raises(RoundsError) as caught:
        rounds.train_in_rounds(ini, PLAN)
    lines = str(caught.value).splitlines()
    assert lines[:3] == [
        "CRITICAL:niftynet: [CT] csv file /x/ct.csv not found.",
        "ValueError: every side of spatial_window_size must be a multiple of 8, got 20,24,16",
        "tensorflow.python.framework.errors_impl.InvalidArgumentError: "
        "window size is larger than image",
    ]
    assert "DiceForeground did not reach iteration 20" in lines[-1] and advice in lines[-1]


def test_a_refusal_is_handed_on(ini, monkeypatch):
    def refused(_words, log_path):
        log_path.write_text("ValueError: its cause\nerror: subject 003: the label has values 2\n")
        return 1

    monkeypatch.setattr(rounds, "run_command", refused)
    with pytest.raises(RoundsError, match="^subject 003: the label has values 2\n"):
        rounds.train_in_rounds(ini, PLAN)


def test_a_log_without_a_cause_is_shown_at_its_end(ini, monkeypatch):
    def killed(_words, log_path):
        log_path.write_text("one\ntwo\n")
        return -9

    monkeypatch.setattr(rounds, "run_command", killed)
    with pytest.raises(RoundsError, match="(?s)one\ntwo\n.*exit code -9"):
        rounds.train_in_rounds(ini, PLAN)


def test_a_full_disk_sends_the_log_to_the_screen(capsys):
    with open("/dev/full", "wb", buffering=0) as log:
        rounds.keep(log, "error: no space\n")
    assert capsys.readouterr().err == "error: no space\n"


def test_home_in_a_model_folder(ini, calls, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    rounds.train_in_rounds(ini, PLAN, model_dir="~/model")
    assert calls[0]["--model_dir"] == str(tmp_path / "home" / "model")


def test_another_model_folder_keeps_the_ini_files_split(ini, tmp_path, calls):
    other = tmp_path / "deep" / "er" / "model"
    rounds.train_in_rounds(ini, PLAN, model_dir=other, overrides=["--lr", "0.1"])
    assert calls[0]["--model_dir"] == str(other)
    assert calls[0]["--dataset_split_file"] == str(tmp_path / "split.csv")
    assert calls[0]["--lr"] == "0.1"


def test_a_split_on_the_command_line_wins_over_the_ini_files(ini, tmp_path, calls):
    fold = tmp_path / "fold0.csv"
    fold.write_text("")
    overrides = ["--dataset_split_file", str(fold)]
    rounds.train_in_rounds(ini, PLAN, model_dir=tmp_path / "fold0", overrides=overrides)
    assert calls[0]["--dataset_split_file"] == str(fold)  # argparse takes the last of several
    fold.unlink()
    with pytest.raises(RoundsError, match="fold0.csv"):
        rounds.train_in_rounds(ini, PLAN, model_dir=tmp_path / "fold1", overrides=overrides)


def test_missing_split_is_refused(ini, tmp_path, calls):
    (tmp_path / "split.csv").unlink()
    with pytest.raises(RoundsError, match="dataset_split_file does not exist"):
        rounds.train_in_rounds(ini, PLAN)
    assert not calls


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is empty"),
        ("Focal", "LOSS:LAST_ITERATION"),
        ("Focal:x", "LOSS:LAST_ITERATION"),
        ("Focal:0", "must increase"),
        ("Focal:20 Dice:20", "must increase"),
    ],
)
def test_bad_plans(text, message):
    with pytest.raises(RoundsError, match=message):
        rounds.parse_plan(text)


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "does not exist. Give the ini file"),
        ("[SYSTEM]\n", "has no model_dir"),
        ("loss = Dice\n", "is not an ini file"),
    ],
)
def test_bad_ini_files(tmp_path, text, message):
    path = tmp_path / "net.ini"
    if text:
        path.write_text(text)
    with pytest.raises(RoundsError, match=message):
        rounds.train_in_rounds(path)
