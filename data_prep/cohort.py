"""From a folder of DICOM patients to NIfTI, NiftyNet's csv lists and a manifest.

One patient is one job (:func:`prepare_patient`) that returns its record; a refused patient stops
nothing and stays in the manifest with its reason.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from data_prep import DataError, files, geometry, resample, structures
from data_prep.scan import PatientFiles, scan
from data_prep.series import Volume, choose_series, read_volume

PHASES = ("Training", "Validation", "Inference")
"""NiftyNet's words in a data split file."""

MAX_ID_LENGTH = 64

_READ_AS_MISSING = {"na", "nan", "null", "none"}
"""Ids that pandas, and so NiftyNet, would read from a csv as a missing value."""


PLAIN = {"markup": False, "highlight": False, "soft_wrap": True}
"""How to print text that is not ours: as it is, in one line."""


@dataclass(frozen=True)
class Parameters:
    """What the user chose; kept in the manifest."""

    roi: str = structures.DEFAULT_ROI
    reduce: int = 2
    split: tuple[int, int, int] = (260, 40, 40)
    seed: int = 0
    allow_unlabelled: bool = False

    def check(self) -> None:
        """:raises DataError: a value makes no sense."""
        try:
            re.compile(self.roi)
        except re.error as error:
            raise DataError(f"--roi '{self.roi}' is not a regular expression: {error}.") from error
        if not 1 <= self.reduce <= 16:
            raise DataError(f"--reduce is {self.reduce}, expected a whole number from 1 to 16.")
        if min(self.split) < 0 or sum(self.split) == 0:
            raise DataError(
                f"--split is {self.split}, expected weights of at least 0, not all 0, for "
                f"{', '.join(PHASES)}."
            )


def safe_ids(names: Iterable[str]) -> list[str]:
    """Turn Patient IDs into unique names that are harmless in a path and in a csv.

    Letters, digits, ``-`` and ``_`` remain, 64 at most; a second patient of a name gets ``-2``.
    """
    taken, ids = set(), []
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:MAX_ID_LENGTH] or "patient"
        if slug.lower() in _READ_AS_MISSING:
            slug = f"patient-{slug}"
        unique, count = slug, 1
        while unique.lower() in taken:  # file systems may not tell cases apart
            count += 1
            unique = f"{slug[: MAX_ID_LENGTH - len(str(count)) - 1]}-{count}"
        taken.add(unique.lower())
        ids.append(unique)
    return ids


def split_phases(ids: list[str], weights: tuple[int, int, int], seed: int) -> dict[str, str]:
    """Deal patients to NiftyNet's phases by weight: seeded, largest remainder.

    Every phase with a weight gets a patient where there are enough.

    :return: phase by id, in the order of ``ids``.
    """
    shares = np.array(weights) * len(ids) / sum(weights)
    sizes = np.floor(shares).astype(int)
    for phase in np.argsort(sizes - shares, kind="stable")[: len(ids) - sizes.sum()]:
        sizes[phase] += 1
    wanted = np.array(weights) > 0
    if len(ids) >= wanted.sum():
        for phase in np.flatnonzero(wanted & (sizes == 0)):
            sizes[sizes.argmax()] -= 1
            sizes[phase] += 1
    dealt = np.repeat(PHASES, sizes)
    order = np.random.default_rng(seed).permutation(len(ids))
    phases = dict(zip((sorted(ids)[k] for k in order), dealt.tolist(), strict=True))
    return {one: phases[one] for one in ids}


def prepare_cohort(dicom_dir: Path, out_dir: Path, parameters: Parameters) -> dict:
    """Prepare all patients under a folder; write NIfTI, csv lists and ``manifest.json``.

    :return: the manifest.
    :raises DataError: wrong parameters, no patient, or not one usable patient.
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
    jobs = list(zip(safe_ids(one.name for one in patients), patients, strict=True))
    records = [prepare_patient(job, out_dir, parameters) for job in _progress(jobs)]
    usable = [record for record in records if record["status"] == "ok"]
    labelled = [record["id"] for record in usable if record["roi"]]
    phases = split_phases(labelled, parameters.split, parameters.seed)
    manifest = {
        "software": files.versions(),
        "parameters": asdict(parameters),
        "warnings": _unreadable_warning(unreadable),
        "other_files": others,
        "patients": records,
    }
    for name, key in (("ct.csv", "image"), ("label.csv", "label")):
        with_file = [record for record in usable if key in record["files"]]
        rows = [(r["id"], (out_dir / r["files"][key]).resolve()) for r in with_file]
        files.write_csv(out_dir / name, rows)
    rows = [(record["id"], phases.get(record["id"], "Inference")) for record in usable]
    files.write_csv(out_dir / "split.csv", rows)
    files.write_json(out_dir / files.MANIFEST, manifest)
    return manifest


def prepare_patient(job: tuple[str, PatientFiles], out_dir: Path, parameters: Parameters) -> dict:
    """Read, check, resample and write one patient.

    :param job: the patient's id and its files.
    :return: the patient's record for the manifest; a refusal is a record too.
    """
    patient_id, patient = job
    record = {
        "id": patient_id,
        "status": "ok",
        "reason": "",
        "warnings": _unreadable_warning(patient.unreadable),
        "roi": None,
        "files": {},
    }
    try:
        volume, mask = _read_patient(patient, parameters, record)
        _write_patient(volume, mask, parameters.reduce, out_dir, record)
    except DataError as error:
        record.update(status="refused", reason=str(error))
    except Exception as error:  # a fault of ours, or a full disk: the cohort goes on
        record.update(status="refused", reason=f"Unexpected {type(error).__name__}: {error}")
    for key, name in output_names(patient_id).items():  # nothing stale from an earlier run
        if record["status"] == "refused" or key not in record["files"]:
            (out_dir / name).unlink(missing_ok=True)
    return record


def output_names(patient_id: str) -> dict[str, str]:
    """Return the files of a patient, relative to the output folder."""
    return {
        "image": f"images/{patient_id}.nii.gz",
        "label": f"labels/{patient_id}.nii.gz",
        "native_label": f"native/{patient_id}_label.nii.gz",
    }


def _read_patient(
    patient: PatientFiles, parameters: Parameters, record: dict
) -> tuple[Volume, np.ndarray | None]:
    """Return the CT and, where there is a structure set, the mask; note in ``record`` what it is.

    :raises DataError: the patient cannot be used.
    """
    series = list(patient.series.values())
    sets = structures.read_structure_sets(patient.structure_paths)
    if not sets:
        if not parameters.allow_unlabelled:
            raise DataError(
                "No RTSTRUCT was found for this patient. Add it, or give --allow-unlabelled to "
                "prepare the CT for inference only."
            )
        volume = read_volume(choose_series(series))
        mask = None
    else:
        chosen, roi = structures.choose_roi(sets, parameters.roi)
        volume = read_volume(
            choose_series(series, chosen.series_uids, chosen.sop_uids, roi.frame_of_reference_uid)
        )
        mask, warnings = structures.build_mask(volume, chosen, roi)
        record["warnings"] += warnings
        others = [name for one in sets for name in one.names]
        others.remove(roi.name)
        record["roi"] = {"chosen": roi.name, "others": others}
        record["voxels"] = int(mask.sum())
        voxel_ml = geometry.voxel_volume_ml(volume.affine_lps)
        record["volume_ml"] = round(record["voxels"] * voxel_ml, 3)
    record["warnings"] += volume.warnings
    return volume, mask


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
    """Print one row per patient, then every reason and warning in full."""
    table = Table("id", "slices", "spacing mm", "ROI", "mL", "status", box=None)
    for record in manifest["patients"]:
        ct, roi = record.get("ct"), record["roi"]
        table.add_row(
            record["id"],
            str(ct["slices"]) if ct else "-",
            " x ".join(f"{value:.3g}" for value in ct["spacing_mm"]) if ct else "-",
            escape(roi["chosen"]) if roi else "-",
            f"{record['volume_ml']:.1f}" if roi else "-",
            record["status"],
        )
    console.print(table)
    for text in manifest["warnings"]:
        console.print(f"warning: {text}", **PLAIN)
    for record in manifest["patients"]:
        for kind, text in [("refused", record["reason"])] + [
            ("warning", text) for text in record["warnings"]
        ]:
            if text:
                console.print(f"{record['id']} {kind}: {text}", **PLAIN)
