"""Shipped ini files with other paths."""

import configparser
import json

import pytest

from niftynet_ext.commands.parser import main
from niftynet_ext.core import ini_files


def read(path):
    ini = configparser.ConfigParser()  # with interpolation, as NiftyNet reads it
    assert ini.read(path)
    return ini


@pytest.mark.parametrize("name", ini_files.names())
def test_only_paths_change(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["config", name, "--data", "my data", "--models", "trained", "--out", "sub/net.ini"]
    assert main(words) == 0
    shipped = ini_files.read(name).splitlines()
    written = (tmp_path / "sub" / "net.ini").read_text().splitlines()
    changed = [(a, b) for a, b in zip(shipped, written, strict=True) if a != b]
    assert {a.partition(" = ")[0] for a, _ in changed} == {
        "csv_file",
        "model_dir",
        "dataset_split_file",
    }
    assert len(changed) == 4
    ini = read("sub/net.ini")
    assert ini["CT"]["csv_file"] == str(tmp_path / "my data" / "ct.csv")
    assert ini["LABEL"]["csv_file"] == str(tmp_path / "my data" / "label.csv")
    assert ini["SYSTEM"]["dataset_split_file"] == str(tmp_path / "my data" / "split.csv")
    assert ini["SYSTEM"]["model_dir"] == str(tmp_path / "trained" / name)
    assert "Next: net_lung preprocess --dicom DIR --out my data" in capsys.readouterr().out


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.ini").write_text("mine")
    assert main(["config", "demo"]) == 2
    assert "demo.ini exists" in capsys.readouterr().err
    assert (tmp_path / "demo.ini").read_text() == "mine"
    assert main(["config", "demo", "--overwrite"]) == 0
    assert "[NETWORK]" in (tmp_path / "demo.ini").read_text()


def test_names_are_listed_for_people_and_programs(capsys):
    assert main(["config", "--list"]) == 0
    names = capsys.readouterr().out.split()
    assert "densehighres3dnet_v1" in names and "demo" in names
    assert main(["config", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == names


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["densehighresnet"],
            "There is no shipped ini file 'densehighresnet'. Choose one of demo,",
        ),
        ([], "NAME is missing"),
        (["demo", "--data", "50%"], "50%: NiftyNet cannot read a path with %"),
    ],
)
def test_wrong_input_writes_nothing(words, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["config", *words]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
