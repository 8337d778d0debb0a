"""``train_summary.json``: what a training did, as a type. Imports no TensorFlow."""

from data_prep.core.contracts import Contract, Part

SUMMARY_FILE = "train_summary.json"
"""Name of the file in the model folder."""


class BestCheckpointSummary(Part):
    """The best checkpoint of the training: iteration and mean validation Dice."""

    iteration: int
    dice: float


class TrainingSummary(Contract):
    """What a training did; None where a value is unknown or not finite."""

    network: str
    """Name of the network in the ini file."""
    loss_type: str | None
    first_iteration: int
    last_iteration: int
    finished: bool
    """Whether the last iteration asked for was reached."""
    seconds: float
    """Wall time from the start of the program's event handlers to the end."""
    seconds_per_iteration: float
    data_wait_share: float | None
    """Share of the steps' time spent on waiting for data."""
    loss: float | None
    """Loss of the last iteration."""
    loss_mean: float | None
    """Moving average of the loss."""
    loss_mean_lowest: float | None
    checkpoint: int | None
    """Iteration of the latest complete checkpoint."""
    best_checkpoint: BestCheckpointSummary | None
    seed: int | None
    versions: dict[str, str]
    """Versions of this project, NiftyNet, TensorFlow, NumPy and Python."""
