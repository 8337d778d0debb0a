"""The study's driver: what runs, what is not run again; and in the slow tests all of it, small."""

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.core.errors import DataError
from niftynet_ext.study import cases, reproduce, tables
from niftynet_ext.study.scoring import Model

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
    return tmp_path


def test_what_succeeded_is_not_run_again_and_what_failed_is(folder, capfd):
    study = reproduce.Study("phantom", 0.5)
    study.run("step", "'one two'")
    (folder / "broken").touch()
    with pytest.raises(DataError, match="exit code 1.*run the same again"):
        study.run("step", "three")
    (folder / "broken").unlink()
    again = reproduce.Study("phantom", 0.5)
    again.run("step", "'one two'")
    again.run("step", "three")
    assert (folder / "ran.txt").read_text() == "one two three three "
    assert "(done) $ python -m step 'one two'" in capfd.readouterr().out


def test_a_folder_is_of_one_cohort_and_scale(folder):
    reproduce.Study("phantom", 0.5).run("step", "one")
    with pytest.raises(DataError, match=r"is of .*0\.5.*asked for is .*0\.25.*another folder"):
        reproduce.Study("phantom", 0.25)


def test_scaled_plans():
    assert reproduce.scaled_plan(1) == reproduce.rounds.PAPER_PLAN
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


def test_errors_are_one_line_and_an_exit_code(folder, capsys):
    assert reproduce.main(["--scale", "7", "--config-dir", "x"]) == 1
    assert capsys.readouterr().err.startswith("reproduce: --scale is 7")


def test_the_papers_sizes_and_its_questions(folder, root, monkeypatch):
    """The commands of the real study, none of them run."""
    lines, inferred = [], []
    references = {
        one: cases.Reference(phase, Path(one))
        for one, phase in (
            ("A", "Training"),
            ("B", "Validation"),
            ("C", "Inference"),
            ("D", "Unused"),
        )
    }

    def infer(config, iteration, which, wanted):
        inferred.append((which, wanted))
        return Model(config.stem, iteration, folder / config.stem / f"all_{iteration}")

    def run(self, module, arguments):
        lines.append(f"{module} {arguments}")
        if arguments.startswith("select"):
            best = [
                {"model": name, "iteration": 60000, "folder": f"{name}/all_60000"}
                for name in reproduce.NETWORKS
            ]
            Path("best.json").write_text(json.dumps({"best": best}))

    monkeypatch.setattr(reproduce.selection, "infer", infer)
    monkeypatch.setattr(reproduce.Study, "run", run)
    monkeypatch.setattr(reproduce.cases, "find_references", lambda folder: (references, []))
    reproduce.run("nsclc_radiomics", 1.0, root / "config_ini")
    assert "data_prep preprocess --dicom dicom --out data --split 260 40 40" in lines
    assert len(inferred) == 12
    assert all(one == ("All", ["A", "B", "C"]) for one in inferred)  # whom NiftyNet's lists have
    (evaluate,) = (line for line in lines if line.startswith("niftynet_ext evaluate"))
    compared = [f"{name}@60000" for name in reproduce.NETWORKS] + ["ensemble"]
    assert evaluate.endswith(" --compare " + " ".join(compared))


@pytest.mark.slow
def test_the_whole_study_small(root, tmp_path):
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
    patients = tables.read(tmp_path / "evaluation")["patients"]
    trained = patients[patients["model"] != "ensemble"]
    assert set(trained["model"]) == set(reproduce.NETWORKS)
    assert set(trained["iteration"]) == {20, 30, 50, 60}
    assert len(patients) == (3 * 4 + 1) * 7
    tests = tables.read(tmp_path / "evaluation")["tests"]
    assert tests.groupby("set").size().tolist() == [6 * 4] * 3  # of the best three and the ensemble
    best = json.loads((tmp_path / "best.json").read_text())["best"]
    assert {Path(one["folder"]).parent.name for one in best} == set(reproduce.NETWORKS)
    html = (tmp_path / "evaluation" / "report.html").read_text()
    assert "No events" not in html and "Not drawn" not in html
    again = call()
    assert again.returncode == 0 and "net_segment" not in again.stdout
