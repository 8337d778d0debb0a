"""``net_lung restore``: NiftyNet's output to masks on the CTs' own grids."""

import argparse
from pathlib import Path

from data_prep.commands import shared
from data_prep.core.console import count_of
from data_prep.core.exit_codes import ExitCode

HELP = "turn NiftyNet's probabilities into masks on the CTs' own grids; compute Dice3D"
AFTER_INTERRUPT = "Run the same command again to resume."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    from data_prep.core.predictions import POSTFIX

    shared.add_data(parser)
    parser.add_argument("--predictions", type=Path, required=True, help="NiftyNet's save_seg_dir")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--postfix",
        default=POSTFIX,
        help="NiftyNet's output_postfix (default: %(default)s)",
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Restore all predicted patients and print their scores."""
    from data_prep.cohort import restore

    result = restore.restore_cohort(options.data, options.predictions, options.out, options.postfix)
    if options.json:
        shared.print_json(result.as_json())
    else:
        restore.print_scores(result, shared.results_console())
        print(f"{count_of(len(result.scores), 'mask')} and scores.csv are in {options.out}.")
    return ExitCode.FAILED if result.failed else ExitCode.OK
