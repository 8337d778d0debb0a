"""``net_lung download``: CT, RTSTRUCT and SEG from the NCI's Imaging Data Commons."""

import argparse
import sys
from pathlib import Path

from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.core.exit_codes import ExitCode

HELP = "download CT, RTSTRUCT and SEG of a collection, without a login"
AFTER_INTERRUPT = "It has kept what is whole; run the same command again to fetch the rest."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--out", type=Path, required=True, help="folder to write or to complete")
    parser.add_argument(
        "--patients",
        nargs="+",
        default=[],
        metavar="ID",
        help="only these patients (default: all)",
    )
    parser.add_argument(
        "--collection",
        default="nsclc_radiomics",
        help="name of the collection in the index (default: %(default)s)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before the transfer")


def run(options: argparse.Namespace) -> ExitCode:
    """Say what there is to fetch, ask, and fetch it."""
    from data_prep.cohort import download
    from data_prep.core.progress import Progress

    series = download.of_patients(download.read_index(options.collection), options.patients)
    total = sum(item.size_bytes for item in series)
    present = sum(download.on_disk(item, options.out)[1] for item in series)
    for modality in download.MODALITIES:
        sizes = [item.size_bytes for item in series if item.modality == modality]
        print(f"{modality:9} {len(sizes):4} series {sum(sizes) / 1e9:7.2f} GB")
    licences = ", ".join(sorted({item.licence for item in series}))
    sources = ", ".join(sorted({f"doi:{item.doi}" for item in series}))
    print(f"licence   {licences}; cite {sources}")
    missing = max(0, total - present)
    print(f"to fetch  {missing / 1e9:.2f} of {total / 1e9:.2f} GB, into {options.out}")
    if not options.yes and missing and not is_confirmed():
        return ExitCode.FAILED
    with Progress("Downloading", total, "B") as bar:
        faults = download.download(series, options.out, download.ENDPOINT, bar.update)
    for line in faults:
        print(line, file=sys.stderr)
    if faults:
        print(
            "The download is not complete. Run the same command again: it fetches what is missing. "
            "If a series has too many files, remove its folder first.",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    print(
        f"All {count_of(len(series), 'series', 'series')} are complete. "
        f"Next: net_lung check --dicom {options.out} --out check"
    )
    return ExitCode.OK


def is_confirmed() -> bool:
    """Ask on the terminal whether to start the transfer.

    :raises DataError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise DataError("There is no terminal to ask on. Give --yes to start the transfer.")
    return input("Fetch it? [y/N] ").strip().lower() in ("y", "yes")
