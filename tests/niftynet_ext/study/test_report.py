"""The report as a browser has it: complete, sorted by a click, and with nothing from outside."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from data_prep.core.errors import DataError
from niftynet_ext.study import report, tables
from niftynet_ext.study.evaluate import evaluate
from tests.support.study import SHAPE, Study, tumour, write
from tests.support.training_logs import log


def evaluated(folder):
    """Three patients with their CTs, two checkpoints and a learning curve, evaluated."""
    study = Study(folder)
    for patient_id in study.sets:
        ct = np.where(tumour(), 40, -800).astype(np.int16)
        write(study.references / f"images/{patient_id}.nii.gz", ct)
    other = replace(study.model, iteration=20000, folder=study.model.folder.with_name("early"))
    for place, patient_id in enumerate(study.sets):
        study.predict(patient_id, tumour(1.0 + place))
        late = tumour(4.0) if patient_id != "B" else np.zeros(SHAPE, bool)
        study.predict(patient_id, late, other)
    log(study.model.folder.parent, "training", {20: 0.9, 40: 0.4}, clock=1000)
    evaluate([other, study.model], study.references, folder / "evaluation")
    return study


@pytest.fixture
def study(tmp_path):
    """A study that a test may change."""
    return evaluated(tmp_path)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A study for all tests that only look at it, and its report's HTML."""
    study = evaluated(tmp_path_factory.mktemp("study"))
    return study, make(study)


def make(study):
    """Return the report's HTML."""
    path = study.folder / "evaluation" / "report.html"
    report.write_report(path.parent, path)
    return path.read_text(encoding="utf-8")


def test_an_evaluation_and_its_data_may_move_together(study, tmp_path_factory, monkeypatch):
    about = json.loads((study.folder / "evaluation" / "evaluation.json").read_text())
    assert about["references"] == "../data"
    assert about["predictions"]["densehighres3dnet_v1@60000"].startswith("../densehighres3dnet_v1/")
    before = make(study).count("data:image/png")
    moved = tmp_path_factory.mktemp("moved") / "study"
    study.folder.rename(moved)
    monkeypatch.chdir(moved.parent)
    report.write_report("study/evaluation", "study/report.html")
    html = (moved / "report.html").read_text(encoding="utf-8")
    assert "Not drawn" not in html and "No events" not in html
    assert html.count("data:image/png") == before > 0


def test_it_holds_every_number_that_was_evaluated(known):
    study, html = known
    found = tables.read(study.folder / "evaluation")
    for value in found.summary["dice_3d_mean"]:
        assert f"<td>{value:.3f}</td>" in html
    for bounds in zip(found.summary["dice_3d_low"], found.summary["dice_3d_high"], strict=True):
        assert "<td>" + " to ".join(map(report.shown, bounds)) + "</td>" in html
    for row in found.patients.to_dict("records"):
        assert f'<td data-key="{row["dice_3d"]}">{row["dice_3d"]:.3f}</td>' in html
    assert html.count('<td data-key="Infinity">∞</td>') == 2  # MSD and HD of the empty mask
    assert "<td>0.530</td>" in html  # the paper's, below ours of 60k
    assert "Research use only" in html
    assert html.count("data:image/png;base64,") == 2 + 1  # Validation: two patients; Inference: one
    assert html.count("data:image/svg+xml;base64,") == 1 + 2 * 3
    assert "Not drawn" not in html


def test_nothing_is_fetched(known):
    html = re.sub(r"base64,[A-Za-z0-9+/=]+", "", known[1])
    assert not re.search(r"https?:|//|@import|url\(", html.replace("// Undefined", ""))
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []


def test_words_from_outside_are_escaped(study):
    folder = study.folder / "evaluation"
    text = (folder / "patients.csv").read_text().replace(",A,", ",<script>alert(1)</script>,")
    (folder / "patients.csv").write_text(text)
    html = make(study)
    assert "<script>alert" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Not drawn: &lt;script&gt;" in html


def test_worst_median_best(known):
    patients = tables.read(known[0].folder / "evaluation").patients.head(3)
    five = patients.iloc[[0] * 5].assign(id=list("edcba"), dice_3d=[0.5, 0.9, 0.1, 0.7, 0.3])
    assert report.worst_median_best(five) == {"worst": "c", "median": "e", "best": "d"}
    assert report.worst_median_best(five.head(2)) == {"worst": "e", "best": "d"}
    assert report.worst_median_best(five.head(1)) == {"worst": "e"}


def test_without_cts_and_events_it_says_so(study):
    shutil.rmtree(study.references / "images")
    shutil.rmtree(study.model.folder.parent / "logs")
    html = make(study)
    assert "Not drawn: B: " in html and "No events of a training" in html


def test_no_evaluation_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"evaluation\.json does not exist\. Run"):
        report.write_report(tmp_path, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_table_is_an_error(study):
    folder = study.folder / "evaluation"
    (folder / "slices.csv").write_text("model,iteration\n")
    with pytest.raises(DataError, match=r"slices\.csv has no column set, id, slice, kind"):
        report.write_report(folder, folder / "report.html")
    assert not (folder / "report.html").exists()


CLICKS = """<script>
const table = document.querySelector("table.sortable");
const column = text => [...table.tHead.rows[0].cells].findIndex(head => head.innerText == text);
const read = text => [...table.tBodies[0].rows].map(row => row.cells[column(text)].innerText);
const click = text => table.tHead.rows[0].cells[column(text)].querySelector("button").click();
const seen = [];
for (const text of ["95%HD 3D mm", "95%HD 3D mm", "patient", "MSD 3D mm"]) {
  click(text); seen.push(read(text));
}
document.title = JSON.stringify(seen);
</script></body>"""


def test_a_click_sorts_in_a_browser_without_errors(known, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium (Debian package of that name)")
    page = tmp_path / "page.html"
    page.write_text(known[1].replace("</body>", CLICKS), encoding="utf-8")
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr
    rising, falling, patients, msd = json.loads(re.search("<title>(.*)</title>", done.stdout)[1])
    numbers = [float(text.replace("∞", "inf")) for text in rising]
    assert len(numbers) == 4 and numbers == sorted(numbers) and numbers[-1] == np.inf
    assert falling == rising[::-1]
    assert patients == ["A", "A", "B", "B"]
    assert msd[-1] == "∞"
