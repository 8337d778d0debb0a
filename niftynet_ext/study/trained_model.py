"""A trained NiftyNet model as a folder: what it was trained with, its checkpoint, its inference.

The folder alone is enough: ``settings_training.txt``, which NiftyNet writes there, holds all keys
of the ini file and flags of the training. Nothing is written into it. NiftyNet runs in a separate
process: this module never imports it.
"""

import ast
import configparser
import re
from dataclasses import dataclass
from pathlib import Path

from data_prep.core import files, predictions
from data_prep.core.errors import DataError
from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RoundsError
from niftynet_ext.study import rounds
from niftynet_ext.training import preparation
from niftynet_ext.training.preparation import Preparation

SETTINGS = "settings_training.txt"
"""What NiftyNet notes of a training, in the model folder."""

_NETWORK_KEYS = (
    "name",
    "activation_function",
    "decay",
    "reg_type",
    "keep_prob",
    "weight_initializer",
    "bias_initializer",
    "mixed_precision",
    "volume_padding_size",
    "volume_padding_mode",
    "volume_padding_to_size",
    "whitening",
    "rgb_normalisation",
    "normalise_foreground_only",
    "foreground_type",
    "multimod_foreground_type",
    "normalisation",
    "norm_type",
    "cutoff",
)
_IMAGE_KEYS = ("interp_order", "pixdim", "axcodes")
_INFERENCE_KEYS = ("spatial_window_size", "border")


@dataclass(frozen=True)
class TrainedModel:
    """One checkpoint of a training: the model's folder, the iteration, and the settings."""

    folder: Path
    iteration: int
    settings: dict[str, dict[str, str]]
    """Values by section and key, as an ini file has them."""

    @property
    def network(self) -> str:
        """Return the network's name in the ini file."""
        return self.settings["NETWORK"]["name"]

    def sha256(self) -> str:
        """Return the SHA-256 of the checkpoint's weights."""
        return checkpoints.sha256(self.folder, self.iteration)

    def preparation(self) -> Preparation | None:
        """Return how the training's images were prepared, or None where that is not noted.

        :raises DataError: the note is damaged, or of a newer schema.
        """
        return preparation.read(self.folder)


def open_model(text: str) -> TrainedModel:
    """Open a model folder at its last checkpoint, or at that of ``FOLDER@ITERATION``.

    :param text: ``FOLDER`` or ``FOLDER@ITERATION``.
    :raises DataError: the folder is not a trained model, or lacks the checkpoint.
    """
    match = re.fullmatch(r"(.+?)@(\d+)", text)
    folder = Path(match[1] if match else text)
    saved = checkpoints.whole(folder)
    if not saved:
        raise DataError(
            f"--model {folder}: expected the folder of a trained model, found no checkpoint "
            "models/model.ckpt-*.index in it. Give the model_dir of the training's ini file."
        )
    iteration = int(match[2]) if match else saved[-1]
    if iteration not in saved:
        raise DataError(
            f"--model {folder}: no checkpoint of iteration {iteration}; found "
            f"{', '.join(map(str, saved))}."
        )
    return TrainedModel(folder.resolve(), iteration, read_settings(folder / SETTINGS))


def read_settings(path: Path) -> dict[str, dict[str, str]]:
    """Read what NiftyNet notes of a training: ``[SECTION]`` and ``-- key: value`` lines.

    :param path: NiftyNet's ``settings_training.txt``.
    :return: values by section and key as an ini file has them; keys without a value are left out.
    :raises DataError: the file is absent, or not of a segmentation.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(
            f"No {path} ({error.strerror}). NiftyNet writes it when it trains; copy it with the "
            "models folder."
        ) from error
    settings: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in lines:
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = settings.setdefault(match[1], {})
        elif match := re.fullmatch(r"-- (\w+): (.*)", line):
            value = _as_in_ini(match[2].strip())
            if value:
                section[match[1]] = value
    if "NETWORK" not in settings or "image" not in settings.get("CUSTOM", {}):
        raise DataError(
            f"{path} is not from a segmentation by NiftyNet: it names no network or no image. Give "
            "the model_dir of the training's ini file."
        )
    return settings


def _as_in_ini(value: str) -> str:
    """Return a value that NiftyNet printed as a Python tuple as the list an ini file has."""
    if value.startswith("("):
        return ", ".join(map(str, ast.literal_eval(value)))
    return "" if value == "None" else value


def infer(model: TrainedModel, images_csv: Path, work_dir: Path, windows: str) -> dict[str, Path]:
    """Run ``net_segment inference`` on a list of images.

    :param model: the checkpoint to use.
    :param images_csv: NiftyNet's list ``id,path`` of coarse CTs.
    :param work_dir: an empty folder for the ini file, the log and the outputs.
    :param windows: one of :data:`niftynet_ext.core.choices.INFERENCE_WINDOWS`.
    :return: the probability map of each id.
    :raises DataError: NiftyNet failed; the message quotes its log.
    """
    files.make_folder(work_dir)
    (work_dir / "models").symlink_to(model.folder / "models", target_is_directory=True)
    ini, log = work_dir / "inference.ini", work_dir / "inference.log"
    with ini.open("w", encoding="utf-8") as stream:
        _inference_ini(model, images_csv.resolve(), work_dir.resolve(), windows).write(stream)
    try:
        rounds.run_command(["net_segment", "inference", "-c", str(ini)], log)
    except RoundsError as error:
        raise DataError(str(error)) from error
    output = work_dir / "output"
    found = predictions.find(output) if output.is_dir() else {}
    if not found:  # NiftyNet ends with exit code 0 when a session fails
        causes = rounds.causes_in(log.read_text(encoding="utf-8", errors="replace"))
        raise DataError(
            f"--model {model.folder}: net_segment inference wrote no output: {'; '.join(causes)}. "
            "Fix this problem; `net_segment inference` with the training's ini file shows more."
        )
    return found


def _inference_ini(
    model: TrainedModel, images_csv: Path, work_dir: Path, windows: str
) -> configparser.ConfigParser:
    """Return the ini file of an inference on all images of a list."""
    settings = model.settings
    image = settings["CUSTOM"]["image"]
    training = settings.get("INFERENCE", {})
    window = training.get("spatial_window_size") or settings[image]["spatial_window_size"]
    ini = configparser.ConfigParser(interpolation=None)
    ini[image] = _chosen(settings[image], _IMAGE_KEYS) | {
        "csv_file": str(images_csv),
        "spatial_window_size": window,
    }
    ini["SYSTEM"] = _chosen(settings["SYSTEM"], ("num_gpus", "num_threads", "event_handler")) | {
        "model_dir": str(work_dir),
    }
    ini["NETWORK"] = _chosen(settings["NETWORK"], _NETWORK_KEYS) | {"batch_size": "1"}
    if settings["NETWORK"].get("normalisation") == "True":
        histogram = model.folder / settings["NETWORK"]["histogram_ref_file"]
        ini["NETWORK"]["histogram_ref_file"] = str(histogram)
    ini["INFERENCE"] = _chosen(training, _INFERENCE_KEYS) | {
        "inference_iter": str(model.iteration),
        "dataset_to_infer": "all",
        "inference_windows": windows,
        "save_seg_dir": str(work_dir / "output"),
        "output_interp_order": "1",
    }
    ini["SEGMENTATION"] = {
        "image": image,
        "num_classes": settings["CUSTOM"]["num_classes"],
        "output_prob": "True",
        "softmax": settings["CUSTOM"].get("softmax", "True"),
        "label_normalisation": "False",
    }
    return ini


def _chosen(section: dict[str, str], keys: tuple[str, ...]) -> dict[str, str]:
    return {key: section[key] for key in keys if key in section}
