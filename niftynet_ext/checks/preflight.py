"""Checks of a ``train`` or ``inference`` before its graph is built: settings and names.

Each mistake is one :class:`~niftynet_ext.core.errors.RefusedError`; what may be intended is a
warning, a line that begins with ``[check]``. Lists of files and split: :mod:`.preflight_lists`; the
images: :mod:`.preflight_files`; the labels: :mod:`.preflight_labels`.
"""

import configparser
import importlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from niftynet.engine import application_factory as factories
from niftynet.layer.activation import SUPPORTED_OP as ACTIVATIONS
from niftynet.utilities.util_common import set_cuda_device

from niftynet_ext.checks.preflight_keys import check_our_keys
from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import check_known, did_you_mean, say, some

# NiftyNet is untyped: its objects (parameters, modules) are Any

LOSSES_OF_APPLICATION = {
    "net_segment": factories.SUPPORTED_LOSS_SEGMENTATION,
    "net_regress": factories.SUPPORTED_LOSS_REGRESSION,
    "net_autoencoder": factories.SUPPORTED_LOSS_AUTOENCODER,
    "net_gan": factories.SUPPORTED_LOSS_GAN,
    "net_classify": factories.SUPPORTED_LOSS_CLASSIFICATION,
}
"""NiftyNet's tables of losses (name to dotted path), by application."""


def check_settings(workflow: Any, inputs: Any, training: bool) -> None:
    """Check what the ini file alone can show.

    :param workflow: NiftyNet's dict of section to parameters
    :param inputs: NiftyNet's dict of input section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: the first mistake
    """
    system = workflow["SYSTEM"]
    # CUDA reads this once, when TensorFlow first looks for GPUs; NiftyNet would set it later
    set_cuda_device(getattr(system, "cuda_devices", ""))
    check_gpus(getattr(system, "num_gpus", 0), getattr(system, "cuda_devices", ""))
    check_names(workflow, training)
    check_inputs(workflow, inputs or {})
    check_our_keys(workflow, training)
    if training:
        checkpoints.tidy(system.model_dir)
        check_start(system.model_dir, workflow["TRAINING"].starting_iter, "starting_iter")
    elif workflow.get("INFERENCE"):
        inference = workflow["INFERENCE"]
        check_start(system.model_dir, inference.inference_iter, "inference_iter")
        check_writable(getattr(inference, "save_seg_dir", None) or system.model_dir)


def check_writable(folder: str) -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written.

    :param folder: path that need not exist yet
    :raises RefusedError: with the reason
    """
    folder = os.path.expanduser(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RefusedError(
            f"nothing can be written to {folder}: {error.strerror}. Change model_dir or "
            f"save_seg_dir, or the permissions of that folder"
        ) from error


def check_start(model_dir: str, iteration: int, key: str) -> None:
    """Refuse to start from a checkpoint that does not exist.

    :param model_dir: NiftyNet's model folder
    :param iteration: checkpoint to start from; -1 takes the latest
    :param key: name of the key that has the number; 0 as ``starting_iter`` initialises
    :raises RefusedError: no such checkpoint
    """
    whole = checkpoints.whole(model_dir)
    if iteration == 0 and key == "starting_iter":
        if whole:
            say(
                f"{model_dir} has checkpoints up to iteration {whole[-1]}; starting_iter = 0 "
                f"starts again and overwrites them; -1 would resume from the latest"
            )
    elif not whole:
        raise RefusedError(
            f"{key} = {iteration}: {model_dir} has no complete checkpoint. Train first, with "
            f"starting_iter = 0, or correct model_dir"
        )
    elif iteration >= 0 and iteration not in whole:
        raise RefusedError(
            f"{key} = {iteration}: {model_dir} has no complete checkpoint of that iteration. "
            f"Choose one of: {some(whole)}"
        )


def check_gpus(wanted: int, cuda_devices: str) -> None:
    """Check that TensorFlow sees a GPU where the user asks for one.

    ``num_gpus = 1`` alone is NiftyNet's default and only a reason for a warning.

    :param wanted: ``num_gpus``
    :param cuda_devices: ``cuda_devices``
    :raises RefusedError: several GPUs, or certain ones, are asked for, and there is none
    """
    if wanted < 1 or tf.config.experimental.list_physical_devices("GPU"):
        return
    if wanted > 1 or cuda_devices:
        devices = f" and cuda_devices = {cuda_devices}" if cuda_devices else ""
        raise RefusedError(
            f"num_gpus = {wanted}{devices}, but TensorFlow {tf.__version__} sees no GPU. "
            f"Install tensorflow[and-cuda] and check nvidia-smi, or set num_gpus = 0"
        )
    say(
        f"num_gpus = {wanted}, but TensorFlow {tf.__version__} sees no GPU: this runs on the CPU "
        f"(set num_gpus = 0 to avoid this warning)"
    )


def check_names(workflow: Any, training: bool) -> None:
    """Check the names of network, loss, optimiser and so on.

    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: nothing of that name exists; the message has the nearest name
    """
    application = getattr(workflow.get("CUSTOM"), "name", "")
    table = {path: short for short, path in factories.SUPPORTED_APP.items()}
    losses = LOSSES_OF_APPLICATION.get(table.get(application, application))
    names = [
        ("NETWORK", "name", factories.SUPPORTED_NETWORK),
        ("NETWORK", "weight_initializer", factories.SUPPORTED_INITIALIZATIONS),
        ("NETWORK", "bias_initializer", factories.SUPPORTED_INITIALIZATIONS),
        ("SYSTEM", "event_handler", factories.SUPPORTED_EVENT_HANDLERS),
        ("SYSTEM", "iteration_generator", factories.SUPPORTED_ITERATION_GENERATORS),
    ]
    if training:
        names.append(("TRAINING", "optimiser", factories.SUPPORTED_OPTIMIZERS))
        if losses:
            names.append(("TRAINING", "loss_type", losses))
    for section, key, known in names:
        value = getattr(workflow.get(section), key, None)
        for name in (value,) if isinstance(value, str) else value or ():
            resolve(f"[{section}] {key}", name, known)
    activation = getattr(workflow.get("NETWORK"), "activation_function", None)
    if activation:
        check_known("[NETWORK] activation_function", activation, ACTIVATIONS)


def resolve(where: str, name: str, known: Mapping[str, str]) -> Any:
    """Return the class or function that a name stands for.

    :param where: section and key, for the message
    :param name: short name, or dotted path of a class or function
    :param known: dotted paths, by short name
    :raises RefusedError: there is no such class or function
    """
    path = known.get(name, name)
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        raise RefusedError(f"{where} = {name} does not exist: {did_you_mean(name, known)}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RefusedError(
            f"{where} = {name} cannot be imported: {error}. Python looks for your own modules in "
            f"PYTHONPATH"
        ) from error
    if not hasattr(module, attribute):
        raise RefusedError(
            f"{where} = {name}: {module_name} has no {attribute!r}: "
            f"{did_you_mean(attribute, public_names(module))}"
        )
    return getattr(module, attribute)


def public_names(module: Any) -> Iterable[str]:
    """Return the names in a module that do not begin with an underscore."""
    return [name for name in vars(module) if not name.startswith("_")]


def check_inputs(workflow: Any, inputs: Any) -> None:
    """Check the input sections: their names and their csv files.

    :param workflow: NiftyNet's dict of section to parameters
    :param inputs: NiftyNet's dict of input section to parameters
    :raises RefusedError: the application names an input section that the ini file lacks, or a csv
        file does not exist
    """
    for key, value in vars(workflow.get("CUSTOM") or object).items():
        if key in ("image", "label", "weight", "sampler") and isinstance(value, tuple):
            for section in value:
                if section not in inputs:
                    raise RefusedError(
                        f"{key} = {section}: the ini file has no section [{section}]: "
                        f"{did_you_mean(section, inputs)}"
                    )
    ini = configparser.ConfigParser(interpolation=None)
    path = getattr(workflow.get("CONFIG_FILE"), "path", None)
    if path:
        ini.read(path, encoding="utf-8")
    for section, parameters in inputs.items():
        wanted = ini.get(section, "csv_file", fallback="")
        # NiftyNet empties the key when the file is not there
        if (
            wanted
            and not getattr(parameters, "csv_file", "")
            and not getattr(parameters, "path_to_search", "")
        ):
            raise RefusedError(
                f"[{section}] csv_file = {wanted} does not exist, neither in the current folder "
                f"({os.getcwd()}) nor in the ini file's. Write it (`net_lung preprocess`), or "
                f"correct the path"
            )
