"""``evaluation.json``: all of an evaluation for a program, and how it was made."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.core.contracts import Contract, Part

EVALUATION_FILE = "evaluation.json"
"""The file of an :class:`EvaluationRecord`, beside the tables."""

Row = dict[str, str | int | float | None]
"""Values by column; None for what is missing or infinite."""


class PostprocessingRecord(Part):
    """The folder of the masks before any step, relative to the record, and the steps taken."""

    predictions: str
    steps: list[str]


class EvaluationRecord(Contract):
    """How an evaluation was made, and its four tables.

    Paths are relative to the folder of the record, so that an evaluation and its data can be moved
    together. ``predictions`` has the folder of each model by its label; it is empty where the rows
    are steps of a ``postprocessing``.
    """

    notice: str
    software: dict[str, str]
    seed: int
    references: str
    predictions: dict[str, str]
    postprocessing: PostprocessingRecord | None
    definitions: dict[str, str]
    cohort: list[Row]
    patients: list[Row]
    slices: list[Row]
    tests: list[Row]


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table as strict JSON can hold them.

    :param table: with text, numbers and missing values
    """
    return [
        {str(key): _json_value(value) for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _json_value(value: Any) -> str | int | float | None:
    if isinstance(value, str):
        return value
    if pd.isna(value) or math.isinf(value):
        return None
    return float(value) if isinstance(value, float) else int(value)


def read_evaluation(folder: Path) -> EvaluationRecord:
    """Read the record of an evaluation.

    :param folder: that ``evaluate`` or ``postprocess`` wrote
    :raises DataError: absent, unreadable, damaged, or of a newer schema
    """
    return EvaluationRecord.read(folder / EVALUATION_FILE, evaluation_advice(folder))


def evaluation_advice(folder: Path) -> str:
    """Return what to do where a file of an evaluation cannot be used.

    :param folder: the folder of the evaluation
    """
    return f"Run net_lung evaluate --out {folder} again."
