import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from data_prep import phantom
from data_prep.cohort import check, check_findings, check_table
from data_prep.cohort.check_report import REPORT, CheckedPatient, Verdict, read_report
from data_prep.cohort.job import Parameters
from data_prep.core.engine import Engine
from data_prep.core.errors import DataError
from niftynet_ext.commands.parser import main
from tests.support.dicom_patients import square


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a folder of three phantoms, whose tumours are known in closed form, and that truth."""
    folder = phantom.write_phantom_cohort(
        tmp_path_factory.mktemp("check") / "dicom", patients=3, matrix=128, slices=40
    )
    truth = json.loads((folder / phantom.TRUTH_FILE).read_text())["patients"]
    return folder, {patient["id"]: patient for patient in truth}


def test_numbers_are_those_of_the_closed_form(cohort, tmp_path):
    folder, truth = cohort
    result = check.check_cohort(folder, tmp_path, Parameters())
    assert read_report(tmp_path) == result
    content = json.loads((tmp_path / REPORT).read_text())
    assert list(content)[0] == "schema_version" and list(content["patients"][0])[-1] == "expected"
    assert content["patients"][0]["dice_rtstruct_seg"] is None  # measured: there is no SEG
    assert content["verdicts"] == {"ok": 3, "warn": 0, "refused": 0}
    assert (tmp_path / check.SHEET).stat().st_size > 10_000
    for entry in result.patients:
        [tumour] = truth[entry.id]["tumours"]
        voxels = np.prod(truth[entry.id]["size_voxels"])
        voxel_ml = np.prod(truth[entry.id]["spacing_mm"]) / 1000
        assert entry.volume_ml == pytest.approx(tumour["volume_ml"], rel=0.06)
        assert entry.label_proportion == pytest.approx(
            tumour["volume_ml"] / voxel_ml / voxels, rel=0.06
        )
        ras = np.array(tumour["centroid_lps_mm"]) * [-1, -1, 1]
        assert np.linalg.norm(ras - entry.centroid_ras_mm) < 0.5
        assert entry.in_lung_box is True
        assert entry.slices_found == entry.slices_expected == 40
        assert (entry.roi, entry.gaps_mm) == (("GTV-1",), ())
        assert "Spinal-Cord" in entry.roi_others


def test_two_workers_find_the_same(cohort, tmp_path):
    folder, _ = cohort
    reports = [
        check.check_cohort(folder, tmp_path / str(n), Parameters(), Engine(workers=n))
        for n in (1, 2)
    ]
    assert reports[0] == reports[1]
    assert len({(tmp_path / n / check.SHEET).read_bytes() for n in "12"}) == 1


def test_a_label_that_is_cut_and_a_refusal_are_found(cohort, tmp_path):
    folder = shutil.copytree(cohort[0], tmp_path / "dicom")
    (folder / "PHANTOM-002/RTSTRUCT/1-001.dcm").unlink()
    result = check.check_cohort(folder, tmp_path / "out", Parameters(roi="spinal.*"))
    first, second, third = result.patients
    assert second.verdict is Verdict.REFUSED
    assert "No RTSTRUCT" in second.findings[0] and second.shape is None
    content = json.loads((tmp_path / "out" / REPORT).read_text())
    assert "shape" not in content["patients"][1] and "shape" in content["patients"][0]
    # the canal runs through the whole CT
    assert any("reaches the first or last slice" in text for text in first.findings)
    assert first.verdict is third.verdict is Verdict.WARN


def test_what_most_patients_have_is_expected_of_all(patient, tmp_path, capsys):
    for name in "ABCD":
        made = patient(name, slices=4 + ord(name) % 7).write()
        if name != "D":
            made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
        if name != "B":
            frame = np.zeros((24, 28))
            frame[4:13, 4:13] = 1
            made.segmentation({"GTV-1": {2: frame}})
    shutil.copy(tmp_path / "dicom/A/rs.dcm", tmp_path / "dicom/A/again.dcm")  # more is no fault
    assert main(["check", "--dicom", str(tmp_path / "dicom"), "--out", str(tmp_path / "out")]) == 0
    entries = read_report(tmp_path / "out").patients
    assert all(entry.expected == {"CT": 1, "RTSTRUCT": 1, "SEG": 1} for entry in entries)
    assert entries[0].found == {"CT": 1, "RTSTRUCT": 2, "SEG": 1}
    for entry, counts in zip(
        entries, [None, "1 CT, 1 RTSTRUCT, 0 SEG", None, "1 CT, 0 RTSTRUCT, 1 SEG"], strict=True
    ):
        texts = [text for text in entry.findings if "as most patients" in text]
        assert [text.split(";")[0] for text in texts] == ([f"Found {counts}"] if counts else [])
        assert not counts or entry.verdict is Verdict.WARN
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    [row] = [line for line in lines if line[:1] == ["B"] and "warn" in line]
    assert row[1:6] == ["1", "1", "0", "of", "1"]


def test_only_what_the_rule_asks_for_is_expected(patient, tmp_path):
    rule = {"classes": [{"value": 1, "names": ["GTV-1"]}], "sources": ["RTSTRUCT"]}
    (tmp_path / "rule.json").write_text(json.dumps(rule))
    for name, slices in (("A", 4), ("B", 5), ("C", 6)):
        made = patient(name, slices=slices).write()
        made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
        if name != "C":
            made.segmentation({"GTV-1": {2: np.ones((24, 28))}})
    parameters = Parameters(roi=str(tmp_path / "rule.json"))
    entries = check.check_cohort(tmp_path / "dicom", tmp_path / "out", parameters).patients
    assert entries[2].expected == {"CT": 1, "RTSTRUCT": 1}
    assert not any("as most patients" in text for text in entries[2].findings)


def test_two_ids_with_one_ct_warn(patient, tmp_path):
    for name, slices in (("A", 6), ("B", 6), ("C", 5)):  # A and B have the same numbers
        patient(name, slices=slices).write().structures({"GTV-1": [(2, square(3.5, 12.5))]})
    result = check.check_cohort(tmp_path / "dicom", tmp_path / "out", Parameters())
    copies = [
        [text for text in entry.findings if "has the same CT" in text] for entry in result.patients
    ]
    assert copies[0][0].startswith("B has") and copies[1][0].startswith("A has")
    assert copies[2] == []


GOOD = {
    "gaps_mm": [],
    "spacing_mm": [1, 1, 3],
    "hu_range": [-1024, 1500],
    "slices_found": 60,
    "slices_expected": 60,
    "volume_ml": 30.0,
    "in_lung_box": True,
    "label_at_end": False,
    "dice_rtstruct_seg": 0.99,
    "roi": ["GTV-1"],
}


def findings(numbers):
    """Return the findings of a patient with these numbers."""
    return check_findings.findings(
        CheckedPatient(
            id="P1", source="", verdict="ok", series_found=(), found={}, findings=(), **numbers
        )
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gaps_mm": [[1.0, 7.0]], "slices_found": 59}, "found 59 of 60"),
        ({"spacing_mm": [1, 1, 7.5]}, "Slices are 7.5 mm apart, expected at most 5"),
        ({"hu_range": [0, 2500]}, "run from 0 to 2500"),
        ({"hu_range": [-1024, 100]}, "run from -1024 to 100"),
        ({"volume_ml": 0.05}, "The label's volume is 0.05 mL"),
        ({"volume_ml": 2400.0}, "Check that GTV-1 is the ROI you want"),
        ({"in_lung_box": False}, "outside the box around the lungs"),
        ({"label_at_end": True}, "may be cut there"),
        ({"dice_rtstruct_seg": 0.8}, "Dice 0.800, expected at least 0.95"),
    ],
)
def test_each_limit_has_its_finding(change, expected):
    assert findings(GOOD) == findings(GOOD | {"in_lung_box": None}) == []
    [text] = findings(GOOD | change)
    assert expected in text


def test_a_ct_without_a_label_is_compared_with_the_limits_of_a_ct():
    bare = {key: GOOD[key] for key in ("gaps_mm", "spacing_mm", "hu_range")}
    assert findings(bare) == []


def test_command_prints_rows_findings_and_the_next_step(cohort, tmp_path, capsys):
    arguments = ["check", "--dicom", str(cohort[0]), "--out", str(tmp_path)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "3 ok, 0 warn, 0 refused" in text and "Next: net_lung preprocess" in text
    assert "volume_ml, median" in text
    assert main([*arguments, "--roi", "liver"]) == 1
    assert "PHANTOM-001 refused: No ROI matches 'liver'" in capsys.readouterr().out


def test_out_within_dicom_is_refused(cohort):
    with pytest.raises(DataError, match="lies within --dicom"):
        check.check_cohort(cohort[0], cohort[0] / "check", Parameters())


def test_report_prints_refused_patients_too(cohort, tmp_path):
    result = check.check_cohort(cohort[0], tmp_path, Parameters(roi="liver"))
    console = Console(record=True, width=140, file=io.StringIO())
    check_table.print_check(result, console)
    assert "0 ok, 0 warn, 3 refused" in console.export_text()


def test_no_personal_data_in_the_report(patient, tmp_path):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    check.check_cohort(made.folder, tmp_path / "out", Parameters())
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        for secret in (b"Secret", b"19500101", b"ACC4711"):
            assert secret not in content


def test_real_patient(real_data, tmp_path):
    result = check.check_cohort(real_data / "LUNG1-001", tmp_path, Parameters())
    [entry] = result.patients
    assert entry.volume_ml == pytest.approx(156.3, abs=0.05)
    assert (entry.label_slices, entry.slices_found) == (21, 134)
    assert entry.in_lung_box and 4000 < entry.lungs_ml < 6000
    assert entry.verdict is Verdict.OK
