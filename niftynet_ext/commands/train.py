"""``net_lung train``: the paper's training in rounds, by plain ``net_segment train`` calls."""

import argparse
from pathlib import Path

from data_prep.core.exit_codes import ExitCode
from niftynet_ext.core.paper import PAPER_PLAN

HELP = "train in rounds: Dice loss, then focal loss, as the paper does"
AFTER_INTERRUPT = "Run the same command again to resume from the last checkpoint."
EPILOG = "Flags that this command does not know are passed on to net_segment, e.g. --lr 0.0001."
PASSES_ON = True
"""Unknown flags are NiftyNet's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("-c", "--config", type=Path, required=True, help="ini file of the network")
    parser.add_argument(
        "--plan",
        default=" ".join(f"{stage.loss}:{stage.last}" for stage in PAPER_PLAN),
        metavar="'LOSS:LAST_ITERATION ...'",
        help="stages of the training (default: the paper's, %(default)s)",
    )
    parser.add_argument(
        "--model-dir", "--model_dir", type=Path, help="use this instead of the ini file's model_dir"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the calls, run nothing")


def run(options: argparse.Namespace) -> ExitCode:
    """Train what is not trained yet."""
    from niftynet_ext.study import rounds

    rounds.train_in_rounds(
        options.config,
        rounds.parse_plan(options.plan),
        options.model_dir,
        options.passed_on,
        options.dry_run,
    )
    return ExitCode.OK
