"""Which patients a cohort's picture shows, and in which order."""

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from data_prep.cohort import picture
from data_prep.cohort.manifest import Status
from data_prep.cohort.picture import draw_cohort
from data_prep.core.errors import DataError
from data_prep.pictures import panels
from tests.support.manifests import record_of, write_manifest_of
from tests.support.pictures import body, box_mask, grid, near


def test_nothing_to_draw(tmp_path):
    with pytest.raises(DataError, match="Give --data"):
        draw_cohort(tmp_path, tmp_path, tmp_path / "a.png")
    write_manifest_of(tmp_path, [record_of("A", status=Status.REFUSED)])
    with pytest.raises(DataError, match=r"no <id>_mask\.nii\.gz .* any of the 1 patient "):
        draw_cohort(tmp_path, tmp_path, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def save(drawn, path):
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(drawn.array.astype(np.int16), drawn.affine_ras), path)


def write_patient(folder, name, reference, prediction):
    """A patient's files as preprocessing and restoring leave them; the manifest's entry."""
    files = {"image": f"images/{name}.nii.gz"}
    save(grid(body()), folder / files["image"])
    save(grid(prediction), folder / "masks" / f"{name}_mask.nii.gz")
    if reference is not None:
        files["native_label"] = f"native/{name}_label.nii.gz"
        save(grid(reference), folder / files["native_label"])
    return record_of(name, files=files)


def test_cohort_is_drawn_from_worst_to_best_and_names_what_it_cannot_draw(tmp_path, monkeypatch):
    reference = box_mask((0, 0, 120), (40, 40, 170))
    patients = [
        write_patient(tmp_path, f"P{shift}", reference, np.roll(reference, shift, axis=0))
        for shift in (3, 0, 6, 1, 7, 2, 5, 4)
    ]
    patients.append(write_patient(tmp_path, "unlabelled", None, reference))
    patients.append(write_patient(tmp_path, "broken", reference, reference))
    (tmp_path / "masks" / "broken_mask.nii.gz").write_bytes(b"not a NIfTI")
    write_manifest_of(tmp_path, patients)
    drawn = {}

    def record(cases, note):
        drawn.update(names=[case.patient_id for case in cases], note=note)
        return panels.draw_panels(cases, note)

    monkeypatch.setattr(picture, "draw_panels", record)
    png = draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "new" / "a.png")
    assert [path.name for path in png.parent.iterdir()] == ["a.png"]  # no draft left
    assert drawn["names"] == ["P7", "P6", "P4", "P3", "P1", "P0"]
    assert "6 of 9 patients" in drawn["note"] and "broken" in drawn["note"]
    assert near(imread(png), panels.REFERENCE_COLOUR).any()
    write_manifest_of(tmp_path, patients[-3:])  # one with a Dice, one without, one broken
    draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    assert drawn["names"] == ["P4", "unlabelled"]


def test_a_mask_that_the_table_of_scores_lacks_is_of_an_earlier_run(tmp_path, monkeypatch):
    mask = box_mask((0, 0, 120), (40, 40, 170))
    write_manifest_of(
        tmp_path, [write_patient(tmp_path, name, mask, mask) for name in ("old", "new")]
    )
    drawn = []

    def record(cases, _note):
        drawn.append([case.patient_id for case in cases])
        return b""

    monkeypatch.setattr(picture, "draw_panels", record)
    draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    (tmp_path / "masks" / "scores.csv").write_text("id,phase\nnew,Inference\n")
    draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    assert drawn == [["old", "new"], ["new"]]
