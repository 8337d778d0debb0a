from typing import ClassVar

import pytest

from data_prep.core.contracts import Contract
from data_prep.core.errors import DataError

ADVICE = "Make it again."


class Recipe(Contract):
    SCHEMA: ClassVar[int] = 2

    name: str
    grams: tuple[int, ...] = ()


class HandWritten(Contract):
    IMPLIED_SCHEMA: ClassVar[int | None] = 1

    name: str


def test_what_is_written_reads_back(tmp_path):
    path = tmp_path / "recipe.json"
    Recipe(name="bread", grams=(500, 10)).write(path)
    assert path.read_text().startswith('{\n "schema_version": 2,\n "name": "bread"')
    assert Recipe.read(path, ADVICE) == Recipe(name="bread", grams=(500, 10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"recipe.json is damaged \(.*\). Make it again."),
        ("[" * 10**6, "recipe.json is damaged"),
        ("[]", "recipe.json is damaged: expected a JSON object. Make it again."),
        ('{"name": "bread"}', "has schema_version None, expected 2. Make it again."),
        ('{"schema_version": 1, "name": "bread"}', "has schema_version 1, expected 2. Make"),
        ('{"schema_version": true, "name": "bread"}', "has schema_version True, expected 2"),
        ('{"schema_version": 3}', "schema_version 3, expected at most 2: .* Update niftynet-ext"),
        ('{"schema_version": 2}', r"is damaged \(name: Field required\). Make it again."),
        ('{"schema_version": 2, "name": "a", "colour": 1}', "colour: Extra inputs"),
        ('{"schema_version": 2, "name": "a", "grams": ["x"]}', r"grams\.0: "),
        ('{"schema_version": 2, "a": 1, "b": 2, "c": 3}', "; and 1 more"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        Recipe.read(path, ADVICE)


def test_an_absent_file(tmp_path):
    with pytest.raises(DataError, match="recipe.json does not exist. Make it again."):
        Recipe.read(tmp_path / "recipe.json", ADVICE)


def test_a_file_that_people_write_may_leave_the_schema_out(tmp_path):
    path = tmp_path / "note.json"
    for schema in ("", '"schema_version": 1, '):
        path.write_text(f'{{{schema}"name": "bread"}}')
        assert HandWritten.read(path, ADVICE) == HandWritten(name="bread")
    path.write_text('{"schema_version": 2, "name": "bread"}')
    with pytest.raises(DataError, match="expected at most 1"):
        HandWritten.read(path, ADVICE)
