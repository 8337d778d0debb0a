"""Options that several commands on predictions share."""

import argparse
from pathlib import Path

PAPER_WIDTH = 132
"""Columns that the tables beside the paper's need, on a narrower terminal too."""

MODEL_FORM = "[NAME[@ITERATION]=]FOLDER"
"""How a folder of predictions is named on the command line."""


def add_references(parser: argparse.ArgumentParser, default_set: str | None = None) -> None:
    """Add the options on whom to score.

    :param default_set: NiftyNet's name of the set that is scored by default.
    """
    parser.add_argument(
        "--references",
        type=Path,
        required=True,
        help="folder that preprocess wrote, or a folder of NIfTI masks",
    )
    parser.add_argument(
        "--set",
        default=default_set,
        help="Training, Validation or Inference: score this set only (default: "
        f"{default_set or 'every set that was predicted'}); for a folder of masks, its name",
    )
