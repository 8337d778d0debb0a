"""Options that several commands share, and how results are shown."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from data_prep.core.engine import Engine

LOG_WIDTH = 140
"""Columns of a table that is not shown on a terminal: a table in a log stays a table."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for programs that read the result."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_json(content: Any) -> None:
    """Print a result for programs on standard output."""
    print(json.dumps(content, indent=1, ensure_ascii=False))


def results_console(width: int | None = None) -> "Console":
    """Return the console for results: standard output.

    :param width: least number of columns on a terminal.
    """
    from rich.console import Console

    if not sys.stdout.isatty():
        return Console(width=LOG_WIDTH)
    return Console(width=max(Console().width, width)) if width else Console()


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options on which ROI is the label and which CTs are accepted."""
    from data_prep.dicom_in.rois import POLICIES

    parser.add_argument(
        "--roi",
        default="",
        metavar="REGEX|FILE.json",
        help="regular expression for the ROI's whole name (upper and lower case are equal), or a "
        "rule file (default: GTV-1 in any spelling)",
    )
    parser.add_argument(
        "--policy",
        choices=POLICIES,
        default="one",
        help="if several ROIs match: refuse the patient (one), use the first, or use their union "
        "(default: one)",
    )
    parser.add_argument(
        "--allow-unlabelled",
        action="store_true",
        help="accept patients without RTSTRUCT and SEG, for inference",
    )
    parser.add_argument(
        "--resample-oblique",
        action="store_true",
        help="resample tilted or oblique CTs to an upright grid instead of refusing them",
    )


def reading_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the reading options as :class:`data_prep.cohort.job.Parameters` takes them."""
    names = ("roi", "policy", "allow_unlabelled", "resample_oblique")
    return {name: getattr(options, name) for name in names}


def add_resampling(parser: argparse.ArgumentParser, grid_default: str, method_default: str) -> None:
    """Add the options on the grid that the network sees.

    :param grid_default: what the help says of the default of ``--reduce``.
    :param method_default: what the help says of the default of ``--method``.
    """
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--reduce", type=int, metavar="N", help=f"in-plane factor ({grid_default})")
    size.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        metavar="MM",
        dest="spacing_mm",
        help="voxel size of the output along x, y, z, instead of --reduce",
    )
    parser.add_argument(
        "--method",
        choices=("cubic", "antialiased"),
        help=f"how the CT is resampled ({method_default})",
    )


def resampling_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return those options on the grid that were given."""
    names = ("reduce", "spacing_mm", "method")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options on where the work is done."""
    from data_prep.core.engine import MEMORY_GB

    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of processes (default: one per core, at most one for every four patients)",
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=MEMORY_GB,
        metavar="GB",
        help="memory limit of each worker, also of a single one (default: %(default)s)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="use an existing Dask cluster instead (needs the extra `cluster`)",
    )


def chosen_engine(options: argparse.Namespace) -> "Engine":
    """Return where the work is done."""
    from data_prep.core.engine import Engine

    return Engine(options.workers, options.memory, options.scheduler)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the option for a prepared cohort."""
    parser.add_argument("--data", type=Path, required=True, help="folder that preprocess wrote")
