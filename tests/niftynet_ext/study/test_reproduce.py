"""The study's driver: what runs, what is not run again; and in the slow tests all of it, small."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.core.errors import DataError
from niftynet_ext.core.paper import PAPER_PLAN
from niftynet_ext.study import cases, reproduce, tables
from niftynet_ext.study.scoring import ModelPredictions
from niftynet_ext.study.select import CheckpointScore, SelectionRecord, read_selection

STEP = """
import sys
from pathlib import Path

with Path("ran.txt").open("a") as stream:
    stream.write(sys.argv[1] + " ")
sys.exit(Path("broken").exists())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a working folder with a command of ours that notes its argument."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "step.py").write_text(STEP)
    monkeypatch.setattr(reproduce, "NET_LUNG", (sys.executable, "step.py"))
    return tmp_path


def test_what_succeeded_is_not_run_again_and_what_failed_is(folder, capfd):
    study = reproduce.Study("phantom", 0.5)
    study.run("'one two'")
    (folder / "broken").touch()
    with pytest.raises(DataError, match="exit code 1.*run the same command again"):
        study.run("three")
    (folder / "broken").unlink()
    again = reproduce.Study("phantom", 0.5)
    again.run("'one two'")
    again.run("three")
    assert (folder / "ran.txt").read_text() == "one two three three "
    assert "(done) $ net_lung 'one two'" in capfd.readouterr().err


def test_a_folder_is_of_one_cohort_and_scale(folder):
    reproduce.Study("phantom", 0.5).run("one")
    with pytest.raises(
        DataError, match=r"a study of --cohort phantom --scale 0\.5, but .* --scale 0\.25\. Run"
    ):
        reproduce.Study("phantom", 0.25)


def test_scaled_plans():
    assert reproduce.scaled_plan(1) == PAPER_PLAN
    assert [stage.last for stage in reproduce.scaled_plan(0.001)] == [20, 30, 50, 60]
    for scale in (0, -1, 2, 0.00001):
        with pytest.raises(DataError, match=f"--scale is {scale}, expected"):
            reproduce.scaled_plan(scale)


def test_a_config_keeps_what_is_not_changed(root, tmp_path):
    source = root / "config_ini" / "densehighres3dnet_v1.ini"
    reproduce.write_config(source, tmp_path / "c" / "a.ini", {"batch_size": "1", "border": "x"})
    before, after = (configparser.ConfigParser(interpolation=None) for _ in range(2))
    before.read(source)
    after.read(tmp_path / "c" / "a.ini")
    changed = {
        (name, key)
        for name in before.sections()
        for key in before[name]
        if before[name][key] != after[name][key]
    }
    assert changed == {("NETWORK", "batch_size"), ("INFERENCE", "border")}
    assert after.sections() == before.sections()


def test_a_study_of_a_newer_version_is_refused(folder):
    reproduce.Study("phantom", 0.5).run("three")
    path = folder / "reproduce.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(DataError, match="has schema_version 2, expected at most 1: it is meant"):
        reproduce.Study("phantom", 0.5)


def test_the_full_study_runs_the_papers_commands(folder, root, monkeypatch):
    """The commands of the real study, none of them run."""
    lines, inferred = [], []
    sets = {"A": "Training", "B": "Validation", "C": "Inference", "D": "Unused"}
    references = {
        patient_id: cases.Reference(name, Path(patient_id)) for patient_id, name in sets.items()
    }

    def infer(config, iteration, only_set, wanted):
        inferred.append((only_set, wanted))
        return ModelPredictions(config.stem, iteration, folder / config.stem / f"all_{iteration}")

    def run(self, arguments):
        lines.append(arguments)
        if arguments.startswith("select"):
            best = [
                CheckpointScore(
                    model=name,
                    iteration=60000,
                    set="Validation",
                    patients=40,
                    dice_3d=0.5,
                    folder=f"{name}/all_60000",
                )
                for name in reproduce.STUDIED_NETWORKS
            ]
            SelectionRecord(best=best, compared=best).write(Path("selected.json"))

    monkeypatch.setattr(reproduce.selection, "infer", infer)
    monkeypatch.setattr(reproduce.Study, "run", run)
    monkeypatch.setattr(reproduce.cases, "find_references", lambda folder: (references, []))
    reproduce.reproduce("nsclc_radiomics", 1.0, root / "config_ini")
    assert "preprocess --dicom dicom --out data --split 260 40 40" in lines
    assert len(inferred) == 12
    assert all(call == ("All", ["A", "B", "C"]) for call in inferred)  # whom NiftyNet's lists have
    assert [line.split()[0] for line in lines] == (
        ["download", "preprocess", *["train"] * 3, "select", "ensemble", "evaluate", "report"]
    )
    (evaluate,) = (line for line in lines if line.startswith("evaluate"))
    compared = [f"{name}@60000" for name in reproduce.STUDIED_NETWORKS] + ["ensemble"]
    assert evaluate.endswith(" --compare " + " ".join(compared))
    assert "densehighres3dnet_v1@20000=densehighres3dnet_v1/all_20000 " in evaluate


@pytest.mark.long
def test_the_whole_study_runs_on_phantoms_and_is_not_repeated(root, tmp_path):
    def call():
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "niftynet_ext",
                "reproduce",
                "--cohort",
                "phantom",
                "--scale",
                "0.001",
                "--config-dir",
                root / "config_ini",
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    done = call()
    assert done.returncode == 0, done.stdout[-4000:]
    for heading in ("paper: table 1", "paper: table 2", "paper: table 3"):
        assert heading in done.stdout
    patients = tables.read(tmp_path / "evaluation").patients
    trained = patients[patients["model"] != "ensemble"]
    assert set(trained["model"]) == set(reproduce.STUDIED_NETWORKS)
    assert set(trained["iteration"]) == {20, 30, 50, 60}
    assert len(patients) == (3 * 4 + 1) * 7
    tests = tables.read(tmp_path / "evaluation").tests
    assert tests.groupby("set").size().tolist() == [6 * 4] * 3  # of the best three and the ensemble
    best = read_selection(tmp_path / "selected.json").best
    assert {Path(checkpoint.folder).parent.name for checkpoint in best} == set(
        reproduce.STUDIED_NETWORKS
    )
    html = (tmp_path / "evaluation" / "report.html").read_text()
    assert "No events" not in html and "Not drawn" not in html
    again = call()
    assert again.returncode == 0 and "net_segment" not in again.stdout
