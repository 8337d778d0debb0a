"""``net_lung postprocess``: alter masks step by step and show the effect."""

import argparse
from pathlib import Path

from data_prep.commands.shared import results_console
from data_prep.core.exit_codes import ExitCode
from niftynet_ext.commands import shared

HELP = "post-process a model's masks step by step; score after each step"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    from niftynet_ext.study.postprocess import STEP_FORMS

    shared.add_references(parser, "Validation")
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="one model's folder of masks or probabilities",
    )
    parser.add_argument(
        "--steps",
        required=True,
        metavar="'STEP ...'",
        help=f"some of {', '.join(STEP_FORMS)}; the number is in mL, or in mm around the box",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for masks, CSV and JSON")


def run(options: argparse.Namespace) -> ExitCode:
    """Apply the steps, print the tables, write masks and numbers."""
    from niftynet_ext.study import tables
    from niftynet_ext.study.postprocess import parse_plan
    from niftynet_ext.study.postprocess_stages import score_stages

    found = score_stages(
        options.predictions,
        parse_plan(options.steps),
        options.references,
        options.out,
        options.set,
    )
    tables.print_tables(found, results_console(shared.PAPER_WIDTH))
    print(f"Masks, CSV and JSON files are in {options.out}.")
    return ExitCode.OK
