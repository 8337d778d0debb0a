"""``net_lung reproduce``: the paper's study, from the download to the report."""

import argparse
from pathlib import Path

from data_prep.core.exit_codes import ExitCode

HELP = "run the paper's study in the current folder, from the download to the report"
AFTER_INTERRUPT = "Run the same command again to resume."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--cohort",
        default="nsclc_radiomics",
        help="collection to download, or phantom (default: %(default)s)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="share of the paper's iterations (default: %(default)s)",
    )
    parser.add_argument(
        "--config-dir",
        type=Path,
        help="folder of the networks' ini files (default: the shipped ones)",
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Run the study, or what is left of it."""
    from niftynet_ext.core import ini_files
    from niftynet_ext.study import reproduce

    reproduce.reproduce(options.cohort, options.scale, options.config_dir or ini_files.folder())
    return ExitCode.OK
