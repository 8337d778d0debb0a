"""Checks of the ini keys that this project adds to NiftyNet's, alone and in combination."""

import math
from typing import Any

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

# NiftyNet is untyped: its objects (parameters of sections) are Any

SEGMENTATION_NAMES = (
    "net_segment",
    "niftynet.application.segmentation_application.SegmentationApplication",
)
"""How a settings file and NiftyNet's command name the segmentation application."""


def check_our_keys(workflow: Any, training: bool) -> None:
    """Check all keys of this project.

    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: the first mistake
    """
    check_choices(workflow)
    check_numbers(workflow, training)
    check_sampling(workflow)
    check_precision(workflow.get("NETWORK"))
    check_inference_windows(workflow, training)


def check_choices(workflow: Any) -> None:
    """Check the keys that take one of several words; argparse checks them in flags only.

    :param workflow: NiftyNet's dict of section to parameters
    :raises RefusedError: a value that does not exist
    """
    for section, key, known in (
        ("NETWORK", "mixed_precision", PRECISIONS),
        ("INFERENCE", "inference_windows", INFERENCE_WINDOWS),
    ):
        check_known(f"[{section}] {key}", getattr(workflow.get(section), key, known[0]), known)


def check_numbers(workflow: Any, training: bool) -> None:
    """Check that there is a batch, a window and a label to train on.

    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: one of them is missing
    """
    for section, key in (("NETWORK", "batch_size"), ("TRAINING", "sample_per_volume")):
        value = getattr(workflow.get(section), key, 1)
        if value < 1 and (training or section != "TRAINING"):
            raise RefusedError(f"[{section}] {key} = {value}: expected 1 or more")
    task = workflow.get("CUSTOM")
    if (
        training
        and getattr(task, "name", "") in SEGMENTATION_NAMES
        and not getattr(task, "label", True)
    ):
        raise RefusedError(
            "[SEGMENTATION] label is missing: a training needs the input section of its labels, "
            "e.g. label = LABEL"
        )


def check_sampling(workflow: Any) -> None:
    """Check the keys of ``window_sampling = uniform_fast``.

    :param workflow: NiftyNet's dict of section to parameters
    :raises RefusedError: a key has no effect with another sampler, or is out of range
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
            f"[TRAINING] volume_memory_gb = {memory:g}: expected 0 (all volumes on disk) or more"
        )


def check_precision(network: Any) -> None:
    """Check ``mixed_precision``.

    :param network: NiftyNet's parameters of [NETWORK], or None
    :raises RefusedError: the network does not support it
    """
    wanted = getattr(network, "mixed_precision", OFF)
    if wanted != OFF and not getattr(
        ApplicationNetFactory.create(network.name), "takes_mixed_precision", False
    ):
        raise RefusedError(
            f"[NETWORK] mixed_precision = {wanted}: {network.name} computes in float32 only. Set "
            f"mixed_precision = {OFF}, or name = densehighres3dnet_v1 or densehighres3dnet_v2"
        )


def check_inference_windows(workflow: Any, training: bool) -> None:
    """Check ``inference_windows`` and the border.

    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: it has no effect here, or does not fit other keys
    """
    inference, task = workflow.get("INFERENCE"), workflow.get("CUSTOM")
    kind = getattr(inference, "inference_windows", GRID)
    if kind == GRID:
        return
    application = getattr(task, "name", "")
    if application not in SEGMENTATION_NAMES:
        raise RefusedError(
            f"[INFERENCE] inference_windows = {kind} is for net_segment only. Set "
            f"inference_windows = {GRID} for {application}"
        )
    if kind != GAUSSIAN:
        return
    if not training and not getattr(task, "output_prob", True):
        raise RefusedError(
            f"[INFERENCE] inference_windows = {GAUSSIAN} blends probabilities, but "
            f"[SEGMENTATION] output_prob = False gives class numbers. Set output_prob = True"
        )
    window, border = tuple(inference.spatial_window_size), tuple(inference.border)
    border += border[-1:] * (len(window) - len(border))
    if any(
        edge < 0 or side > 0 and 2 * edge >= side
        for side, edge in zip(window, border, strict=False)
    ):
        raise RefusedError(
            f"[INFERENCE] border = {border}: windows of {window} overlap by twice the border, "
            f"which must be less than the window. Set each border to an eighth of the window, or "
            f"to 0, which does the same"
        )
