"""The paper's numbers against the paper's text."""

import re

import pytest

from niftynet_ext.core import paper


@pytest.fixture(scope="module")
def text(shared):
    return (shared / "paper.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("number, table", [(1, paper.TABLE_1), (2, paper.TABLE_2)])
def test_dice_tables(text, number, table):
    part = text[text.index(f"Table {number}:") :]
    rows = re.findall(r"^([\w-]*)\t(\d+)k((?:\t[\d.]+){8})$", part, re.M)[:12]
    expected, name = {}, ""
    for model, thousands, values in rows:
        name = model or name
        expected[name, int(thousands) * 1000] = tuple(map(float, values.split()))
    assert {
        (paper.PAPER_NAMES[name], iteration): values for (name, iteration), values in table.items()
    } == expected and len(rows) == 12


def test_distance_table(text):
    rows = re.findall(
        r"^([\w-]+)\t(\d+k|-)((?:\t[\d.]+){5})$", text[text.index("Table 3:") :], re.M
    )
    expected = {
        (name, int(text[:-1]) * 1000 if text != "-" else None): tuple(map(float, values.split()))
        for name, text, values in rows
    }
    assert {
        (paper.PAPER_NAMES[name], iteration): values
        for (name, iteration), values in paper.TABLE_3.items()
    } == expected and len(rows) == 4


def test_the_row_beside_ours_is_of_the_same_iteration_or_the_networks_last():
    table = paper.DISTANCE_TABLES["Validation"]
    assert paper.row_of(paper.TABLE_1, "densehighres3dnet_v1", 30_000)[1][0] == 0.616
    found, numbers = paper.row_of(paper.TABLE_1, "densehighres3dnet_v1", 700)
    assert (found, numbers[0]) == (60_000, 0.680)
    assert paper.row_of(table, "ensemble", None)[1][0] == 0.662
    assert paper.row_of(table, "somebody_else", 60_000) is None
