"""``net_lung report``: an evaluation as one HTML file."""

import argparse
from pathlib import Path

from data_prep.core.exit_codes import ExitCode

HELP = "draw what evaluate wrote into one HTML file"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--evaluation", type=Path, required=True, help="folder that evaluate wrote")
    parser.add_argument(
        "--out", type=Path, help="HTML file to write (default: report.html in that folder)"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Write the report."""
    from niftynet_ext.study import report

    path = options.out or options.evaluation / "report.html"
    report.write_report(options.evaluation, path)
    print(f"The report is {path}.")
    return ExitCode.OK
