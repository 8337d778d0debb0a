"""From a folder of DICOM patients to NIfTI, NiftyNet's csv lists and a manifest.

One patient is one job (:mod:`data_prep.cohort.job`) that returns its record; a refused patient
stops nothing and stays in the manifest with its reason.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data_prep.cohort import job
from data_prep.cohort.job import PRELOAD, Job, Parameters
from data_prep.cohort.layout import earlier_manifest, remove_gone, safe_ids
from data_prep.cohort.manifest import Manifest, PatientRecord, Phase, Status, write_manifest
from data_prep.cohort.split import PHASES, UNUSED, dealt_before, split_phases, split_warnings
from data_prep.core import files
from data_prep.core.console import PLAIN, count_of
from data_prep.core.engine import Engine, Run
from data_prep.core.errors import DataError
from data_prep.core.progress import Progress
from data_prep.core.workers import Failure
from data_prep.dicom_in.scan import PatientFiles, scan

if TYPE_CHECKING:
    from rich.console import Console

ONE_PROCESS = Engine(workers=1)

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def prepare_cohort(
    dicom_dir: str | PathLike[str],
    out_dir: str | PathLike[str],
    parameters: Parameters,
    engine: Engine = ONE_PROCESS,
) -> Manifest:
    """Prepare all patients under a folder; write NIfTI, csv lists and ``manifest.json``.

    A later run into the same folder takes patients that are done from their records, so it resumes
    where an earlier one was interrupted. With the same split and seed it keeps every labelled
    patient in its phase, whichever others are added, refused or gone (:func:`split_phases`); with
    another split or seed all patients are assigned again. Files of patients that are gone are
    removed. CTs without a label are for Inference and take no part in the split. Patients that the
    split leaves out are prepared but in no list: NiftyNet would take those of its lists for
    ``dataset_to_infer = all``, whatever the split says.

    The manifests of two runs on the same data differ in :data:`data_prep.cohort.job.VARYING` only.

    :param dicom_dir: folder of the patients' DICOM files.
    :param out_dir: folder to write.
    :param parameters: what to make of them.
    :param engine: where the patients are prepared; by default in this process, one after another.
    :return: the manifest; a cohort without one usable patient has one too.
    :raises DataError: wrong parameters, no DICOM file, or no folder to write.
    """
    dicom_dir, out_dir = Path(dicom_dir), Path(out_dir)
    parameters.check()
    engine.check()
    refuse_within(dicom_dir, out_dir)
    with engine.session(PRELOAD) as run:
        patients, unreadable, others = find_patients(dicom_dir, run)
        files.make_folder(out_dir)
        files.remove_drafts(out_dir)
        earlier = earlier_manifest(out_dir)
        ids = safe_ids(patient.name for patient in patients)
        jobs = [
            Job(patient_id, patient, out_dir.resolve(), parameters)
            for patient_id, patient in zip(ids, patients, strict=True)
        ]
        records = run_all("Preparing", job.run, jobs, run, job.failed)
    known = dealt_before(earlier, parameters.split, parameters.seed)
    volumes_ml = _label_volumes(records)
    phases = split_phases(volumes_ml, parameters.split, parameters.seed, known)
    records = [_with_phase(record, phases) for record in records]
    used = [record.phase for record in records if record.phase is not None]
    faults = split_warnings(used, len(volumes_ml), parameters.split)
    faults += remove_gone(earlier, set(ids), out_dir)
    job.remove_records(out_dir, set(ids))
    dealt = sorted((known | phases).items())
    manifest = Manifest(
        software=files.versions(),
        parameters=parameters.record(),
        warnings=(*job.unreadable_warning(unreadable), *faults),
        other_files=others,
        dealt={patient_id: phase for patient_id, phase in dealt if phase in PHASES},
        patients=tuple(records),
    )
    _write_lists(manifest, out_dir)
    write_manifest(manifest, out_dir)
    return manifest


def refuse_within(dicom_dir: Path, out_dir: Path) -> None:
    """Check that the output does not become a part of the next run's input.

    :raises DataError: ``out_dir`` lies within ``dicom_dir``.
    """
    if out_dir.resolve().is_relative_to(dicom_dir.resolve()):
        raise DataError(f"--out {out_dir} lies within --dicom {dicom_dir}. Choose one beside it.")


def find_patients(dicom_dir: Path, run: Run) -> tuple[list[PatientFiles], list[str], int]:
    """Scan a folder as :func:`data_prep.dicom_in.scan.scan` does.

    :param dicom_dir: folder of the patients' DICOM files.
    :param run: of :meth:`data_prep.core.engine.Engine.session`.
    :return: patients, unreadable files (one line each), and the number of files of other kinds.
    :raises DataError: there is no DICOM file in it.
    """
    patients, unreadable, others = scan(dicom_dir.resolve(), run)  # workers start elsewhere
    if not patients:
        raise DataError(
            f"No DICOM file under {dicom_dir}: {count_of(others, 'file')} of other kinds, and "
            f"{len(unreadable)} that cannot be read{': ' if unreadable else ''}"
            f"{'; '.join(unreadable[:5])}. Give the folder that holds the patients' DICOM files."
        )
    return patients, unreadable, others


def run_all(
    title: str,
    function: Callable[[_Job], _Result],
    jobs: Sequence[_Job],
    run: Run,
    lost: Callable[[_Job, str], _Result],
) -> list[_Result]:
    """Return the results in the order of the jobs, behind a progress bar.

    :param title: of the progress bar.
    :param function: what to do with a job.
    :param jobs: one for each patient.
    :param run: of :meth:`data_prep.core.engine.Engine.session`.
    :param lost: the result for a job whose worker died, from the job and the reason.
    """
    results: dict[int, _Result] = {}
    with Progress(title, len(jobs), "patients") as bar:
        bar.update(0)
        for number, result in run(function, jobs):
            if isinstance(result, Failure):
                result = lost(jobs[number], result.reason)
            results[number] = result
            bar.update(len(results))
    return [results[number] for number in range(len(jobs))]


def _label_volumes(records: list[PatientRecord]) -> dict[str, float]:
    """Return the volume in mL of each usable patient's label, by id."""
    return {
        record.id: record.volume_ml
        for record in records
        if record.status is Status.OK and record.volume_ml is not None
    }


def _with_phase(record: PatientRecord, phases: dict[str, Phase]) -> PatientRecord:
    """Return a record with its phase; what cannot be used has none."""
    if record.status is not Status.OK:
        return record
    return record.model_copy(update={"phase": phases.get(record.id, "Inference")})


def _write_lists(manifest: Manifest, out_dir: Path) -> None:
    """Write NiftyNet's lists of images, of labels and of phases."""
    listed = [patient for patient in manifest.usable if patient.phase in PHASES]
    for name, kind in (("ct.csv", "image"), ("label.csv", "label")):
        names = {patient.id: patient.files.names().get(kind) for patient in listed}
        rows = [(key, (out_dir / path).resolve()) for key, path in names.items() if path]
        files.write_csv(out_dir / name, rows)
    files.write_csv(out_dir / "split.csv", [(patient.id, patient.phase) for patient in listed])


def print_manifest(manifest: Manifest, console: "Console") -> None:
    """Print one row per patient, the sizes of the split, then every reason and warning in full."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("id", "slices", "spacing mm", "ROI", "mL", "set", "status", box=None)
    for patient in manifest.patients:
        ct, roi = patient.ct, patient.roi
        table.add_row(
            patient.id,
            str(ct.slices) if ct else "-",
            " x ".join(f"{mm:.3g}" for mm in ct.spacing_mm) if ct else "-",
            escape(roi.chosen) if roi else "-",
            f"{patient.volume_ml:.1f}" if patient.volume_ml is not None else "-",
            patient.phase or "-",
            patient.status.value,
        )
    console.print(table)
    phases = [patient.phase for patient in manifest.patients]
    sizes = ", ".join(
        f"{phases.count(phase)} {phase}"
        for phase in (*PHASES, UNUSED)
        if phase in PHASES or phase in phases
    )
    console.print(f"split: {sizes}", **PLAIN)
    for text in manifest.warnings:
        console.print(f"warning: {text}", **PLAIN)
    for patient in manifest.patients:
        if patient.reason:
            console.print(f"{patient.id} {patient.status.value}: {patient.reason}", **PLAIN)
        for text in patient.warnings:
            console.print(f"{patient.id} warning: {text}", **PLAIN)
