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
    from niftynet_ext.study.postprocess import STEPS

    shared.add_references(parser, "Validation")
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="FOLDER", help="one model's"
    )
    steps = ", ".join(f"{name}:NUMBER" if needs else name for name, (needs, _) in STEPS.items())
    parser.add_argument(
        "--steps",
        required=True,
        metavar="'STEP ...'",
        help=f"some of {steps}; the number is in mL, or in mm around the box",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for masks, CSV and JSON")


def run(options: argparse.Namespace) -> ExitCode:
    """Apply the steps, print the tables, write masks and numbers."""
    from niftynet_ext.study import evaluate, postprocess_study

    result = postprocess_study.postprocess_and_score(
        options.predictions, options.references, options.out, options.steps, options.set
    )
    evaluate.print_tables(result, results_console(shared.PAPER_WIDTH))
    print(f"Masks, CSV and JSON: {options.out}")
    return ExitCode.OK
