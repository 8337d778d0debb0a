"""Tables for people beside the paper's, and files for programs."""

import io
import json
import math
from pathlib import Path

import pandas as pd
from rich.table import Table

from data_prep.core import files
from data_prep.core.identity import RESEARCH_USE
from niftynet_ext.core import paper
from niftynet_ext.evaluation.statistics import LEVEL, RESAMPLES

DEFINITIONS = {
    "boundary": "voxels of the mask with a face on the background: 4 neighbours in a slice, 6 in "
    "3-D; beyond the image is background",
    "slices": "TP: both masks have pixels; FN: only the reference; FP: only the prediction",
    "dice_2d": "over TP and FN slices; an FN slice scores 0",
    "dice_tp, msd_2d_mm, hd95_2d_mm": "over TP slices, each boundary in its slice",
    "msd": "mean of the two directed means (paper, eq. 7)",
    "hd95": "mean of the two directed 95th percentiles (paper, eq. 9)",
    "empty masks": "Dice3D is 0 where one mask is empty and 1 where both are; distances in 3-D are "
    "infinite where one is (inf in CSV, null in JSON; the worst in quartiles and "
    "tests) and 0 where both are; a patient without a TP slice has no distance in "
    "2-D (empty in CSV, null in JSON), its slices are among fn and fp; patients "
    "with an empty mask are counted",
    "lesions": "components connected by faces, edges or corners; found where at least 10 % of the "
    "voxels are predicted; false where less than 10 % of a finding's are in the "
    "reference",
    "low, high": f"bounds of the mean: {LEVEL:.0%}, {RESAMPLES} resamples of patients with all "
    f"their slices, percentile method",
    "p_holm": "Wilcoxon's signed-rank test, two-sided, Holm over all tests of a set",
}


def dice_table(cohort, group):
    """Dice3D and Dice2D, ours above the paper's (tables 1 and 2).

    :param cohort: DataFrame of :func:`~.cohort.summarise`
    :param group: name of the set
    :return: rich table
    """
    parts = [
        f"{name}_{part}" for name in ("dice_3d", "dice_2d") for part in ("mean", "q1", "q2", "q3")
    ]
    number = {"Training": "; paper: table 1", "Validation": "; paper: table 2"}.get(group, "")
    heads = ("Dice3D mean", "Q1", "Q2", "Q3", "Dice2D mean", "Q1", "Q2", "Q3")
    table = _table(f"{_title(group)}{number}", "Model", "Iterations", *heads, "95 % of Dice3D")
    published = paper.DICE_TABLES.get(group, {})
    for row in _rows(cohort, group):
        _add(
            table,
            row,
            [_fixed(row[part]) for part in parts],
            published,
            lambda values: [_fixed(value) for value in values],
            f"{_fixed(row['dice_3d_low'])} to {_fixed(row['dice_3d_high'])}",
        )
    return table


def distance_table(cohort, group):
    """Dice, MSD and 95 % HD of TP slices, and numbers of FN and FP slices (table 3).

    :param cohort: DataFrame of :func:`~.cohort.summarise`
    :param group: name of the set
    :return: rich table
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
    for row in _rows(cohort, group):
        values = [_fixed(row[f"{name}_mean"]) for name in ("dice_tp", "msd_2d_mm", "hd95_2d_mm")]
        _add(
            table,
            row,
            [*values, str(row["fn"]), str(row["fp"])],
            published,
            lambda theirs: [*map(_fixed, theirs[:3]), *map(str, theirs[3:])],
            f"{row['empty_predictions']} of {row['patients']} patients",
        )
    return table


def comparison_table(tests, rows=12):
    """
    :param tests: DataFrame of :func:`~.cohort.compare`
    :param rows: number of tests to show, those of smallest p
    :return: rich table
    """
    title = f"Wilcoxon's signed-rank test, adjusted by Holm for {len(tests)} tests"
    if len(tests) > rows:
        title += f"; the {rows} of smallest p"
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


def write(folder, cohort, patients, by_slice, tests, **about):
    """Write ``cohort.csv``, ``patients.csv``, ``slices.csv``, ``tests.csv`` and all of it in
    ``evaluation.json``.

    :param folder: where to
    :param about: further entries of the JSON file
    """
    folder = Path(folder)
    files.make_folder(folder)
    tables = {"cohort": cohort, "patients": patients, "slices": by_slice, "tests": tests}
    for name, table in tables.items():
        text = io.StringIO()
        table.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
        files.write_bytes(folder / f"{name}.csv", text.getvalue().encode())
    records = {
        name: [
            {key: _json(value) for key, value in row.items()} for row in table.to_dict("records")
        ]
        for name, table in tables.items()
    }
    about = {
        "notice": RESEARCH_USE,
        "software": files.versions(),
        **about,
        "definitions": DEFINITIONS,
    }
    content = json.dumps({**about, **records}, indent=1, allow_nan=False, ensure_ascii=False)
    files.write_bytes(folder / "evaluation.json", content.encode())


def read(folder):
    """Read what :func:`write` wrote.

    :return: dict of DataFrames: cohort, patients, slices, tests
    """
    words = ("model", "set", "id", "empty")
    kinds = {"iteration": "Int64", **dict.fromkeys(words, str)}
    found = {}
    for name in ("cohort", "patients", "slices", "tests"):
        path = Path(folder) / f"{name}.csv"
        if path.stat().st_size > 1:  # a lone line end: no test was made
            table = pd.read_csv(path, dtype=kinds)
            used = [word for word in words if word in table]
            table[used] = table[used].fillna("")
            found[name] = table
        else:
            found[name] = pd.DataFrame()
    return found


def _title(group):
    return f"{group} set" if group else "All patients"


def _table(title, *heads):
    table = Table(title=f"\n{title}", box=None, title_justify="left")
    for head in heads:
        table.add_column(head, justify="left" if head in heads[:2] else "right")
    return table


def _rows(cohort, group):
    return cohort[cohort["set"] == group].to_dict("records")


def _add(table, row, values, published, write_values, extra):
    """Our row; below it the paper's of the same network, of the same iteration or else its last."""
    iteration = None if pd.isna(row["iteration"]) else int(row["iteration"])
    table.add_row(
        paper.PAPER_NAMES.get(row["model"], row["model"]), _thousands(iteration), *values, extra
    )
    theirs = paper.row_of(published, row["model"], iteration)
    if theirs:
        table.add_row("  paper", _thousands(theirs[0]), *write_values(theirs[1]), "", style="dim")


def _thousands(iteration):
    if iteration is None:
        return "-"
    return f"{iteration // 1000}k" if iteration % 1000 == 0 else str(iteration)


def _fixed(value):
    return "-" if math.isnan(value) else f"{value:.3f}"


def _json(value):
    """A value that strict JSON has: null for what is missing or infinite."""
    if isinstance(value, str):
        return value
    if pd.isna(value) or math.isinf(value):
        return None
    return value if isinstance(value, float) else int(value)
