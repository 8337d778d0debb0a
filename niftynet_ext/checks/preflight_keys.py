"""Checks of the ini keys that this project adds to NiftyNet's: each alone, and with its like."""

import math

from niftynet.engine.application_factory import ApplicationNetFactory

from niftynet_ext.core.choices import (
    GAUSSIAN,
    GRID,
    INFERENCE_WINDOWS,
    OFF,
    PRECISIONS,
    UNIFORM_FAST,
)
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import check_known

SEGMENTATION = (
    "net_segment",
    "niftynet.application.segmentation_application.SegmentationApplication",
)


def check_our_keys(workflow, training):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: the first mistake
    """
    check_choices(workflow)
    check_numbers(workflow, training)
    check_sampling(workflow)
    check_precision(workflow.get("NETWORK"))
    check_inference_windows(workflow, training)


def check_choices(workflow):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :raises RefusedError: a value that does not exist, which argparse sees in flags only
    """
    for section, key, known in (
        ("NETWORK", "mixed_precision", PRECISIONS),
        ("INFERENCE", "inference_windows", INFERENCE_WINDOWS),
    ):
        check_known(f"[{section}] {key}", getattr(workflow.get(section), key, known[0]), known)


def check_numbers(workflow, training):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: none of what there must be one of
    """
    for section, key in (("NETWORK", "batch_size"), ("TRAINING", "sample_per_volume")):
        value = getattr(workflow.get(section), key, 1)
        if value < 1 and (training or section != "TRAINING"):
            raise RefusedError(f"[{section}] {key} = {value}: expected 1 or more")
    task = workflow.get("CUSTOM")
    if training and getattr(task, "name", "") in SEGMENTATION and not getattr(task, "label", True):
        raise RefusedError(
            "[SEGMENTATION] label is missing: a training needs the input section of "
            "its labels, e.g. label = LABEL"
        )


def check_sampling(workflow):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :raises RefusedError: a key of ``uniform_fast`` with another sampler, or out of range
    """
    training = workflow.get("TRAINING")
    share = getattr(training, "foreground_share", 0.0)
    memory = getattr(training, "volume_memory_gb", 0.0)
    sampling = getattr(workflow.get("NETWORK"), "window_sampling", "")
    if not 0 <= share <= 1:
        raise RefusedError(
            f"[TRAINING] foreground_share = {share:g}: expected a share of the windows, from 0 to 1"
        )
    if share > 0 and sampling != UNIFORM_FAST:
        raise RefusedError(
            f"[TRAINING] foreground_share = {share:g} has no effect with "
            f"window_sampling = {sampling}: set window_sampling = {UNIFORM_FAST} "
            f"in [NETWORK], or foreground_share = 0"
        )
    if memory < 0 or math.isnan(memory):
        raise RefusedError(
            f"[TRAINING] volume_memory_gb = {memory:g}: expected 0 (volumes are "
            f"kept on disk) or more"
        )


def check_precision(network):
    """
    :param network: NiftyNet's parameters of [NETWORK], or None
    :raises RefusedError: ``mixed_precision`` for a network that does not know it
    """
    wanted = getattr(network, "mixed_precision", OFF)
    if wanted != OFF and not getattr(
        ApplicationNetFactory.create(network.name), "takes_mixed_precision", False
    ):
        raise RefusedError(
            f"[NETWORK] mixed_precision = {wanted}: {network.name} computes in "
            f"float32 only. Set mixed_precision = {OFF}, or name = "
            f"densehighres3dnet_v1 or densehighres3dnet_v2"
        )


def check_inference_windows(workflow, training):
    """
    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: ``inference_windows`` where it can have no effect, or a wrong one
    """
    inference, task = workflow.get("INFERENCE"), workflow.get("CUSTOM")
    kind = getattr(inference, "inference_windows", GRID)
    if kind == GRID:
        return
    application = getattr(task, "name", "")
    if application not in SEGMENTATION:
        raise RefusedError(
            f"[INFERENCE] inference_windows = {kind} is for net_segment only; set "
            f"inference_windows = {GRID} for {application}"
        )
    if kind != GAUSSIAN:
        return
    if not training and not getattr(task, "output_prob", True):
        raise RefusedError(
            f"[INFERENCE] inference_windows = {GAUSSIAN} blends probabilities, and "
            f"[SEGMENTATION] output_prob = False gives class numbers. Set "
            f"output_prob = True"
        )
    window, border = tuple(inference.spatial_window_size), tuple(inference.border)
    border += border[-1:] * (len(window) - len(border))
    if any(
        edge < 0 or side > 0 and 2 * edge >= side
        for side, edge in zip(window, border, strict=False)
    ):
        raise RefusedError(
            f"[INFERENCE] border = {border}: windows of {window} overlap by twice "
            f"the border, which must be less than a window. Set a border of an "
            f"eighth of the window, or 0 for that"
        )
