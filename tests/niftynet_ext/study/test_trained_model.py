import pytest

from data_prep.core import files
from data_prep.core.errors import DataError
from niftynet_ext.study import rounds, trained_model
from niftynet_ext.training.preparation import PREPARATION, Preparation
from tests.support.toy import INDEX, write_checkpoint

SETTINGS = """Input params at 2026-11-23 10:08:03.
[CUSTOM]
-- num_classes: 2
-- softmax: True
-- label: ('LABEL',)
-- weight: ()
-- image: ('CT',)
-- name: net_segment
[CT]
-- csv_file: /elsewhere/ct.csv
-- loader: None
-- pixdim: ()
-- axcodes: ('R', 'A', 'S')
-- interp_order: 3
-- spatial_window_size: (192, 192, 48)
[SYSTEM]
-- num_gpus: 1
-- event_handler: ('model_saver', 'progress_line')
-- dataset_split_file: ../data/split.csv
[NETWORK]
-- name: densehighres3dnet_v1
-- whitening: True
-- normalisation: False
-- histogram_ref_file: ./histogram.txt
-- volume_padding_to_size: (0,)
[INFERENCE]
-- spatial_window_size: (96, 96, 48)
-- border: (0, 0, 0)
"""


@pytest.fixture
def folder(tmp_path):
    """Return a model folder as a training of two checkpoints leaves it."""
    folder = tmp_path / "models of ours" / "v1"
    write_checkpoint(folder, 900, 1000)
    (folder / trained_model.SETTINGS).write_text(SETTINGS)
    for iteration in (900, 1000):  # a checkpoint may have more bytes than its index asks for
        data = folder / "models" / f"model.ckpt-{iteration}.data-00000-of-00001"
        data.write_bytes(data.read_bytes() + f"of {iteration}".encode())
    return folder


def test_the_last_checkpoint_or_the_one_named(folder):
    assert trained_model.open_model(str(folder)).iteration == 1000
    named = trained_model.open_model(f"{folder}@900")
    assert (named.iteration, named.network) == (900, "densehighres3dnet_v1")
    with pytest.raises(DataError, match=r"no checkpoint of iteration 950; found 900, 1000\."):
        trained_model.open_model(f"{folder}@950")


def test_the_hash_is_of_the_weights(folder):
    def sha256(text):
        return trained_model.open_model(text).sha256()

    before = sha256(str(folder))
    assert len(before) == 64 and before != sha256(f"{folder}@900")
    (folder / "models" / "model.ckpt-1000.meta").write_bytes(b"another date")
    assert sha256(str(folder)) == before
    (folder / "models" / "model.ckpt-1000.data-00000-of-00001").write_bytes(b"other weights")
    assert sha256(str(folder)) != before


def test_the_preparation_of_its_images_is_that_of_the_note(folder):
    opened = trained_model.open_model(str(folder))
    assert opened.preparation() is None
    noted = Preparation(reduce=3, spacing_mm=None, method="cubic")
    noted.write(folder / PREPARATION)
    assert opened.preparation() == noted


def test_what_is_no_model_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="expected the folder of a trained model, found no check"):
        trained_model.open_model(str(tmp_path))
    (folder / trained_model.SETTINGS).write_text("[NETWORK]\n-- name: net\n")
    with pytest.raises(DataError, match="names no network or no image"):
        trained_model.open_model(str(folder))
    (folder / trained_model.SETTINGS).unlink()
    with pytest.raises(DataError, match=r"settings_training\.txt \(No such file.*copy it with"):
        trained_model.open_model(str(folder))


def run(monkeypatch, folder, tmp_path, net_segment):
    """Infer with a function instead of ``net_segment``; return the ini file and the output."""
    ini = {}

    def run_command(words, log):
        assert words[:3] == ["net_segment", "inference", "-c"]
        parser = trained_model.configparser.ConfigParser()
        assert parser.read(words[3])
        ini.update({name: dict(parser[name]) for name in parser.sections()})
        log.write_text("something harmless\n")
        net_segment(ini, log)
        return 0  # as NiftyNet does even when it breaks off

    monkeypatch.setattr(rounds, "run_command", run_command)
    files.write_csv(tmp_path / "ct.csv", [("A", "A.nii.gz")])
    opened = trained_model.open_model(str(folder))
    found = trained_model.infer(opened, tmp_path / "ct.csv", tmp_path / "work", "whole")
    return ini, found


def write_output(ini, _log):
    files.write_bytes(
        trained_model.Path(ini["INFERENCE"]["save_seg_dir"], "A_niftynet_out.nii.gz"), b""
    )


def test_inference_is_set_as_the_training_was(monkeypatch, folder, tmp_path):
    ini, found = run(monkeypatch, folder, tmp_path, write_output)
    assert list(found) == ["A"] and found["A"].is_file()
    assert ini["CT"] == {
        "interp_order": "3",
        "axcodes": "R, A, S",
        "csv_file": str(tmp_path / "ct.csv"),
        "spatial_window_size": "96, 96, 48",
    }
    assert ini["NETWORK"]["name"] == "densehighres3dnet_v1"
    assert ini["NETWORK"]["whitening"] == "True"
    assert ini["INFERENCE"]["inference_iter"] == "1000"
    assert ini["INFERENCE"]["inference_windows"] == "whole"
    assert ini["SYSTEM"]["model_dir"] == str(tmp_path / "work")
    assert "dataset_split_file" not in ini["SYSTEM"]
    assert (tmp_path / "work" / "models" / "model.ckpt-1000.index").read_bytes() == INDEX


def test_the_histogram_of_the_training_is_found(monkeypatch, folder, tmp_path):
    text = SETTINGS.replace("-- normalisation: False", "-- normalisation: True")
    (folder / trained_model.SETTINGS).write_text(text)
    ini, _ = run(monkeypatch, folder, tmp_path, write_output)
    assert ini["NETWORK"]["histogram_ref_file"] == str(folder / "histogram.txt")


def test_a_failure_quotes_niftynets_log(monkeypatch, folder, tmp_path):
    def fail(_ini, log):
        log.write_text("loading\n\x1b[1mValueError: window too large\x1b[0m\nbye\n")

    with pytest.raises(DataError, match="wrote no output: ValueError: window too large. Fix"):
        run(monkeypatch, folder, tmp_path, fail)
