"""Checks of a ``train`` or ``inference`` before its graph is built: settings and names.

Each mistake is one :class:`~niftynet_ext.core.messages.RefusedError`; what may be meant so is a
line that begins with ``[check]``. Lists of files and split:
:mod:`.preflight_lists`; the images and labels themselves: :mod:`.preflight_files`.
"""

import configparser
import importlib
import os
import tempfile

import tensorflow as tf
from niftynet.engine import application_factory as factories
from niftynet.layer.activation import SUPPORTED_OP as ACTIVATIONS
from niftynet.utilities.util_common import set_cuda_device

from niftynet_ext.checks.preflight_keys import check_our_keys
from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import check_known, did_you_mean, say, some

LOSSES = {
    "net_segment": factories.SUPPORTED_LOSS_SEGMENTATION,
    "net_regress": factories.SUPPORTED_LOSS_REGRESSION,
    "net_autoencoder": factories.SUPPORTED_LOSS_AUTOENCODER,
    "net_gan": factories.SUPPORTED_LOSS_GAN,
    "net_classify": factories.SUPPORTED_LOSS_CLASSIFICATION,
}


def check_settings(workflow, inputs, training):
    """What can be told from the ini file alone.

    :param workflow: NiftyNet's dict of section to parameters
    :param inputs: NiftyNet's dict of input section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: the first mistake
    """
    system = workflow["SYSTEM"]
    # CUDA reads it once, when TensorFlow first looks for cards; NiftyNet would set it later
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


def check_writable(folder):
    """
    :param folder: path that need not exist yet
    :raises RefusedError: it cannot be made, or nothing can be written there
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


def check_start(model_dir, iteration, key):
    """
    :param model_dir: NiftyNet's model folder
    :param iteration: checkpoint to start from; -1 takes the latest
    :param key: where the number stands; 0 as ``starting_iter`` initialises
    :raises RefusedError: no such checkpoint
    """
    whole = checkpoints.whole(model_dir)
    if iteration == 0 and key == "starting_iter":
        if whole:
            say(
                f"{model_dir} holds checkpoints up to iteration {whole[-1]}; starting_iter = 0 "
                f"begins anew and writes over them; -1 goes on from the latest"
            )
    elif not whole:
        raise RefusedError(
            f"{key} = {iteration}: {model_dir} has no whole checkpoint; train "
            f"first, from starting_iter = 0, or correct model_dir"
        )
    elif iteration >= 0 and iteration not in whole:
        raise RefusedError(
            f"{key} = {iteration}: no whole checkpoint of that iteration in "
            f"{model_dir}; there are: {some(whole)}"
        )


def check_gpus(wanted, cuda_devices):
    """
    :param wanted: ``num_gpus``
    :param cuda_devices: ``cuda_devices``
    :raises RefusedError: a GPU was asked for by more than NiftyNet's default, and there is none
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
        f"(num_gpus = 0 says so without this line)"
    )


def check_names(workflow, training):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: a network, loss, ... of that name does not exist; names the nearest
    """
    application = getattr(workflow.get("CUSTOM"), "name", "")
    table = {path: short for short, path in factories.SUPPORTED_APP.items()}
    losses = LOSSES.get(table.get(application, application))
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
            find(f"[{section}] {key}", name, known)
    activation = getattr(workflow.get("NETWORK"), "activation_function", None)
    if activation:
        check_known("[NETWORK] activation_function", activation, ACTIVATIONS)


def find(where, name, known):
    """
    :param where: section and key, for the message
    :param name: short name, or dotted path of a class or function
    :param known: dict of short name to dotted path
    :return: what the name stands for
    :raises RefusedError: there is no such thing
    """
    path = known.get(name, name)
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        raise RefusedError(f"{where} = {name} does not exist: {did_you_mean(name, known)}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RefusedError(
            f"{where} = {name} cannot be imported: {error}. A module of your own is "
            f"looked up in PYTHONPATH"
        ) from error
    if not hasattr(module, attribute):
        raise RefusedError(
            f"{where} = {name}: {module_name} has no {attribute!r}: "
            f"{did_you_mean(attribute, [n for n in vars(module) if n[0] != '_'])}"
        )
    return getattr(module, attribute)


def check_inputs(workflow, inputs):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :param inputs: NiftyNet's dict of input section to parameters
    :raises RefusedError: the application names an input section that is not there, or a csv file
        that does not exist
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
                f"[{section}] csv_file = {wanted} does not exist, neither from here "
                f"({os.getcwd()}) nor from the ini file's folder. Write it "
                f"(`python -m data_prep preprocess`), or correct the path"
            )
