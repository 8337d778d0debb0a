"""One patient is one job: what a second run takes over, and what a run that was cut off leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import job
from data_prep.cohort.manifest import MANIFEST, Status
from data_prep.cohort.prepare import Parameters, prepare_cohort
from data_prep.core.engine import Engine, Failure, here
from data_prep.dicom_in import scan
from tests.support.dicom_patients import rows, square, tree


def test_a_second_run_writes_the_same_bytes(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    before = tree(tmp_path / "out")
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert tree(tmp_path / "out") == before


def test_a_patient_refused_later_leaves_nothing_stale(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    (dicom / "P1" / "rs.dcm").unlink()
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert [name for name in tree(tmp_path / "out") if "P1" in name] == ["records/P1.json"]
    prepare_cohort(dicom, tmp_path / "out", Parameters(allow_unlabelled=True))
    assert sorted(name for name in tree(tmp_path / "out") if "P1" in name) == [
        "images/P1.nii.gz",
        "records/P1.json",
    ]
    assert ["P1", "Inference"] in rows(tmp_path / "out/split.csv")
    assert "P1" not in [row[0] for row in rows(tmp_path / "out/label.csv")]


def without_times(folder):
    """Return every file's content, JSON without the keys that may vary."""

    def strip(value):
        if isinstance(value, dict):
            return {key: strip(v) for key, v in value.items() if key not in job.VARYING}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return {
        str(path.relative_to(folder)): strip(json.loads(path.read_text()))
        if path.suffix == ".json"
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def preprocess_many(patient, count, out):
    """Write many small patients and return the command that prepares them."""
    for k in range(count):
        made = patient(f"P{k:03}").write()
        made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    return [
        sys.executable,
        "-m",
        "niftynet_ext",
        "preprocess",
        "--dicom",
        str(made.folder.parent),
        "--out",
        str(out),
    ]


def wait_for_a_record(out):
    """Wait until the first patient is done."""
    deadline = time.monotonic() + 60
    while not list(out.glob("records/*.json")) and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.slow  # the interruption by Ctrl-C stays
def test_after_a_kill_a_second_run_does_the_rest(patient, tmp_path, root):
    out = tmp_path / "out"
    command = [*preprocess_many(patient, 40, out), "--workers", "1"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    whole = without_times(out)
    shutil.rmtree(out)
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    wait_for_a_record(out)
    process.kill()
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("records/*.json")}
    assert 0 < len(done) < 40 and not (out / MANIFEST).exists()
    (out / "images" / ".P039.nii.gz.123.part").write_bytes(b"half")
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    assert without_times(out) == whole
    assert {path: path.stat().st_mtime_ns for path in done} == done  # not done twice


def test_ctrl_c_ends_workers_quietly_and_the_second_run_goes_on(patient, tmp_path, root):
    out = tmp_path / "out"
    command = [*preprocess_many(patient, 60, out), "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=root, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    wait_for_a_record(out)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    _, errors = process.communicate(timeout=60)
    done = len(list(out.glob("records/*.json")))
    assert process.returncode == 130 and 0 < done < 60
    assert "Traceback" not in errors
    assert errors.endswith("interrupted. Run the same command again to resume.\n")
    command[-1] = "1"
    assert subprocess.run(command, cwd=root, capture_output=True).returncode == 0
    assert len(rows(out / "ct.csv")) == 60


def test_workers_write_the_same_bytes(dicom, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(scan, "PART_FILES", 5)  # less than a patient has
    prepare_cohort(dicom, out, Parameters())
    alone = without_times(out)
    shutil.rmtree(out)
    prepare_cohort(dicom, out, Parameters(), Engine(workers=2))
    assert without_times(out) == alone


def test_with_a_voxel_size_too_nothing_is_done_twice(dicom, tmp_path, monkeypatch):
    parameters = Parameters(spacing_mm=(2, 2, 3))
    prepare_cohort(dicom, tmp_path / "out", parameters)
    monkeypatch.setattr(job, "_prepare", lambda task: pytest.fail(task.patient_id))
    prepare_cohort(dicom, tmp_path / "out", parameters)


@pytest.mark.parametrize("change", ["input", "output", "record", "parameter", "unreadable"])
def test_whoever_changed_is_prepared_again_and_nobody_else(dicom, tmp_path, monkeypatch, change):
    out = tmp_path / "out"
    prepare_cohort(dicom, out, Parameters())
    expected, parameters, again = tree(out), Parameters(), {"P1"}
    if change == "input":
        (dicom / "P1" / "copy.dcm").write_bytes((dicom / "P1" / "000").read_bytes())
    elif change == "output":
        (out / "labels/P1.nii.gz").write_bytes(b"tampered with")
    elif change == "record":
        (out / "records/P1.json").write_text('{"record": {}}')
    elif change == "parameter":
        parameters, again = Parameters(allow_unlabelled=True), {"x", "P1", "P2", "no_ct", "other"}
    else:
        (dicom / "P1" / "broken.dcm").write_bytes(b"\0" * 500)
    worked, prepare = set(), job._prepare
    monkeypatch.setattr(job, "_prepare", lambda task: worked.add(task.patient_id) or prepare(task))
    prepare_cohort(dicom, out, parameters)
    assert worked == again
    assert tree(out)["labels/P1.nii.gz"] == expected["labels/P1.nii.gz"]


def test_a_patient_whose_worker_died_has_failed_and_is_tried_again(dicom, tmp_path):
    class Unlucky(Engine):
        @contextmanager
        def session(self, preload=()):
            def lose_p1(function, jobs):
                for number, result in here(function, jobs):
                    lost = getattr(jobs[number], "patient_id", "") == "P1"
                    yield number, Failure("The worker process died") if lost else result

            yield lose_p1

    records = prepare_cohort(dicom, tmp_path / "out", Parameters(), Unlucky()).patients
    [lost] = [record for record in records if record.id == "P1"]
    assert (lost.status, lost.reason) == (Status.FAILED, "The worker process died")
    records = prepare_cohort(dicom, tmp_path / "out", Parameters()).patients
    assert [record.status for record in records if record.id == "P1"] == [Status.OK]


def test_digests_are_those_of_the_files(dicom, tmp_path):
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    for record in manifest.patients:
        folder = dicom / record.source
        assert list(record.inputs) == sorted(tree(folder).values())
        assert record.outputs == {
            name: tree(tmp_path / "out")[name] for name in record.files.names().values()
        }


def test_a_real_patient_in_bounded_memory(real_data, tmp_path, root):
    # the peak of the process itself: what wait4 tells counts the memory of the one that forked it
    code = (
        "import re, sys; from niftynet_ext.commands.parser import main; "
        "assert main(sys.argv[1:]) == 0; "
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", code, "preprocess", "--dicom", str(real_data / "LUNG1-001")]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) / 1024 <= 600  # MB
    native = nib.load(tmp_path / "out/native/LUNG1-001_label.nii.gz")
    assert native.shape == (512, 512, 134)
    assert np.count_nonzero(native.dataobj) == 54_639
    image, label = (
        nib.load(tmp_path / f"out/{folder}/LUNG1-001.nii.gz") for folder in ("images", "labels")
    )
    assert image.shape == label.shape == (256, 256, 134)
    volume_ml = np.count_nonzero(label.dataobj) * np.prod(label.header.get_zooms()) / 1000
    assert volume_ml == pytest.approx(156.3, rel=0.01)
