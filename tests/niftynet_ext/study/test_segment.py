"""A new patient end to end, with a known probability instead of the network's."""

import gzip
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest

from data_prep.cohort.job import Parameters
from data_prep.cohort.prepare import prepare_cohort
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE
from data_prep.phantom import write_phantom_cohort
from niftynet_ext.study import segment
from niftynet_ext.study.segment_summary import SUMMARY, read_summary
from niftynet_ext.study.trained_model import TrainedModel
from niftynet_ext.training.preparation import PREPARATION, Preparation
from tests.support.derived_objects import fill, mask_by_position, read_ct
from tests.support.orientations import ORIENTATIONS

BLOCK = np.s_[3:9, 2:7, 1:4]  # of the coarse grid, 14 x 12 x 6


@pytest.fixture
def networks(monkeypatch, tmp_path):
    """Replace trained models by those that give BLOCK the probability they are named after.

    :return: a dict of the images that they saw, by name.
    """
    seen = {}

    def infer(model, images_csv, work_dir, windows):
        seen["windows"] = windows
        (line,) = images_csv.read_text().splitlines()
        coarse = nib.load(line.split(",")[1])
        seen[model.network] = coarse.get_fdata(), coarse.affine
        probability = np.zeros((*coarse.shape, 1, 2), np.float32)
        probability[BLOCK] = float(model.network)
        path = work_dir / "output.nii.gz"
        work_dir.mkdir()
        nib.save(nib.Nifti1Image(probability, coarse.affine), path)
        return {"patient": path}

    def open_model(text):
        return TrainedModel(tmp_path / "models" / text, 7, {"NETWORK": {"name": text}})

    monkeypatch.setattr(segment, "infer", infer)
    monkeypatch.setattr(segment, "open_model", open_model)
    monkeypatch.setattr(
        TrainedModel, "sha256", lambda model: model.network.encode().hex().rjust(64, "0")
    )
    return seen


def run(folder, out, *models, **options):
    return segment.segment(folder, list(models), out, segment.SegmentOptions(**options))


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_one_mask_in_every_format_and_orientation(patient, tmp_path, networks, orientation):
    made = patient(orientation=orientation).write()
    summary = run(made.folder, tmp_path / "out", "0.9", label="GTV-x")
    volume, _ = read_ct(made.folder)
    truth = np.zeros(volume.array.shape, bool)
    truth[6:18, 4:14, 1:4] = True  # its corners too: 0.9 * 0.75 * 0.75 is just above a half
    nifti = nib.load(tmp_path / "out" / segment.NIFTI)
    np.testing.assert_allclose(nifti.affine, np.diag([-1, -1, 1, 1]) @ volume.affine_lps, atol=1e-5)
    assert (nifti.get_fdata() == truth).all()
    assert (mask_by_position(tmp_path / "out" / segment.SEG, volume) == truth).all()
    assert (fill(tmp_path / "out" / segment.RTSTRUCT, volume, "GTV-x") == truth).all()
    assert summary.voxels == truth.sum() == 360
    assert summary.volume_ml == pytest.approx(360 * 0.8 * 1.1 * 2.5 / 1000)
    assert summary.max_probability == pytest.approx(0.9)
    assert read_summary(tmp_path / "out") == summary
    content = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert list(content)[:2] == ["schema_version", "notice"]
    assert content["prepared"] == {"reduce": 2, "spacing_mm": None, "method": "cubic"}


def test_windows_are_blended_unless_asked_otherwise(patient, tmp_path, networks):
    folder = patient().write().folder
    for options, expected in (({}, "gaussian"), ({"windows": "grid"}, "grid")):
        summary = run(folder, tmp_path / expected, "0.9", **options)
        assert networks["windows"] == summary.windows == expected


def test_where_slices_are_missing_the_mask_lies_on_the_real_ones(patient, tmp_path, networks):
    made = patient()
    del made.slices[2]
    made.write()
    summary = run(made.folder, tmp_path / "out", "0.9", label="GTV-x")
    volume, sources = read_ct(made.folder)
    assert volume.array.shape[2] == len(sources) + 1
    truth = np.zeros(volume.array.shape, bool)
    truth[6:18, 4:14, 1:4] = True
    assert summary.voxels == truth.sum()
    real = truth & volume.layout.real
    assert (mask_by_position(tmp_path / "out" / segment.SEG, volume) == real).all()
    shared = pydicom.dcmread(tmp_path / "out" / segment.SEG).SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    assert measures.SliceThickness == measures.SpacingBetweenSlices == 2.5
    # reading interpolates between the slices above and below, which are alike
    assert (fill(tmp_path / "out" / segment.RTSTRUCT, volume, "GTV-x") == truth).all()


def test_the_mean_of_several_models_is_cut_at_a_half(patient, tmp_path, networks):
    folder = patient().write().folder
    assert run(folder, tmp_path / "a", "0.9", "0.3").voxels == 240  # at its border 0.6 * 0.75
    summary = run(folder, tmp_path / "b", "0.9", "0.05")
    assert summary.voxels == 0 and summary.max_probability == pytest.approx(0.475)
    assert [model.network for model in summary.models] == ["0.9", "0.05"]


def test_the_notice_is_everywhere_and_the_patient_only_in_dicom(patient, tmp_path, networks):
    run(patient().write().folder, tmp_path / "out", "0.9")
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        identified = [b in content for b in (b"Secret", b"ACC4711", b"19500101")]
        assert identified == [path.suffix == ".dcm"] * 3
        assert RESEARCH_USE.encode() in content or path.name == segment.OVERLAY
    assert read_summary(tmp_path / "out").notice == RESEARCH_USE


def test_all_files_or_none(patient, tmp_path, networks, monkeypatch):
    folder, out = patient().write().folder, tmp_path / "out"
    monkeypatch.setattr(segment.panels, "draw_panels", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(folder, out, "0.9")
    assert list(out.iterdir()) == []


def test_probabilities_on_another_grid_are_refused(patient, tmp_path, networks, monkeypatch):
    ours = segment.infer

    def shifted(model, images_csv, *others):
        path = ours(model, images_csv, *others)["patient"]
        image = nib.load(path)
        nib.save(nib.Nifti1Image(image.get_fdata(), image.affine + np.eye(4)), path)
        return {"patient": path}

    monkeypatch.setattr(segment, "infer", shifted)
    with pytest.raises(DataError, match="is on another grid: .* trained with another pixdim"):
        run(patient().write().folder, tmp_path / "out", "0.9")


def note(tmp_path, name, **changes):
    """Write what a training notes of its images in the folder of a model."""
    noted = Preparation(**({"reduce": 2, "spacing_mm": None, "method": "cubic"} | changes))
    noted.write(tmp_path / "models" / name / PREPARATION)
    return noted


@pytest.mark.parametrize(
    "changes",
    [{}, {"reduce": 3}, {"method": "antialiased"}, {"spacing_mm": (1.5, 1.3, 3.5)}],
    ids=["default", "reduce", "method", "spacing"],
)
def test_the_network_sees_what_the_trainings_preprocess_would_make(
    patient, tmp_path, networks, changes
):
    folder = patient().write().folder
    noted = note(tmp_path, "0.9", **changes)
    parameters = Parameters(allow_unlabelled=True, **changes)
    prepare_cohort(folder, tmp_path / "data", parameters)
    image = nib.load(tmp_path / "data/images/P1.nii.gz")
    summary = run(folder, tmp_path / "out", "0.9")
    array, affine = networks["0.9"]
    assert np.array_equal(array, image.get_fdata()) and np.array_equal(affine, image.affine)
    assert summary.warnings == ()
    assert summary.prepared == noted


def test_another_voxel_size_than_the_trainings_is_a_warning_or_refused(patient, tmp_path, networks):
    folder = patient().write().folder
    summary = run(folder, tmp_path / "out", "0.9")
    assert "0.9 does not say how the images of its training were" in summary.warnings[0]
    note(tmp_path, "0.9", spacing_mm=[1.5, 1.3, 3.5])
    note(tmp_path, "0.8")
    with pytest.raises(DataError, match="0.9: --spacing 1.5 1.3 3.5 --method cubic; .*0.8: --red"):
        run(folder, tmp_path / "out", "0.9", "0.8")
    summary = run(folder, tmp_path / "out", "0.9", "0.8", reduce=2)
    [text] = summary.warnings
    assert "0.9 was trained on images prepared with --spacing 1.5 1.3 3.5" in text
    assert "but --reduce 2 --method cubic was requested" in text
    with pytest.raises(DataError, match="--reduce is 99"):
        run(folder, tmp_path / "out", "0.9", reduce=99)
    (tmp_path / "models/0.9" / PREPARATION).write_text("{}")
    with pytest.raises(DataError, match=r"preprocess\.json has schema_version None"):
        run(folder, tmp_path / "out", "0.9")


def test_steps_change_every_format(patient, tmp_path, networks, monkeypatch):
    folder = patient().write().folder
    whole = run(folder, tmp_path / "whole", "0.9")
    infer = segment.infer

    def with_a_speck(*arguments):
        path = infer(*arguments)["patient"]
        image = nib.load(path)
        probability = image.get_fdata(dtype=np.float32)
        probability[12:, 10:, 5:] = 0.9
        nib.save(nib.Nifti1Image(probability, image.affine), path)
        return {"patient": path}

    monkeypatch.setattr(segment, "infer", with_a_speck)
    more = run(folder, tmp_path / "more", "0.9")
    assert more.voxels > whole.voxels and more.steps == ()
    summary = run(folder, tmp_path / "out", "0.9", steps="components:0 largest")
    assert [(result.step, result.volume_ml) for result in summary.steps] == [
        ("components:0", more.volume_ml),
        ("largest", whole.volume_ml),
    ]
    masks = [
        nib.load(tmp_path / folder_name / segment.NIFTI).get_fdata()
        for folder_name in ("whole", "out")
    ]
    assert np.array_equal(*masks)
    volume, _ = read_ct(folder)
    assert (mask_by_position(tmp_path / "out" / segment.SEG, volume) == (masks[0] > 0)).all()
    with pytest.raises(ValueError, match="is not a step of post-processing"):
        run(folder, tmp_path / "wrong", "0.9", steps="smooth")
    assert not (tmp_path / "wrong").exists()


def test_one_patient_and_one_series(patient, tmp_path, networks):
    made = patient("A").write()
    twin = patient("A/second").write()
    for dataset in twin.slices:
        dataset.PatientID = "A"
    twin.write()
    with pytest.raises(DataError, match="Ambiguous: expected one CT series, found 2"):
        run(made.folder, tmp_path / "out", "0.9")
    summary = run(made.folder, tmp_path / "out", "0.9", series_uid=twin.series_uid)
    assert summary.ct.series_uid == twin.series_uid
    with pytest.raises(DataError, match=f"no such CT series; found .*{made.series_uid}"):
        run(made.folder, tmp_path / "out", "0.9", series_uid="1.2.3")
    patient("B").write()
    with pytest.raises(DataError, match="found 2 patients with a CT: in A, B"):
        run(made.folder.parent, tmp_path / "out", "0.9")


def test_wrong_options_are_refused(patient, tmp_path, networks):
    folder = patient().write().folder
    with pytest.raises(DataError, match="lies within --dicom"):
        run(folder, folder / "out", "0.9")
    for label in ("", "x" * 65, "a\\b", "größe"):
        with pytest.raises(DataError, match="expected 1 to 64 printable ASCII"):
            run(folder, tmp_path / "out", "0.9", label=label)
    assert not (tmp_path / "out").exists()


def test_a_phantoms_folder_with_its_rtstruct_is_fine(tmp_path, networks):
    write_phantom_cohort(tmp_path / "cohort", patients=1, matrix=32, slices=16)
    assert run(tmp_path / "cohort", tmp_path / "out", "0.9").voxels == 360
