"""``net_lung ensemble``: several models' probabilities become one."""

import argparse
from pathlib import Path

from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.core.exit_codes import ExitCode

HELP = "combine the probabilities of several models"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    from niftynet_ext.study.ensemble import METHODS

    parser.add_argument(
        "--predictions",
        nargs="+",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="one folder of probability maps for each model",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="mean",
        help="mean of the probabilities, or share of votes (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        type=float,
        metavar="W",
        help="one weight for each folder (default: equal)",
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Combine the folders."""
    from niftynet_ext.study import ensemble

    if len(options.predictions) < 2:
        raise DataError(
            f"--predictions names one folder, {options.predictions[0]}, expected the folders of "
            "two models or more."
        )
    written = ensemble.ensemble(options.predictions, options.out, options.weights, options.method)
    print(
        f"Combined {count_of(len(written), 'patient')} of {len(options.predictions)} models, in "
        f"{options.out}."
    )
    return ExitCode.OK
