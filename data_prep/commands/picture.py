"""``net_lung picture``: contours of reference and prediction over the CT."""

import argparse
from pathlib import Path

from data_prep.commands import shared
from data_prep.core.exit_codes import ExitCode

HELP = "draw restored masks and references over the CTs, in one PNG"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    shared.add_data(parser)
    parser.add_argument("--masks", type=Path, required=True, help="folder that restore wrote")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")


def run(options: argparse.Namespace) -> ExitCode:
    """Draw the picture."""
    from data_prep.cohort import picture

    picture.draw_cohort(options.data, options.masks, options.out)
    print(f"The picture is {options.out}.")
    return ExitCode.OK
