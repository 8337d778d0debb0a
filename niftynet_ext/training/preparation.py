"""Note in a model folder how the images of its training were prepared, for later inference.

A network knows one voxel size and one way to resample; NiftyNet notes neither. The note,
``preprocess.json``, is read and written here only.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.cohort.manifest import ParametersRecord, read_manifest
from data_prep.core.contracts import Contract
from data_prep.core.errors import DataError

if TYPE_CHECKING:
    from data_prep.cohort.job import Parameters

PREPARATION = "preprocess.json"
"""The file of a :class:`Preparation`, in the model folder."""

_ADVICE = "Remove it, and give --reduce or --spacing, and --method as in the training's preprocess."


class Preparation(Contract):
    """How the images of a training were made of the CTs.

    The fields are those of :class:`data_prep.cohort.job.Parameters`: the in-plane factor, the voxel
    size (x, y, z) that replaces it if not None, and the way the CT is resampled.
    """

    reduce: int
    spacing_mm: tuple[float, float, float] | None
    method: str

    @classmethod
    def of(cls, parameters: "Parameters | ParametersRecord") -> "Preparation":
        """Return the part of the parameters of ``preprocess`` that a network depends on."""
        return cls(
            reduce=parameters.reduce, spacing_mm=parameters.spacing_mm, method=parameters.method
        )

    def as_options(self) -> str:
        """Return the options of ``preprocess`` that ask for it."""
        grid = f"--reduce {self.reduce}"
        if self.spacing_mm is not None:
            grid = "--spacing " + " ".join(f"{mm:g}" for mm in self.spacing_mm)
        return f"{grid} --method {self.method}"


def note(model_dir: str | Path, inputs: dict[str, Any]) -> None:
    """Copy the preparation from the manifest beside the first list of images or labels with one.

    Where there is none (the data are not of ``preprocess``), an earlier note is removed.

    :param model_dir: NiftyNet's model folder.
    :param inputs: NiftyNet's dict of input section to parameters.
    """
    path = Path(model_dir, PREPARATION)
    lists = (getattr(section, "csv_file", "") for section in inputs.values())
    for folder in dict.fromkeys(Path(name).expanduser().parent for name in lists if name):
        try:
            manifest = read_manifest(folder)
        except DataError:
            continue
        Preparation.of(manifest.parameters).write(path)
        return
    path.unlink(missing_ok=True)


def read(model_dir: Path) -> Preparation | None:
    """Read the note in a model folder; None where there is none.

    :param model_dir: NiftyNet's model folder.
    :raises DataError: the note is damaged, or of a newer schema.
    """
    path = model_dir / PREPARATION
    return Preparation.read(path, _ADVICE) if path.exists() else None
