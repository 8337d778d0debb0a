"""From a folder of DICOM patients to NIfTI, NiftyNet's csv lists and a manifest.

One patient is one job (:mod:`data_prep.cohort.job`) that returns its record; a refused patient
stops nothing and stays in the manifest with its reason.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.cohort import job
from data_prep.cohort.job import PRELOAD, Job, Parameters
from data_prep.cohort.layout import earlier_manifest, remove_gone, safe_ids
from data_prep.cohort.split import PHASES, UNUSED, dealt_before, split_phases, split_warnings
from data_prep.core import files
from data_prep.core.console import PLAIN
from data_prep.core.engine import Engine, Failure, Run
from data_prep.core.errors import DataError
from data_prep.core.progress import Progress
from data_prep.dicom_in.scan import PatientFiles, scan

if TYPE_CHECKING:
    from rich.console import Console

ONE_PROCESS = Engine(workers=1)


def prepare_cohort(
    dicom_dir: Path, out_dir: Path, parameters: Parameters, engine: Engine = ONE_PROCESS
) -> dict:
    """Prepare all patients under a folder; write NIfTI, csv lists and ``manifest.json``.

    A later run into the same folder takes patients that are done from their records, so it goes on
    where one was interrupted. With the same split and seed it keeps every labelled patient in
    the phase it was dealt to, whoever is added, refused or gone (:func:`split_phases`); with others
    all are dealt anew. Files of patients that are gone are removed. CTs without a label are for
    Inference and not dealt. Whom the split leaves out is prepared, and in no list: NiftyNet would
    take those of its lists for ``dataset_to_infer = all``, whatever the split says.

    The manifests of two runs on the same data differ in :data:`data_prep.cohort.job.VARYING` only.

    :param engine: where the patients are prepared; by default in this process, one by one.
    :return: the manifest; a cohort without one usable patient has one too.
    :raises DataError: wrong parameters, no DICOM file, or no folder to write.
    """
    parameters.check()
    engine.check()
    refuse_within(dicom_dir, out_dir)
    with engine.session(PRELOAD) as run:
        patients, unreadable, others = find_patients(dicom_dir, run)
        files.make_folder(out_dir)
        files.remove_drafts(out_dir)
        earlier = earlier_manifest(out_dir)
        ids = safe_ids(one.name for one in patients)
        jobs = [
            Job(one, patient, out_dir.resolve(), parameters)
            for one, patient in zip(ids, patients, strict=True)
        ]
        records = _run_all(jobs, run)
    usable = [record for record in records if record["status"] == "ok"]
    labelled = {record["id"]: record["volume_ml"] for record in usable if record["roi"]}
    known = dealt_before(earlier, parameters.split, parameters.seed)
    phases = split_phases(labelled, parameters.split, parameters.seed, known)
    for record in usable:
        record["phase"] = phases.get(record["id"], "Inference")
    faults = split_warnings([record["phase"] for record in usable], len(labelled), parameters.split)
    faults += remove_gone(earlier, set(ids), out_dir)
    job.remove_records(out_dir, set(ids))
    manifest = {
        "software": files.versions(),
        "parameters": asdict(parameters) | {"roi_rule": parameters.rule().as_dict()},
        "warnings": job.unreadable_warning(unreadable) + faults,
        "other_files": others,
        "dealt": {one: phase for one, phase in sorted((known | phases).items()) if phase in PHASES},
        "patients": records,
    }
    _write_lists([record for record in usable if record["phase"] in PHASES], out_dir)
    files.write_json(out_dir / files.MANIFEST, manifest)
    return manifest


def refuse_within(dicom_dir: Path, out_dir: Path) -> None:
    """:raises DataError: the output would be among the next run's input."""
    if out_dir.resolve().is_relative_to(dicom_dir.resolve()):
        raise DataError(f"--out {out_dir} lies within --dicom {dicom_dir}. Choose one beside it.")


def find_patients(dicom_dir: Path, run: Run) -> tuple[list[PatientFiles], list[str], int]:
    """Scan a folder as :func:`data_prep.dicom_in.scan.scan` does.

    :raises DataError: there is no DICOM file in it.
    """
    patients, unreadable, others = scan(dicom_dir.resolve(), run)  # workers start elsewhere
    if not patients:
        raise DataError(
            f"No DICOM file under {dicom_dir}: {others} files of other kinds, and "
            f"{len(unreadable)} that cannot be read{': ' if unreadable else ''}"
            f"{'; '.join(unreadable[:5])}. Give the folder that holds the patients' DICOM files."
        )
    return patients, unreadable, others


def _run_all(jobs: list[Job], run: Run) -> list[dict]:
    """Return the jobs' records in the order of the jobs, behind a progress bar."""
    records: dict[int, dict] = {}
    with Progress("Preparing", len(jobs), "patients") as bar:
        bar.update(0)
        for number, result in run(job.run, jobs):
            lost = isinstance(result, Failure)
            records[number] = job.refused(jobs[number], result.reason) if lost else result
            bar.update(len(records))
    return [records[number] for number in range(len(jobs))]


def _write_lists(usable: list[dict], out_dir: Path) -> None:
    """Write NiftyNet's lists of images, of labels and of phases."""
    for name, key in (("ct.csv", "image"), ("label.csv", "label")):
        with_file = [record for record in usable if key in record["files"]]
        rows = [(r["id"], (out_dir / r["files"][key]).resolve()) for r in with_file]
        files.write_csv(out_dir / name, rows)
    files.write_csv(out_dir / "split.csv", [(r["id"], r["phase"]) for r in usable])


def report(manifest: dict, console: "Console") -> None:
    """Print one row per patient, the sizes of the split, then every reason and warning in full."""
    from rich.markup import escape
    from rich.table import Table

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
    sizes = ", ".join(
        f"{phases.count(phase)} {phase}"
        for phase in (*PHASES, UNUSED)
        if phase in PHASES or phase in phases
    )
    console.print(f"split: {sizes}", **PLAIN)
    for text in manifest["warnings"]:
        console.print(f"warning: {text}", **PLAIN)
    for record in manifest["patients"]:
        for kind, text in [("refused", record["reason"])] + [
            ("warning", text) for text in record["warnings"]
        ]:
            if text:
                console.print(f"{record['id']} {kind}: {text}", **PLAIN)
