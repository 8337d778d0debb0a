"""Look at a cohort before anything is trained on it: one row per patient, a verdict and the fix.

What only a person can judge is shown (:mod:`data_prep.pictures.contact_sheet`); what can be
measured is compared with limits (:mod:`data_prep.cohort.check_findings`). A patient is ``refused``
if ``preprocess`` cannot prepare it, ``warn`` if something should be looked at, else ``ok``.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.cohort import fingerprint, job
from data_prep.cohort.check_findings import findings
from data_prep.cohort.check_report import (
    CheckedPatient,
    CheckReport,
    SeriesFound,
    Verdict,
    write_report,
)
from data_prep.cohort.job import PRELOAD, Parameters
from data_prep.cohort.layout import safe_ids
from data_prep.cohort.prepare import ONE_PROCESS, find_patients, refuse_within, run_all
from data_prep.core import files, geometry, lungs
from data_prep.core.engine import Engine
from data_prep.core.errors import DataError
from data_prep.dicom_in.patient import PatientData, read_patient
from data_prep.dicom_in.scan import PatientFiles
from data_prep.pictures import contact_sheet

SHEET = "contact.png"
"""The contact sheet, in the folder that ``--out`` names."""


@dataclass(frozen=True)
class CheckJob:
    """What a worker needs to check a patient."""

    patient_id: str
    patient: PatientFiles
    parameters: Parameters


@dataclass(frozen=True)
class Checked:
    """A patient's entry in the report, its tile for the sheet, and what the fingerprint needs."""

    entry: CheckedPatient
    tile: contact_sheet.Tile | None = None
    profile: fingerprint.Profile | None = None
    scan_digest: str = ""
    """Of the CT's Hounsfield units: the same for two patients whose CTs are the same."""


def check_cohort(
    dicom_dir: str | PathLike[str],
    out_dir: str | PathLike[str],
    parameters: Parameters,
    engine: Engine = ONE_PROCESS,
) -> CheckReport:
    """Check all patients under a folder; write ``check.json`` and ``contact.png``.

    :param dicom_dir: folder of the patients' DICOM files.
    :param out_dir: folder to write.
    :param parameters: as ``preprocess`` would get them; only what concerns reading matters.
    :param engine: where the patients are checked; by default in this process, one after another.
    :raises DataError: wrong parameters, no DICOM file, or no folder to write.
    """
    dicom_dir, out_dir = Path(dicom_dir), Path(out_dir)
    parameters.check()
    engine.check()
    refuse_within(dicom_dir, out_dir)
    with engine.session(PRELOAD) as run:
        patients, unreadable, others = find_patients(dicom_dir, run)
        files.make_folder(out_dir)
        ids = safe_ids(patient.name for patient in patients)
        jobs = [CheckJob(*pair, parameters) for pair in zip(ids, patients, strict=True)]
        checked = _note_copies(run_all("Checking", check_patient, jobs, run, _refused))
    rule = job.rule_record(parameters.rule())
    entries = _note_expected([result.entry for result in checked], rule.sources)
    verdicts = Counter(entry.verdict for entry in entries)
    profiles = [result.profile for result in checked if result.profile]
    report = CheckReport(
        software=files.versions(),
        roi_rule=rule,
        warnings=tuple(job.unreadable_warning(unreadable)),
        other_files=others,
        verdicts={verdict: verdicts[verdict] for verdict in Verdict},
        fingerprint=fingerprint.of_cohort(profiles),
        patients=tuple(entries),
    )
    write_report(report, out_dir)
    tiles = [result.tile for result in checked]
    captions = [_caption(entry, tile) for entry, tile in zip(entries, tiles, strict=True)]
    contact_sheet.draw(captions, out_dir / SHEET)
    return report


def check_patient(check_job: CheckJob) -> Checked:
    """Read a patient as ``preprocess`` would and measure it; writes nothing."""
    parameters = check_job.parameters
    reading = replace(parameters.reading(), compare_sources=True)
    try:
        data = read_patient(check_job.patient, parameters.rule(), reading)
    except DataError as error:
        return _refused(check_job, str(error))
    except MemoryError:  # the function that set the bound adds advice
        raise
    except Exception as error:  # our own fault must not hide the other patients
        return _refused(check_job, f"Unexpected {type(error).__name__}: {error}")
    volume, spacing_mm = data.volume, geometry.spacing_mm(data.volume.affine_lps)
    found = lungs.find_lungs(volume.array, spacing_mm)
    profile = fingerprint.of_patient(volume.array, data.label, spacing_mm)
    measured = _measure_ct(data, profile) | _measure_label(data, found, profile)
    entry = CheckedPatient(**(_known_before_reading(check_job) | measured))
    for text in (*data.warnings, *findings(entry)):
        entry = entry.with_finding(text)
    tile = contact_sheet.make_tile(volume.array, data.label, volume.affine_lps, found)
    digest = hashlib.sha256(np.ascontiguousarray(volume.array.T).data).hexdigest()
    return Checked(entry, tile, profile, digest)


def _known_before_reading(check_job: CheckJob) -> dict[str, Any]:
    """Return the fields of :class:`CheckedPatient` that need no pixels."""
    patient = check_job.patient
    warnings = job.unreadable_warning(patient.unreadable)
    series = [
        SeriesFound(series_uid=series.series_uid, files=len(series.slices))
        for series in patient.series.values()
    ]
    return {
        "id": check_job.patient_id,
        "source": patient.source,
        "verdict": Verdict.WARN if warnings else Verdict.OK,
        "series_found": series,
        "found": {
            "CT": len(series),
            "RTSTRUCT": len(patient.structure_paths),
            "SEG": len(patient.seg_paths),
        },
        "findings": warnings,
    }


def _refused(check_job: CheckJob, reason: str) -> Checked:
    refusal = {"verdict": Verdict.REFUSED, "findings": [reason]}
    return Checked(CheckedPatient(**(_known_before_reading(check_job) | refusal)))


def _measure_ct(data: PatientData, profile: fingerprint.Profile) -> dict[str, Any]:
    """Return the fields of :class:`CheckedPatient` about the CT."""
    volume = data.volume
    return {
        "series_uid": volume.series_uid,
        "spacing_mm": [round(mm, 4) for mm in profile.spacing_mm],
        "shape": profile.shape,
        "slices_found": len(volume.slice_positions_mm),
        "slices_expected": volume.layout.size,
        "gaps_mm": [(round(low, 2), round(high, 2)) for low, high in volume.gaps],
        "hu_range": (int(volume.array.min()), int(volume.array.max())),
    }


def _measure_label(
    data: PatientData, found: lungs.Lungs | None, profile: fingerprint.Profile
) -> dict[str, Any]:
    """Return the fields of :class:`CheckedPatient` about lungs and label."""
    measured = {
        "roi": [roi.name for roi in data.chosen],
        "roi_others": data.others,
        "lungs_ml": round(found.volume_ml) if found else None,
    }
    if data.label is None or profile.label is None:
        return measured
    where = np.argwhere(data.label)
    index = where.mean(axis=0)
    last = data.label.shape[2] - 1
    affine_ras = geometry.lps_to_ras(data.volume.affine_lps)
    return measured | {
        "volume_ml": round(profile.label.volume_ml, 3),
        "label_slices": len(np.unique(where[:, 2])),
        "label_at_end": bool(np.isin([0, last], where[:, 2]).any()),
        "label_proportion": profile.label.proportion,
        "centroid_ras_mm": (affine_ras @ [*index, 1])[:3].round(2).tolist(),
        "in_lung_box": found.contains(index) if found else None,
        "dice_rtstruct_seg": data.dice_rtstruct_seg,
    }


def _note_copies(checked: list[Checked]) -> list[Checked]:
    """Add a finding to patients whose CT is another patient's too: it could be in two phases."""
    by_digest: dict[str, list[str]] = {}
    for result in checked:
        if result.scan_digest:
            by_digest.setdefault(result.scan_digest, []).append(result.entry.id)
    noted = []
    for result in checked:
        same = by_digest.get(result.scan_digest, [])
        others = ", ".join(name for name in same if name != result.entry.id)
        if others:
            text = (
                f"{others} has the same CT: one copy may be trained on and the other tested. Keep "
                "one of them."
            )
            result = replace(result, entry=result.entry.with_finding(text))
        noted.append(result)
    return noted


def _note_expected(entries: list[CheckedPatient], sources: tuple[str, ...]) -> list[CheckedPatient]:
    """Note how many series of each kind were expected, and a finding where some are missing.

    That is what most patients of the cohort have (the least of equally frequent numbers): one CT,
    one RTSTRUCT and one SEG in NSCLC-Radiomics. One CT is always expected.

    :param entries: of all patients.
    :param sources: the kinds of structures that the ROI rule asks for; others are not missed.
    :return: the entries with what was expected, and the findings.
    """
    expected = {kind: _most_frequent([e.found[kind] for e in entries]) for kind in ("CT", *sources)}
    expected["CT"] = max(1, expected["CT"])
    noted = []
    for entry in entries:
        entry = entry.model_copy(update={"expected": expected})
        missing = [kind for kind, count in expected.items() if entry.found[kind] < count]
        if missing:
            found_text, expected_text = (
                ", ".join(f"{counts[kind]} {kind}" for kind in expected)
                for counts in (entry.found, expected)
            )
            entry = entry.with_finding(
                f"Found {found_text}; expected {expected_text}, as most patients of this cohort "
                f"have. Fetch the missing {' and '.join(missing)} if the archive has it."
            )
        noted.append(entry)
    return noted


def _most_frequent(numbers: list[int]) -> int:
    """Return the most frequent number, the least of several that are equally frequent."""
    counts = Counter(numbers)
    return max(sorted(counts), key=lambda number: counts[number])


def _caption(
    entry: CheckedPatient, tile: contact_sheet.Tile | None
) -> tuple[str, str, str, contact_sheet.Tile | None]:
    """Return title, subtitle, verdict and tile for the contact sheet."""
    volume = f"{entry.volume_ml:.1f} mL" if entry.volume_ml is not None else "no label"
    return entry.id, volume if tile else "", entry.verdict.value, tile
