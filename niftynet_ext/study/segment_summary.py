"""What ``segment`` did, as types: ``summary.json``, which is read and written here only."""

from pathlib import Path

from data_prep.cohort.manifest import Vector
from data_prep.core.contracts import Contract, Part
from niftynet_ext.training.preparation import Preparation

SUMMARY = "summary.json"
"""The file of a :class:`SegmentSummary`, in the output folder."""

_ADVICE = "Run segment again."


class SegmentedCt(Part):
    """The CT series that was segmented."""

    series_uid: str
    frame_of_reference_uid: str
    shape: tuple[int, int, int]
    spacing_mm: Vector
    warnings: tuple[str, ...]


class UsedModel(Part):
    """A checkpoint: the network's name, the iteration, and the SHA-256 of its weights."""

    network: str
    iteration: int
    sha256: str


class StepResult(Part):
    """A step of post-processing, and the volume of the mask after it."""

    step: str
    volume_ml: float


class SegmentSummary(Contract):
    """The mask in numbers, and what it was made of and with.

    ``max_probability`` is the highest on the coarse grid, ``threshold`` that above which a voxel
    belongs to the mask; ``files`` are those written beside the summary.
    """

    notice: str
    label: str
    voxels: int
    volume_ml: float
    max_probability: float
    threshold: float
    ct: SegmentedCt
    models: tuple[UsedModel, ...]
    software: dict[str, str]
    files: tuple[str, ...]
    prepared: Preparation
    windows: str
    steps: tuple[StepResult, ...]
    warnings: tuple[str, ...]


def read_summary(out_dir: Path) -> SegmentSummary:
    """Read the summary in a folder that ``segment`` wrote.

    :raises DataError: it is absent, damaged, or of a newer schema.
    """
    return SegmentSummary.read(out_dir / SUMMARY, _ADVICE)


def write_summary(summary: SegmentSummary, out_dir: Path) -> None:
    """Write the summary, whole or not at all."""
    summary.write(out_dir / SUMMARY)
