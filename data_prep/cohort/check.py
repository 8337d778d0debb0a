"""Look at a cohort before anything is trained on it: one row a patient, a verdict and the fix.

What only a person can judge is shown (:mod:`data_prep.pictures.contact_sheet`); what can be
measured is compared with the limits below. A patient is ``refused`` if ``preprocess`` would refuse
it, ``warn`` if something should be looked at, else ``ok``.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.cohort import fingerprint, job
from data_prep.cohort.job import PRELOAD, Parameters
from data_prep.cohort.layout import safe_ids
from data_prep.cohort.prepare import ONE_PROCESS, find_patients, refuse_within
from data_prep.core import files, geometry, lungs
from data_prep.core.engine import Engine, Failure
from data_prep.core.errors import DataError
from data_prep.core.progress import Progress
from data_prep.dicom_in.patient import PatientData, ReadOptions, read_patient
from data_prep.dicom_in.scan import PatientFiles
from data_prep.pictures import contact_sheet

REPORT = "check.json"
SHEET = "contact.png"

VERDICTS = ("ok", "warn", "refused")

LARGEST_STEP_MM = 5.0
"""Thicker slices cut a tumour of 1 mL into two or three; NSCLC-Radiomics has 3 mm."""

AIR_BELOW_HU, BONE_ABOVE_HU = -800, 200
"""A CT of the chest has lung and air below the one and bone above the other; stored values that
were never rescaled, or rescaled twice, do not."""

VOLUME_ML = (0.1, 1000.0)
"""Beyond this a tumour is more likely a wrong ROI: 0.1 mL is a ball of 6 mm; Lung-Left alone is
above 1000."""

AGREEMENT = 0.95
"""Dice of RTSTRUCT and DICOM SEG below which they are not two copies of one contour."""


@dataclass(frozen=True)
class CheckJob:
    """What a worker needs to check a patient."""

    patient_id: str
    patient: PatientFiles
    parameters: Parameters


@dataclass(frozen=True)
class Checked:
    """A patient's entry in the report, its tile for the sheet, and what the fingerprint needs."""

    entry: dict
    tile: contact_sheet.Tile | None = None
    profile: fingerprint.Profile | None = None
    scan_digest: str = ""
    """Of the CT's Hounsfield units: the same for two patients whose CTs are the same."""


def check_cohort(
    dicom_dir: Path, out_dir: Path, parameters: Parameters, engine: Engine = ONE_PROCESS
) -> dict:
    """Check all patients under a folder; write ``check.json`` and ``contact.png``.

    :return: the report: ``patients`` (entries), ``verdicts`` (counts), ``fingerprint``.
    :raises DataError: wrong parameters, no DICOM file, or no folder to write.
    """
    parameters.check()
    engine.check()
    refuse_within(dicom_dir, out_dir)
    results: dict[int, Checked] = {}
    with engine.session(PRELOAD) as run:
        patients, unreadable, others = find_patients(dicom_dir, run)
        files.make_folder(out_dir)
        ids = safe_ids(one.name for one in patients)
        jobs = [CheckJob(*pair, parameters) for pair in zip(ids, patients, strict=True)]
        with Progress("Checking", len(jobs), "patients") as bar:
            bar.update(0)
            for number, result in run(check_patient, jobs):
                if isinstance(result, Failure):
                    result = Checked(_blank(jobs[number]) | _refusal(result.reason))
                results[number] = result
                bar.update(len(results))
    checked = [results[number] for number in range(len(jobs))]
    _note_copies(checked)
    _note_expected([one.entry for one in checked], parameters.rule().sources)
    entries = [one.entry for one in checked]
    counts = Counter(entry["verdict"] for entry in entries)
    report = {
        "software": files.versions(),
        "roi_rule": parameters.rule().as_dict(),
        "warnings": job.unreadable_warning(unreadable),
        "other_files": others,
        "verdicts": {verdict: counts[verdict] for verdict in VERDICTS},
        "fingerprint": fingerprint.of_cohort([one.profile for one in checked if one.profile]),
        "patients": entries,
    }
    files.write_json(out_dir / REPORT, report)
    contact_sheet.draw([_caption(one) for one in checked], out_dir / SHEET)
    return report


def check_patient(one: CheckJob) -> Checked:
    """Read a patient as ``preprocess`` would and measure it; pure but for the reading."""
    entry = _blank(one)
    reading = one.parameters.reading()
    try:
        data = read_patient(
            one.patient,
            one.parameters.rule(),
            ReadOptions(reading.allow_unlabelled, reading.resample_oblique, compare_sources=True),
        )
    except DataError as error:
        return Checked(entry | _refusal(str(error)))
    except MemoryError:  # whoever set the bound says what to do
        raise
    except Exception as error:  # a fault of ours must not hide the other patients
        return Checked(entry | _refusal(f"{job.UNFORESEEN}{type(error).__name__}: {error}"))
    volume, spacing_mm = data.volume, geometry.spacing_mm(data.volume.affine_lps)
    found = lungs.find_lungs(volume.array, spacing_mm)
    profile = fingerprint.of_patient(volume.array, data.label, spacing_mm)
    entry |= _measure_ct(data, profile) | _measure_label(data, found, profile)
    entry["findings"] += [*data.warnings, *findings(entry)]
    entry["verdict"] = "warn" if entry["findings"] else "ok"
    tile = contact_sheet.make_tile(volume.array, data.label, volume.affine_lps, found)
    digest = hashlib.sha256(np.ascontiguousarray(volume.array.T)).hexdigest()
    return Checked(entry, tile, profile, digest)


def _blank(one: CheckJob) -> dict:
    """Return what is known of a patient before its pixels are read."""
    series = [
        {"series_uid": s.series_uid, "files": len(s.slices)} for s in one.patient.series.values()
    ]
    return {
        "id": one.patient_id,
        "source": one.patient.source,
        "verdict": "ok",
        "series_found": series,
        "found": {
            "CT": len(series),
            "RTSTRUCT": len(one.patient.structure_paths),
            "SEG": len(one.patient.seg_paths),
        },
        "findings": job.unreadable_warning(one.patient.unreadable),
    }


def _refusal(reason: str) -> dict:
    return {"verdict": "refused", "findings": [reason]}


def _measure_ct(data: PatientData, profile: fingerprint.Profile) -> dict:
    volume = data.volume
    return {
        "series_uid": volume.series_uid,
        "spacing_mm": [round(mm, 4) for mm in profile.spacing_mm],
        "shape": list(profile.shape),
        "slices_found": len(volume.slice_positions_mm),
        "slices_expected": volume.layout.size,
        "gaps_mm": [[round(a, 2), round(b, 2)] for a, b in volume.gaps],
        "hu_range": [int(volume.array.min()), int(volume.array.max())],
    }


def _measure_label(
    data: PatientData, found: lungs.Lungs | None, profile: fingerprint.Profile
) -> dict:
    names = [one.name for one in data.chosen]
    measured = {
        "roi": names,
        "roi_others": list(data.others),
        "lungs_ml": round(found.volume_ml) if found else None,
    }
    if data.label is None:
        return measured
    where = np.argwhere(data.label)
    index = where.mean(axis=0)
    last = data.label.shape[2] - 1
    affine_ras = geometry.lps_to_ras(data.volume.affine_lps)
    return measured | {
        "volume_ml": round(profile.volume_ml, 3),
        "label_slices": len(np.unique(where[:, 2])),
        "label_at_end": bool(np.isin([0, last], where[:, 2]).any()),
        "label_proportion": profile.label_proportion,
        "centroid_ras_mm": (affine_ras @ [*index, 1])[:3].round(2).tolist(),
        "in_lung_box": found.contains(index) if found else None,
        "dice_rtstruct_seg": data.dice_rtstruct_seg,
    }


def findings(entry: dict) -> list[str]:
    """Hold a patient's numbers against the limits: what was expected, found, and what to do.

    :param entry: with the keys of the report; those of a label are absent without one.
    """
    texts = []
    if entry["gaps_mm"]:
        texts.append(
            f"{len(entry['gaps_mm'])} gaps between slices: found {entry['slices_found']} of "
            f"{entry['slices_expected']}. What lies between is interpolated; fetch the series "
            "again if the archive has more."
        )
    if entry["spacing_mm"][2] > LARGEST_STEP_MM:
        texts.append(
            f"Slices are {entry['spacing_mm'][2]:g} mm apart, expected at most {LARGEST_STEP_MM:g}."
            " Take a thinner reconstruction if there is one."
        )
    low, high = entry["hu_range"]
    if low > AIR_BELOW_HU or high < BONE_ABOVE_HU:
        texts.append(
            f"Hounsfield units run from {low} to {high}, expected below {AIR_BELOW_HU} to above "
            f"{BONE_ABOVE_HU}. Check Rescale Slope and Intercept of the series."
        )
    if "volume_ml" not in entry:
        return texts
    if not VOLUME_ML[0] <= entry["volume_ml"] <= VOLUME_ML[1]:
        texts.append(
            f"The label has {entry['volume_ml']:g} mL, expected {VOLUME_ML[0]:g} to "
            f"{VOLUME_ML[1]:g}. Check that {', '.join(entry['roi'])} is the ROI wanted (--roi)."
        )
    if entry["in_lung_box"] is False:
        texts.append(
            "The label's centroid lies outside the box around the lungs. Look at the contact "
            "sheet; the structure set may belong to another CT."
        )
    if entry["label_at_end"]:
        texts.append(
            "The label reaches the first or last slice of the CT and may be cut there. Fetch the "
            "whole series, or accept a cut label."
        )
    agreement = entry["dice_rtstruct_seg"]
    if agreement is not None and agreement < AGREEMENT:
        texts.append(
            f"RTSTRUCT and DICOM SEG differ: Dice {agreement:.3f}, expected at least {AGREEMENT}. "
            "Look at both, and name the one to use in the sources of a rule file (--roi)."
        )
    return texts


def _note_copies(checked: list[Checked]) -> None:
    """Add a finding to patients whose CT is another patient's too: it could be in two phases."""
    by_digest: dict[str, list[dict]] = {}
    for one in checked:
        if one.scan_digest:
            by_digest.setdefault(one.scan_digest, []).append(one.entry)
    for entries in by_digest.values():
        for entry in entries if len(entries) > 1 else ():
            others = ", ".join(other["id"] for other in entries if other is not entry)
            entry["findings"].append(
                f"The same CT is also that of {others}: it may be trained on and tested. Keep one."
            )
            entry["verdict"] = "warn"


def _note_expected(entries: list[dict], sources: tuple[str, ...]) -> None:
    """Note how many series of each kind were expected, and a finding where some are missing.

    That is what most patients of the cohort have (the least of equally frequent numbers): one CT,
    one RTSTRUCT and one SEG in NSCLC-Radiomics. One CT is always expected.

    :param sources: the kinds of structures that the ROI rule asks for; others are not missed.
    """
    expected = {}
    for kind in ("CT", *sources):
        counts = Counter(entry["found"][kind] for entry in entries)
        expected[kind] = max(sorted(counts), key=counts.get)
    expected["CT"] = max(1, expected["CT"])
    for entry in entries:
        entry["expected"] = expected
        found = entry["found"]
        missing = [kind for kind, count in expected.items() if found[kind] < count]
        if missing:
            told = (
                ", ".join(f"{counts[kind]} {kind}" for kind in expected)
                for counts in (found, expected)
            )
            entry["findings"].append(
                "Found {}; expected {}, as most patients of this cohort have. ".format(*told)
                + f"Fetch the missing {' and '.join(missing)} if the archive has it."
            )
            if entry["verdict"] == "ok":
                entry["verdict"] = "warn"


def _caption(one: Checked) -> tuple[str, str, str, contact_sheet.Tile | None]:
    """Return title, subtitle, verdict and tile for the contact sheet."""
    entry = one.entry
    volume = f"{entry['volume_ml']:.1f} mL" if "volume_ml" in entry else "no label"
    return entry["id"], volume if one.tile else "", entry["verdict"], one.tile
