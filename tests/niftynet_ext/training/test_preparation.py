"""What a training notes of its images: the parameters beside the lists that it read."""

import json
from types import SimpleNamespace

from data_prep.core import files
from niftynet_ext.training import preparation

PARAMETERS = {"reduce": 2, "spacing_mm": [1.0, 1.0, 3.0], "method": "antialiased", "seed": 4}


def test_it_is_copied_from_the_manifest_and_removed_where_there_is_none(tmp_path):
    files.write_json(tmp_path / "data/manifest.json", {"parameters": PARAMETERS, "patients": []})
    (tmp_path / "other").mkdir()

    def inputs(*folders):
        return {name: SimpleNamespace(csv_file=str(tmp_path / name / "ct.csv")) for name in folders}

    model_dir = tmp_path / "model"
    preparation.note(model_dir, inputs("other", "data"))
    noted = json.loads((model_dir / "preprocess.json").read_text())
    assert noted == {key: PARAMETERS[key] for key in ("reduce", "spacing_mm", "method")}
    preparation.note(model_dir, inputs("other") | {"empty": SimpleNamespace(csv_file="")})
    assert list(model_dir.iterdir()) == []
