"""``net_lung phantom``: a synthetic cohort in DICOM."""

import argparse
from pathlib import Path

from data_prep.core.console import count_of
from data_prep.core.exit_codes import ExitCode

HELP = "write synthetic DICOM patients"
AFTER_INTERRUPT = "Run the same command again; it starts over."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    for name, default, what in (
        ("patients", 10, "number of patients"),
        ("matrix", 192, "rows and columns of a slice"),
        ("slices", 40, "slices of each CT"),
        ("seed", 0, "seed of the anatomy"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)"
        )


def run(options: argparse.Namespace) -> ExitCode:
    """Write the cohort."""
    from data_prep.phantom import write_phantom_cohort

    write_phantom_cohort(
        options.out,
        patients=options.patients,
        matrix=options.matrix,
        slices=options.slices,
        seed=options.seed,
    )
    print(
        f"{count_of(options.patients, 'synthetic patient')} in {options.out}. "
        f"Next: net_lung preprocess --dicom {options.out} --out DIR"
    )
    return ExitCode.OK
