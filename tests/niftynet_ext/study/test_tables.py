"""Which row of the paper is shown below ours."""

import pandas as pd
import pytest

from niftynet_ext.core import paper
from niftynet_ext.study import tables


def summary(model, iteration, group):
    names = [
        f"{name}_{part}"
        for name in ("dice_3d", "dice_2d", "dice_tp", "msd_2d_mm", "hd95_2d_mm")
        for part in ("mean", "low", "high", "q1", "q2", "q3")
    ]
    row = {
        "model": model,
        "iteration": iteration,
        "set": group,
        **dict.fromkeys(names, 0.5),
        "fn": 1,
        "fp": 2,
        "empty_predictions": 0,
        "patients": 3,
    }
    return pd.DataFrame([row]).astype({"iteration": "Int64"})


def cells(table):
    return [[column._cells[k] for column in table.columns] for k in range(table.row_count)]


@pytest.mark.parametrize(
    "iteration, in_paper",
    [(20_000, 20_000), (60_000, 60_000), (None, 60_000), (850, 60_000)],
)
def test_the_same_iteration_or_the_last(iteration, in_paper):
    for group, rows in (("Training", paper.TABLE_1), ("Validation", paper.TABLE_2)):
        own, below = cells(
            tables.dice_table(summary("densehighres3dnet_v2", iteration, group), group)
        )
        assert own[0] == "DenseHighRes3DNet-v2" and below[:2] == [
            "  paper",
            f"{in_paper // 1000}k",
        ]
        assert list(map(float, below[2:10])) == list(rows["densehighres3dnet_v2", in_paper])


def test_the_one_row_of_table_3():
    for model, iteration in (("ensemble", None), ("highres3dnet_matched", 60_000)):
        _, below = cells(
            tables.distance_table(summary(model, iteration, "Validation"), "Validation")
        )
        (row,) = (values for (name, _), values in paper.TABLE_3.items() if name == model)
        assert list(map(float, below[2:7])) == list(row)


@pytest.mark.parametrize(
    "model, group",
    [("mine", "Validation"), ("densehighres3dnet_v1", "Inference"), ("densehighres3dnet_v1", "")],
)
def test_nothing_where_the_paper_has_no_number(model, group):
    for make in (tables.dice_table, tables.distance_table):
        assert len(cells(make(summary(model, 60_000, group), group))) == 1


def test_only_the_telling_tests_are_shown():
    tests = pd.DataFrame(
        [
            {
                "set": "Validation",
                "measure": "dice_3d",
                "first": "a",
                "second": "b",
                "patients": 9,
                "mean_difference": 0.1,
                "p": k / 100,
                "p_holm": 1.0,
            }
            for k in range(40, 0, -1)
        ]
    )
    shown = cells(tables.comparison_table(tests, rows=3))
    assert [row[6] for row in shown] == ["0.01", "0.02", "0.03"]
    assert len(cells(tables.comparison_table(tests[:5], rows=5))) == 5
