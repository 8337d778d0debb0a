"""``best.json``: which checkpoint is the best so far, and its Dice. Imports no TensorFlow.

The folder of the best network is a NiftyNet model folder with this file in it.
"""

from pathlib import Path

from data_prep.core.contracts import Contract, NewerSchemaError
from data_prep.core.errors import DataError
from niftynet_ext.core import checkpoints

BEST_RECORD_FILE = "best.json"
"""Name of the file in the folder of the best network."""

ADVICE = "Train with the event handler best_checkpoint to write it."


class BestRecord(Contract):
    """The best network so far, by mean Dice over the whole volumes of the validation set."""

    iteration: int
    """Training iteration of the checkpoint."""
    dice: float
    """Mean foreground Dice over the validation set."""
    subjects: dict[str, float]
    """Foreground Dice of each subject, by its id."""
    checkpoint: str
    """Path of the checkpoint without its ending, from the folder of the best network."""


def write_best(folder: Path, record: BestRecord) -> None:
    """Write the record of the best network.

    :param folder: model folder of the best network
    :raises OSError: the file cannot be written
    """
    record.write(folder / BEST_RECORD_FILE)


def read_best(folder: Path) -> BestRecord:
    """Read the record of the best network.

    :param folder: model folder of the best network
    :raises DataError: the record is absent, damaged or of a newer schema, or its checkpoint is not
        complete
    """
    record = BestRecord.read(folder / BEST_RECORD_FILE, ADVICE)
    if record.iteration not in checkpoints.whole(folder):
        raise DataError(
            f"{folder / BEST_RECORD_FILE} names {record.checkpoint}, which is absent or incomplete "
            f"in {folder}. {ADVICE}"
        )
    return record


def best_so_far(folder: Path) -> BestRecord | None:
    """Return the record that a resumed training has to beat.

    :param folder: model folder of the best network
    :return: None where there is no record with a complete checkpoint
    :raises NewerSchemaError: a newer version of this software wrote the record; training here would
        overwrite it
    """
    try:
        return read_best(folder)
    except NewerSchemaError:
        raise
    except DataError:
        return None
