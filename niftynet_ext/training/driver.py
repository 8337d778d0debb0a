"""Where this project extends NiftyNet's driver and folders.

Each function that takes a module is called once, right after NiftyNet's module is loaded
(:mod:`niftynet_ext.compat.post_import`). The wrappers only call plain functions elsewhere.
Every run of ``net_segment`` imports this module at its start: imports that take time are inside
functions.
"""

import contextlib
import functools
import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

from niftynet_ext.core import checkpoints

# NiftyNet is untyped: its objects (modules, driver, application, parameters) are Any


def wrap_driver(module: Any) -> None:
    """Add checks, seeds and the signal at the end of a run to NiftyNet's driver.

    :param module: ``niftynet.engine.application_driver``
    """
    driver = module.ApplicationDriver
    initialise, run, infer_latest = (
        driver.initialise_application,
        driver.run,
        module.infer_latest_model_file,
    )

    @functools.wraps(initialise)
    def initialise_application(self: Any, workflow_param: Any, data_param: Any = None) -> None:
        prepare(self, initialise, workflow_param, data_param)

    @functools.wraps(run)
    def run_application(self: Any, application: Any, graph: Any = None) -> Any:
        from niftynet_ext.training.signals import RUN_ENDED

        # keep all imported code out of Python's garbage collections, 0.2 s each with TensorFlow's
        gc.freeze()
        try:
            return run(self, application, graph)
        finally:
            gc.unfreeze()
            RUN_ENDED.send(application)

    @functools.wraps(infer_latest)
    def infer_latest_model_file(folder: str) -> int:
        number = checkpoints.latest(os.path.dirname(folder))
        return infer_latest(folder) if number is None else number

    driver.initialise_application = initialise_application
    driver.run = run_application
    module.infer_latest_model_file = infer_latest_model_file


def prepare(driver: Any, initialise: Callable[..., Any], workflow: Any, inputs: Any) -> None:
    """Run NiftyNet's ``initialise_application``; for NiftyNet's commands, with checks and seeds.

    :param driver: NiftyNet's ``ApplicationDriver``
    :param initialise: its own method
    :param workflow: NiftyNet's dict of section to parameters
    :param inputs: NiftyNet's dict of input section to parameters
    :raises RefusedError: a mistake in the settings or the data
    """
    from niftynet_ext.checks import preflight
    from niftynet_ext.core.choices import OFF
    from niftynet_ext.layer import precision
    from niftynet_ext.training import seeds

    if not isinstance(workflow, dict) or "CONFIG_FILE" not in workflow:
        initialise(driver, workflow, inputs)  # called by a program, not by one of the commands
        return
    system = workflow["SYSTEM"]
    training = "training".startswith(system.action.lower())
    seed = getattr(system, "seed", -1)
    preflight.check_settings(workflow, inputs, training)
    precision.choose(getattr(workflow.get("NETWORK"), "mixed_precision", OFF))
    add_handler_parameters(driver, workflow, seed)
    start = first_iteration(workflow) if training else 0
    if seed >= 0:
        seeds.seed_process(seed, start)
    with checked_split(driver.data_partitioner, workflow, training):
        initialise(driver, workflow, inputs)
    driver.app.model_dir = system.model_dir  # where the fast sampler may write
    if inputs and driver.app.readers:
        check_data(driver, inputs, training)
    if seed >= 0:
        seeds.seed_application(driver.app, seed, start)
    if training and inputs:  # after all checks: a training that is refused leaves no note
        from niftynet_ext.training import preparation

        preparation.note(system.model_dir, inputs)


def add_handler_parameters(driver: Any, workflow: Any, seed: int) -> None:
    """Set what this project's event handlers need: NiftyNet passes its driver's attributes to them.

    :param driver: NiftyNet's ``ApplicationDriver``
    :param workflow: NiftyNet's dict of section to parameters
    :param seed: ``seed`` of [SYSTEM]
    """
    from niftynet_ext.training.meter import Meter

    driver.seed = seed
    driver.meter = Meter()
    driver.inference_param = workflow.get("INFERENCE")
    driver.whole_volume_validation_every_n = getattr(
        workflow.get("TRAINING"), "whole_volume_validation_every_n", -1
    )


def first_iteration(workflow: Any) -> int:
    """Return the iteration of the checkpoint that a training starts from; 0 without one.

    :param workflow: NiftyNet's dict of section to parameters
    """
    start = int(workflow["TRAINING"].starting_iter)
    return start if start >= 0 else checkpoints.latest(workflow["SYSTEM"].model_dir) or 0


def check_data(driver: Any, inputs: Any, training: bool) -> None:
    """Check the images and labels that NiftyNet's readers have found.

    :param driver: NiftyNet's ``ApplicationDriver``
    :param inputs: NiftyNet's dict of input section to parameters
    :param training: whether the action is ``train``
    :raises RefusedError: a mistake in the data
    """
    from niftynet_ext.checks import preflight_files, preflight_labels

    preflight_files.check_files(driver.app, inputs, training)
    if training and hasattr(driver.app, "segmentation_param"):
        preflight_labels.check_labels(driver.app, driver.app.model_dir)
    if training and driver.whole_volume_validation_every_n > 0:
        preflight_files.check_whole_volumes(driver.app, inputs, driver.inference_param)


@contextlib.contextmanager
def checked_split(partitioner: Any, workflow: Any, training: bool) -> Iterator[None]:
    """Let NiftyNet's partitioner check lists and split before they are used.

    :param partitioner: NiftyNet's ``ImageSetsPartitioner``, one for the whole process
    :param workflow: NiftyNet's dict of section to parameters
    :param training: whether the action is ``train``
    """
    from niftynet_ext.checks.preflight_lists import (
        check_lists,
        check_rows,
        check_sets,
        check_split_file,
        used_sets,
    )

    initialise = partitioner.initialise
    phase = getattr(workflow.get("INFERENCE"), "dataset_to_infer", "")
    task = vars(workflow.get("CUSTOM") or object)
    names = ("image", "label", "weight", "sampler") if training else ("image",)
    sections_read = [section for name in names for section in task.get(name) or ()]

    def checked(
        data_param: Any,
        new_partition: bool = False,
        data_split_file: Any = None,
        ratios: Any = None,
    ) -> Any:
        check_split_file(data_split_file, new_partition)
        check_lists(data_param)
        result = initialise(data_param, new_partition, data_split_file, ratios)
        table, files = partitioner._partition_ids, partitioner._file_list
        split = {} if table is None else dict(table.itertuples(index=False))
        used = used_sets(training, phase)
        check_rows(
            files,
            [section for section in sections_read if section in files.columns],
            {subject for subject, name in split.items() if name in used}
            if split and used
            else None,
        )
        check_sets(
            list(files.iloc[:, 0]),
            split,
            data_split_file,
            training,
            phase,
            getattr(workflow.get("TRAINING"), "validation_every_n", -1),
        )
        return result

    partitioner.initialise = checked
    try:
        yield
    finally:
        del partitioner.initialise


def check_folder_when_resolved(module: Any) -> None:
    """Lock the folder of a training before NiftyNet writes its settings there.

    A folder that cannot be written or is in use is refused, and nothing in it is changed.

    :param module: ``niftynet.io.misc_io``
    """
    resolve = module.resolve_module_dir

    @functools.wraps(resolve)
    def resolve_module_dir(module_dir_str: str, create_new: bool = False) -> Any:
        from niftynet_ext.checks.preflight import check_writable
        from niftynet_ext.training import lock

        try:
            folder = resolve(module_dir_str, create_new)
        except OSError:
            if create_new:
                check_writable(module_dir_str)  # its message says why
            raise
        if create_new:
            check_writable(folder)
            lock.hold(folder)
        return folder

    module.resolve_module_dir = resolve_module_dir
