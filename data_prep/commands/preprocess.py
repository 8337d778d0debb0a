"""``net_lung preprocess``: DICOM CT and RTSTRUCT or SEG to NIfTI for NiftyNet."""

import argparse
import sys
from pathlib import Path
from typing import Any

from data_prep.commands import shared
from data_prep.core.console import count_of
from data_prep.core.exit_codes import ExitCode

HELP = "convert DICOM CT with RTSTRUCT or SEG to NIfTI, with NiftyNet's lists"
AFTER_INTERRUPT = "Run the same command again to resume."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--dicom", type=Path, required=True, help="folder of the patients' files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    shared.add_reading(parser)
    shared.add_resampling(parser, "default: 2, 512 to 256", "default: cubic, as the release does")
    parser.add_argument(
        "--split",
        type=float,
        nargs=3,
        metavar="N",
        help="Training, Validation, Inference: shares that sum to 1, or numbers of patients; "
        "with numbers, the rest is left out (default: the paper's 260 40 40 as shares)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    shared.add_engine(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Prepare the cohort, print its table, and say what to do next."""
    from data_prep.cohort import manifest as manifests
    from data_prep.cohort import prepare
    from data_prep.cohort.job import Parameters

    given: dict[str, Any] = {"split": tuple(options.split)} if options.split else {}
    parameters = Parameters(
        **shared.reading_options(options),
        **shared.resampling_options(options),
        **given,
        seed=options.seed,
    )
    manifest = prepare.prepare_cohort(
        options.dicom, options.out, parameters, shared.chosen_engine(options)
    )
    if options.json:
        shared.print_json(manifest.as_json())
    else:
        prepare.print_manifest(manifest, shared.results_console())
    usable = manifest.usable
    if not usable:
        print(
            f"net_lung preprocess: {count_of(len(manifest.patients), 'patient')}, none of "
            f"them usable. The reasons are in {options.out / manifests.MANIFEST}.",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    if not options.json:
        labelled = any(record.roi for record in usable)
        print(
            f"Prepared {len(usable)} of {count_of(len(manifest.patients), 'patient')} in "
            f"{options.out}. "
            f"{next_step(options.out.resolve(), labelled)}"
        )
    failed = any(record.status is manifests.Status.FAILED for record in manifest.patients)
    return ExitCode.FAILED if failed else ExitCode.OK


def next_step(out_dir: Path, labelled: bool) -> str:
    """Return what to do with a prepared cohort, in a sentence or two.

    :param out_dir: absolute path of the cohort.
    :param labelled: whether any patient has a label.
    """
    default = out_dir == Path("data").resolve()  # what the shipped ini files name
    data = "" if default else f" --data {out_dir}"
    if not labelled:
        return (
            "No patient has a label: only inference is possible. Next: net_lung config "
            f"densehighres3dnet_v1{data}"
        )
    return (
        f"Next: net_lung config densehighres3dnet_v1{data}, then "
        "net_lung train -c densehighres3dnet_v1.ini"
    )
