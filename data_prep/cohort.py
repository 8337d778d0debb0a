"""From a folder of DICOM patients to NIfTI, NiftyNet's csv lists and a manifest.

One patient is one job (:func:`prepare_patient`) that returns its record; a refused patient stops
nothing and stays in the manifest with its reason.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from data_prep import DataError, files, geometry, resample, rois
from data_prep.layout import earlier_manifest, output_names, remove, remove_gone, safe_ids
from data_prep.patient import PatientData, ReadOptions, read_patient
from data_prep.scan import PatientFiles, scan
from data_prep.series import Volume
from data_prep.split import PHASES, dealt_before, empty_phase_warnings, split_phases

PLAIN = {"markup": False, "highlight": False, "soft_wrap": True}
"""How to print text that is not ours: as it is, in one line."""


@dataclass(frozen=True)
class Parameters:
    """What the user chose; kept in the manifest."""

    roi: str = ""
    reduce: int = 2
    split: tuple[float, float, float] = (260, 40, 40)
    seed: int = 0
    allow_unlabelled: bool = False

    def check(self) -> None:
        """:raises DataError: a value makes no sense."""
        rois.parse_rule(self.roi)
        if not 1 <= self.reduce <= 16:
            raise DataError(f"--reduce is {self.reduce}, expected a whole number from 1 to 16.")
        if min(self.split) < 0 or sum(self.split) == 0:
            raise DataError(
                f"--split is {self.split}, expected weights of at least 0, not all 0, for "
                f"{', '.join(PHASES)}."
            )
        if self.seed < 0:
            raise DataError(f"--seed is {self.seed}, expected a whole number of at least 0.")


def prepare_cohort(dicom_dir: Path, out_dir: Path, parameters: Parameters) -> dict:
    """Prepare all patients under a folder; write NIfTI, csv lists and ``manifest.json``.

    A later run into the same folder with the same split and seed keeps every labelled patient in
    the phase it was dealt to, whoever is added, refused or gone (:func:`split_phases`); with others
    all are dealt anew. Files of patients that are gone are removed. CTs without a label are for
    Inference and not dealt.

    :return: the manifest; a cohort without one usable patient has one too.
    :raises DataError: wrong parameters, no DICOM file, or no folder to write.
    """
    parameters.check()
    if out_dir.resolve().is_relative_to(dicom_dir.resolve()):
        raise DataError(f"--out {out_dir} lies within --dicom {dicom_dir}. Choose one beside it.")
    patients, unreadable, others = scan(dicom_dir)
    if not patients:
        raise DataError(
            f"No DICOM file under {dicom_dir}: {others} files of other kinds, and "
            f"{len(unreadable)} that cannot be read{': ' if unreadable else ''}"
            f"{'; '.join(unreadable[:5])}. Give the folder that holds the patients' DICOM files."
        )
    files.make_folder(out_dir)
    earlier = earlier_manifest(out_dir)
    jobs = list(zip(safe_ids(one.name for one in patients), patients, strict=True))
    records = [prepare_patient(job, out_dir, parameters) for job in _progress(jobs)]
    usable = [record for record in records if record["status"] == "ok"]
    labelled = {record["id"]: record["volume_ml"] for record in usable if record["roi"]}
    known = dealt_before(earlier, parameters.split, parameters.seed)
    phases = split_phases(labelled, parameters.split, parameters.seed, known)
    for record in usable:
        record["phase"] = phases.get(record["id"], "Inference")
    faults = empty_phase_warnings([record["phase"] for record in usable], parameters.split)
    faults += remove_gone(earlier, {record["id"] for record in records}, out_dir)
    manifest = {
        "software": files.versions(),
        "parameters": asdict(parameters),
        "warnings": _unreadable_warning(unreadable) + faults,
        "other_files": others,
        "dealt": dict(sorted((known | phases).items())),
        "patients": records,
    }
    _write_lists(usable, out_dir)
    files.write_json(out_dir / files.MANIFEST, manifest)
    return manifest


def _write_lists(usable: list[dict], out_dir: Path) -> None:
    """Write NiftyNet's lists of images, of labels and of phases."""
    for name, key in (("ct.csv", "image"), ("label.csv", "label")):
        with_file = [record for record in usable if key in record["files"]]
        rows = [(r["id"], (out_dir / r["files"][key]).resolve()) for r in with_file]
        files.write_csv(out_dir / name, rows)
    files.write_csv(out_dir / "split.csv", [(r["id"], r["phase"]) for r in usable])


def prepare_patient(job: tuple[str, PatientFiles], out_dir: Path, parameters: Parameters) -> dict:
    """Read, check, resample and write one patient.

    :param job: the patient's id and its files.
    :return: the patient's record for the manifest; a refusal is a record too.
    """
    patient_id, patient = job
    record = {
        "id": patient_id,
        "source": patient.source,
        "status": "ok",
        "reason": "",
        "warnings": _unreadable_warning(patient.unreadable),
        "phase": None,
        "roi": None,
        "files": {},
    }
    try:
        data = read_patient(
            patient,
            rois.parse_rule(parameters.roi),
            ReadOptions(allow_unlabelled=parameters.allow_unlabelled),
        )
        _note(data, record)
        mask = None if data.label is None else data.label > 0
        _write_patient(data.volume, mask, parameters.reduce, out_dir, record)
    except DataError as error:
        record.update(status="refused", reason=str(error))
    except Exception as error:  # a fault of ours, or a full disk: the cohort goes on
        record.update(status="refused", reason=f"Unexpected {type(error).__name__}: {error}")
    for key, name in output_names(patient_id).items():  # nothing stale from an earlier run
        if record["status"] == "refused" or key not in record["files"]:
            record["warnings"] += remove(out_dir, name)
    return record


def _note(data: PatientData, record: dict) -> None:
    """Note in a patient's record what was read."""
    record["warnings"] += data.warnings
    if data.label is None:
        return
    record["roi"] = {
        "chosen": ", ".join(one.name for one in data.chosen),
        "others": list(data.others),
    }
    record["voxels"] = int(np.count_nonzero(data.label))
    voxel_ml = geometry.voxel_volume_ml(data.volume.affine_lps)
    record["volume_ml"] = round(record["voxels"] * voxel_ml, 3)


def _write_patient(
    volume: Volume, mask: np.ndarray | None, factor: int, out_dir: Path, record: dict
) -> None:
    """Write the patient's NIfTI files and note grids and file names in ``record``."""
    names = output_names(record["id"])
    native = geometry.lps_to_ras(volume.affine_lps)
    coarse = resample.coarse_affine(native, factor)
    shape = volume.array.shape
    record["ct"] = {
        "series_uid": volume.series_uid,
        "slices": shape[2],
        "spacing_mm": geometry.spacing_mm(native).round(6).tolist(),
        "first_slice_mm": float(volume.slice_positions_mm[0]),
        "last_slice_mm": float(volume.slice_positions_mm[-1]),
    }
    record["native"] = {"shape": list(shape), "affine_ras": native.tolist()}
    record["coarse"] = {
        "shape": list(resample.coarse_shape(shape, factor)),
        "affine_ras": coarse.tolist(),
    }
    files.write_nifti(out_dir / names["image"], resample.reduce_image(volume.array, factor), coarse)
    record["files"]["image"] = names["image"]
    if mask is None:
        return
    label = resample.reduce_label(mask, factor)
    if not label.any():
        record["warnings"].append("The ROI is smaller than a coarse voxel: its label is empty.")
    files.write_nifti(out_dir / names["label"], label.astype(np.uint8), coarse)
    files.write_nifti(out_dir / names["native_label"], mask.astype(np.uint8), native)
    record["files"].update(names)


def _unreadable_warning(lines: list[str]) -> list[str]:
    """Return one warning that counts and names unreadable files, or none."""
    if not lines:
        return []
    more = f"; and {len(lines) - 20} more" if len(lines) > 20 else ""
    return [f"{len(lines)} files could not be read and were skipped: {'; '.join(lines[:20])}{more}"]


def _progress(jobs: list) -> Iterator:
    """Yield jobs behind a progress bar on a terminal, behind plain lines elsewhere."""
    if sys.stderr.isatty():
        yield from track(jobs, "Preparing", console=Console(stderr=True))
        return
    for number, job in enumerate(jobs, 1):
        print(f"{number}/{len(jobs)} {job[0]}", file=sys.stderr, flush=True)
        yield job


def report(manifest: dict, console: Console) -> None:
    """Print one row per patient, the sizes of the split, then every reason and warning in full."""
    table = Table("id", "slices", "spacing mm", "ROI", "mL", "set", "status", box=None)
    for record in manifest["patients"]:
        ct, roi = record.get("ct"), record["roi"]
        table.add_row(
            record["id"],
            str(ct["slices"]) if ct else "-",
            " x ".join(f"{value:.3g}" for value in ct["spacing_mm"]) if ct else "-",
            escape(roi["chosen"]) if roi else "-",
            f"{record['volume_ml']:.1f}" if roi else "-",
            record["phase"] or "-",
            record["status"],
        )
    console.print(table)
    phases = [record["phase"] for record in manifest["patients"]]
    sizes = ", ".join(f"{phases.count(phase)} {phase}" for phase in PHASES)
    console.print(f"split: {sizes}", **PLAIN)
    for text in manifest["warnings"]:
        console.print(f"warning: {text}", **PLAIN)
    for record in manifest["patients"]:
        for kind, text in [("refused", record["reason"])] + [
            ("warning", text) for text in record["warnings"]
        ]:
            if text:
                console.print(f"{record['id']} {kind}: {text}", **PLAIN)
