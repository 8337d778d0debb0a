"""What a training notes of its images: the parameters beside the lists that it read."""

import json
from types import SimpleNamespace

import pytest

from data_prep.cohort.job import Parameters
from data_prep.core.errors import DataError
from niftynet_ext.training import preparation
from niftynet_ext.training.preparation import PREPARATION, Preparation
from tests.support.manifests import write_manifest_of

NOTED = Preparation(reduce=2, spacing_mm=(1.0, 1.0, 3.0), method="antialiased")


def test_it_is_copied_from_the_manifest_and_removed_where_there_is_none(tmp_path):
    parameters = Parameters(spacing_mm=(1.0, 1.0, 3.0), method="antialiased", seed=4)
    write_manifest_of(tmp_path / "data", [], parameters=parameters)
    (tmp_path / "other").mkdir()

    def inputs(*folders):
        return {name: SimpleNamespace(csv_file=str(tmp_path / name / "ct.csv")) for name in folders}

    model_dir = tmp_path / "model"
    preparation.note(model_dir, inputs("other", "data"))
    assert preparation.read(model_dir) == NOTED
    assert json.loads((model_dir / PREPARATION).read_text()) == {
        "schema_version": 1,
        "reduce": 2,
        "spacing_mm": [1.0, 1.0, 3.0],
        "method": "antialiased",
    }
    preparation.note(model_dir, inputs("other") | {"empty": SimpleNamespace(csv_file="")})
    assert list(model_dir.iterdir()) == []
    assert preparation.read(model_dir) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 2, "grid": []}', "has schema_version 2, expected at most 1.*Update"),
        (
            '{"reduce": 2, "spacing_mm": null, "method": "cubic"}',
            "has schema_version None, expected 1",
        ),
        ('{"schema_version": 1, "reduce": 2', "is damaged"),
        ('{"schema_version": 1, "reduce": "two", "spacing_mm": null, "method": "c"}', "is damaged"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_its_path(tmp_path, text, message):
    (tmp_path / PREPARATION).write_text(text)
    with pytest.raises(DataError, match=rf"preprocess\.json {message}"):
        preparation.read(tmp_path)


def test_options_ask_for_the_same_preparation():
    assert NOTED.as_options() == "--spacing 1 1 3 --method antialiased"
    reduced = Preparation.of(Parameters(reduce=3))
    assert reduced.as_options() == "--reduce 3 --method cubic"
