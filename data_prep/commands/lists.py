"""``net_lung lists``: compare the ids of a split with those of NiftyNet's lists."""

import argparse
from pathlib import Path

from data_prep.commands import shared
from data_prep.core.console import count_of
from data_prep.core.exit_codes import ExitCode

HELP = "compare the ids of a split file with the lists of images and labels"
AFTER_INTERRUPT = "Run the same command again."

_IDS_SHOWN = 20
"""So many ids are named in one line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    shared.add_data(parser)
    parser.add_argument(
        "--split-file",
        type=Path,
        metavar="CSV",
        help="another split (default: split.csv in that folder)",
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Name the ids that only one side has."""
    from data_prep.cohort import split

    split_path = options.split_file or options.data / "split.csv"
    lists = [options.data / name for name in ("ct.csv", "label.csv")]
    missing = split.missing_ids(split_path, lists)
    if options.json:
        shared.print_json({"missing": missing})
        return ExitCode.FAILED if missing else ExitCode.OK
    for name, ids in missing.items():
        more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
        print(f"{name} lacks {count_of(len(ids), 'id')}: {', '.join(ids[:_IDS_SHOWN])}{more}")
    if not missing:
        print(f"{split_path.name}, ct.csv and label.csv list the same patients.")
    return ExitCode.FAILED if missing else ExitCode.OK
