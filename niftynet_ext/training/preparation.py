"""Note in a model folder how its training's images were prepared, for whoever infers on new ones.

A network knows one voxel size and one way to resample; NiftyNet notes neither.
"""

from pathlib import Path

from data_prep.core import files
from data_prep.core.errors import DataError

RECORD = "preprocess.json"
"""File in the model folder: the entries :data:`KEYS` of the manifest's parameters."""

KEYS = ("reduce", "spacing_mm", "method")


def note(model_dir, inputs):
    """Copy the parameters from the manifest beside the first list of images or labels that has one.

    Where there is none (the data are not of ``data_prep preprocess``), an earlier note is removed.

    :param model_dir: NiftyNet's model folder
    :param inputs: NiftyNet's dict of input section to parameters
    """
    path = Path(model_dir, RECORD)
    lists = (getattr(section, "csv_file", "") for section in inputs.values())
    for folder in dict.fromkeys(Path(one).expanduser().parent for one in lists if one):
        try:
            parameters = files.read_manifest(folder)["parameters"]
            files.write_json(path, {key: parameters[key] for key in KEYS})
            return
        except (DataError, KeyError, TypeError):
            continue
    path.unlink(missing_ok=True)
