"""The tables of an evaluation: printed beside those of the paper, written as CSV, and read."""

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from data_prep.core import files
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE
from niftynet_ext.core import paper
from niftynet_ext.evaluation.patient_scores import DICE_3D
from niftynet_ext.evaluation.slices import DICE_2D, HD95_2D, MSD_2D
from niftynet_ext.evaluation.statistics import LEVEL, RESAMPLES
from niftynet_ext.study.evaluation_record import (
    EVALUATION_FILE,
    EvaluationRecord,
    PostprocessingRecord,
    evaluation_advice,
    rows_of,
)
from niftynet_ext.study.scoring import (
    DICE_TP,
    MEANS,
    PATIENT_TABLE_COLUMNS,
    QUARTILES,
    SLICE_TABLE_COLUMNS,
    SUMMARY_COLUMNS,
    TEST_COLUMNS,
)

DEFINITIONS = {
    "boundary": "voxels of the mask with a face on the background: 4 neighbours in a slice, 6 in "
    "3-D; outside the image is background",
    "slices": "TP: both masks have pixels; FN: only the reference; FP: only the prediction",
    "dice_2d": "over TP and FN slices; an FN slice scores 0",
    "dice_tp, msd_2d_mm, hd95_2d_mm": "over TP slices, each boundary in its slice",
    "msd": "mean of the two directed means (paper, eq. 7)",
    "hd95": "mean of the two directed 95th percentiles (paper, eq. 9)",
    "empty masks": "Dice3D is 0 where one mask is empty and 1 where both are; distances in 3-D are "
    "infinite where one is (inf in CSV, null in JSON; the worst in quartiles and "
    "tests) and 0 where both are; a patient without a TP slice has no distance in "
    "2-D (empty in CSV, null in JSON), but its slices count in fn and fp; patients "
    "with an empty mask are counted",
    "lesions": "components connected by faces, edges or corners; found where at least 10 % of the "
    "voxels are predicted; false where less than 10 % of a finding's voxels are in the "
    "reference",
    "low, high": f"bounds of the mean: {LEVEL:.0%}, {RESAMPLES} resamples of patients with all "
    "their slices, percentile method",
    "p_holm": "Wilcoxon's signed-rank test, two-sided, Holm over all tests of a set",
}
"""What the columns mean, for ``evaluation.json`` and the report."""

DICE_COLUMNS = tuple(
    f"{name}_{ending}" for name in (DICE_3D, DICE_2D) for ending in (MEANS[0], *QUARTILES)
)
"""Columns of the summary that tables 1 and 2 of the paper have, in their order."""

DISTANCE_COLUMNS = (*(f"{name}_{MEANS[0]}" for name in (DICE_TP, MSD_2D, HD95_2D)), "fn", "fp")
"""Columns of the summary that table 3 of the paper has, in its order."""

_TEXT_COLUMNS = ("model", "set", "id", "empty", "kind", "measure", "first", "second")


@dataclass(frozen=True)
class EvaluationTables:
    """The four tables of an evaluation; their columns are defined in :mod:`.scoring`.

    :param summary: a row for each model, iteration and set
    :param patients: a row for each model, iteration and patient
    :param slices: a row for each slice of these
    :param tests: a row for each two models and measure; may have none
    """

    summary: pd.DataFrame
    patients: pd.DataFrame
    slices: pd.DataFrame
    tests: pd.DataFrame

    def by_file_name(self) -> dict[str, pd.DataFrame]:
        """Return the tables by the names of their CSV files, without ``.csv``."""
        return {
            "cohort": self.summary,
            "patients": self.patients,
            "slices": self.slices,
            "tests": self.tests,
        }

    def of_set(self, group: str) -> "EvaluationTables":
        """Return the rows of one set.

        :param group: name of the set
        """
        return EvaluationTables(
            *(table[table["set"] == group] for table in self.by_file_name().values())
        )


_COLUMNS_BY_FILE = {
    "cohort": SUMMARY_COLUMNS,
    "patients": PATIENT_TABLE_COLUMNS,
    "slices": SLICE_TABLE_COLUMNS,
    "tests": TEST_COLUMNS,
}


def print_tables(tables: EvaluationTables, console: Console) -> None:
    """Print the tables of each set beside those of the paper, and the tests.

    :param tables: of an evaluation
    :param console: where to; at least 132 characters wide
    """
    for group in tables.patients["set"].unique():
        console.print(dice_table(tables.summary, group))
        console.print(distance_table(tables.summary, group))
    if len(tables.tests):
        console.print(comparison_table(tables.tests))


def dice_table(summary: pd.DataFrame, group: str) -> Table:
    """Show Dice3D and Dice2D, each row above that of the paper (tables 1 and 2).

    :param summary: see :func:`~.scoring.summarise`
    :param group: name of the set
    """
    number = {"Training": "; paper: table 1", "Validation": "; paper: table 2"}.get(group, "")
    heads = ("Dice3D mean", "Q1", "Q2", "Q3", "Dice2D mean", "Q1", "Q2", "Q3")
    table = _table(f"{_title(group)}{number}", "Model", "Iterations", *heads, "95 % of Dice3D")
    published = paper.DICE_TABLES.get(group, {})
    for row in _rows(summary, group):
        _add(
            table,
            row,
            [_fixed(row[column]) for column in DICE_COLUMNS],
            published,
            lambda values: [_fixed(value) for value in values],
            f"{_fixed(row[f'{DICE_3D}_low'])} to {_fixed(row[f'{DICE_3D}_high'])}",
        )
    return table


def distance_table(summary: pd.DataFrame, group: str) -> Table:
    """Show Dice, MSD and 95 % HD of TP slices, and numbers of FN and FP slices (table 3).

    :param summary: see :func:`~.scoring.summarise`
    :param group: name of the set
    """
    number = {"Validation": "; paper: table 3"}.get(group, "")
    table = _table(
        f"{_title(group)}, slices{number}",
        "Method",
        "Iteration",
        "D",
        "MSD mm",
        "95%HD mm",
        "FN",
        "FP",
        "empty predictions",
    )
    published = paper.DISTANCE_TABLES.get(group, {})
    for row in _rows(summary, group):
        _add(
            table,
            row,
            _distances(row[column] for column in DISTANCE_COLUMNS),
            published,
            _distances,
            f"{row['empty_predictions']} of {count_of(row['patients'], 'patient')}",
        )
    return table


def _distances(values: Iterable[Any]) -> list[str]:
    """Write three means and two numbers of slices."""
    means_and_counts = list(values)
    return [*map(_fixed, means_and_counts[:3]), *map(str, means_and_counts[3:])]


def comparison_table(tests: pd.DataFrame, rows: int = 12) -> Table:
    """Show the tests with the smallest p.

    :param tests: see :func:`~.scoring.compare`
    :param rows: largest number of tests to show
    """
    title = f"Wilcoxon's signed-rank test, adjusted by Holm for {count_of(len(tests), 'test')}"
    if len(tests) > rows:
        title += f"; the {rows} with the smallest p"
        tests = tests.nsmallest(rows, "p")
    table = _table(
        title, "Set", "Measure", "First", "Second", "Patients", "Mean difference", "p", "p (Holm)"
    )
    for row in tests.to_dict("records"):
        table.add_row(
            row["set"],
            row["measure"],
            row["first"],
            row["second"],
            str(row["patients"]),
            f"{row['mean_difference']:+.3f}",
            f"{row['p']:.3g}",
            f"{row['p_holm']:.3g}",
        )
    return table


def write(
    folder: Path,
    tables: EvaluationTables,
    *,
    seed: int,
    references: str,
    predictions: Mapping[str, str],
    postprocessing: PostprocessingRecord | None = None,
) -> None:
    """Write ``cohort.csv``, ``patients.csv``, ``slices.csv`` and ``tests.csv``, and all as JSON.

    :param folder: where to
    :param tables: of an evaluation
    :param seed: of the bootstrap
    :param references: folder of the references, relative to ``folder``
    :param predictions: folders of the models by label, relative to ``folder``
    :param postprocessing: what was done with the masks, if anything
    """
    files.make_folder(folder)
    named = tables.by_file_name()
    for name, table in named.items():
        text = io.StringIO()
        table.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
        files.write_bytes(folder / f"{name}.csv", text.getvalue().encode())
    EvaluationRecord(
        notice=RESEARCH_USE,
        software=files.versions(),
        seed=seed,
        references=references,
        predictions=dict(predictions),
        postprocessing=postprocessing,
        definitions=DEFINITIONS,
        cohort=rows_of(named["cohort"]),
        patients=rows_of(named["patients"]),
        slices=rows_of(named["slices"]),
        tests=rows_of(named["tests"]),
    ).write(folder / EVALUATION_FILE)


def read(folder: Path) -> EvaluationTables:
    """Read the CSV files that :func:`write` wrote.

    :param folder: of the evaluation
    :raises DataError: a file is absent, unreadable or cut, or lacks columns
    """
    read_tables = [
        _read_table(folder / f"{name}.csv", columns, evaluation_advice(folder))
        for name, columns in _COLUMNS_BY_FILE.items()
    ]
    return EvaluationTables(*read_tables)


def _read_table(path: Path, columns: Sequence[str], advice: str) -> pd.DataFrame:
    """Read one table, with text as text and iterations as whole numbers.

    :param path: CSV file
    :param columns: that it must have
    :param advice: what to do where it cannot be used
    :raises DataError: absent, unreadable or cut, or columns are missing or not numbers
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"No {path}. {advice}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}). {advice}") from error
    if not text.endswith("\n"):
        raise DataError(f"{path} is cut: expected a line end after the last row. {advice}")
    types: dict[str, Any] = {"iteration": "Int64", **dict.fromkeys(_TEXT_COLUMNS, str)}
    try:
        table = pd.read_csv(io.StringIO(text), dtype=types)
    except ValueError as error:  # pandas' ParserError and EmptyDataError are of this kind
        raise DataError(
            f"{path} is not a table with the columns {', '.join(columns)} ({error}). {advice}"
        ) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the surplus for an index
        raise DataError(f"{path} has more values in a row than columns. {advice}")
    missing = [column for column in columns if column not in table]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; expected the columns "
            f"{', '.join(columns)}. {advice}"
        )
    not_numbers = [
        column
        for column in columns
        if len(table)
        and column not in _TEXT_COLUMNS
        and not pd.api.types.is_numeric_dtype(table[column])
    ]
    if not_numbers:
        raise DataError(f"{path} has text in {', '.join(not_numbers)}, expected numbers. {advice}")
    texts = [column for column in _TEXT_COLUMNS if column in table]
    table[texts] = table[texts].fillna("")
    return table


def _title(group: str) -> str:
    return f"{group} set" if group else "All patients"


def _table(title: str, *heads: str) -> Table:
    table = Table(title=f"\n{title}", box=None, title_justify="left")
    for head in heads:
        table.add_column(head, justify="left" if head in heads[:2] else "right")
    return table


def _rows(summary: pd.DataFrame, group: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = summary[summary["set"] == group].to_dict("records")
    return rows


def whole_iteration(value: Any) -> int | None:
    """Return an iteration of a table as a number, or None where it is missing."""
    return None if pd.isna(value) else int(value)


def _add(
    table: Table,
    row: Mapping[str, Any],
    values: Sequence[str],
    published: "paper.Table",
    write_values: Callable[[tuple[float, ...]], list[str]],
    extra: str,
) -> None:
    """Add a row, and below it that of the paper: the same iteration, or else the network's last."""
    iteration = whole_iteration(row["iteration"])
    table.add_row(
        paper.PAPER_NAMES.get(row["model"], row["model"]), _thousands(iteration), *values, extra
    )
    of_paper = paper.row_of(published, row["model"], iteration)
    if of_paper:
        paper_iteration, numbers = of_paper
        cells = write_values(numbers)
        table.add_row("  paper", _thousands(paper_iteration), *cells, "", style="dim")


def _thousands(iteration: int | None) -> str:
    if iteration is None:
        return "-"
    return f"{iteration // 1000}k" if iteration % 1000 == 0 else str(iteration)


def _fixed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
