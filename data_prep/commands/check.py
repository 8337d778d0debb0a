"""``net_lung check``: look at a folder of patients before training on it."""

import argparse
from pathlib import Path

from data_prep.commands import shared
from data_prep.core.exit_codes import ExitCode

HELP = "check a folder of DICOM patients: a verdict on each, and a contact sheet"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--dicom", type=Path, required=True, help="folder of the patients' files")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for check.json and contact.png"
    )
    shared.add_reading(parser)
    shared.add_engine(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Check the cohort, print its table, and say what to do next."""
    from data_prep.cohort import check, check_table
    from data_prep.cohort.check_report import REPORT
    from data_prep.cohort.job import Parameters

    parameters = Parameters(**shared.reading_options(options))
    report = check.check_cohort(
        options.dicom, options.out, parameters, shared.chosen_engine(options)
    )
    if options.json:
        shared.print_json(report.as_json())
    else:
        check_table.print_check(report, shared.results_console())
        print(f"Look at {options.out / check.SHEET}; all numbers are in {options.out / REPORT}.")
        if report.usable:
            print(f"Next: net_lung preprocess --dicom {options.dicom} --out data")
    return ExitCode.OK if report.usable else ExitCode.FAILED
