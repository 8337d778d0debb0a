"""Where this project steps into NiftyNet's driver, parser and folders.

Each function here is called once, right after NiftyNet's module is loaded
(:mod:`niftynet_ext.compat.post_import`), and each wrapper hands on to a plain function elsewhere.
"""

import contextlib
import functools
import gc
import os

from niftynet_ext.core import checkpoints


def wrap_driver(module):
    """Checks before the graph, seeds, imported code left out of Python's search for garbage, and a
    signal when a run is over.

    :param module: ``niftynet.engine.application_driver``
    """
    driver = module.ApplicationDriver
    initialise, run, infer_latest = (
        driver.initialise_application,
        driver.run,
        module.infer_latest_model_file,
    )

    @functools.wraps(initialise)
    def initialise_application(self, workflow_param, data_param=None):
        return prepare(self, initialise, workflow_param, data_param)

    @functools.wraps(run)
    def run_application(self, application, graph=None):
        from niftynet_ext.training.signals import RUN_ENDED

        gc.freeze()  # all of TensorFlow's code, which Python would search for garbage: 0.2 s a time
        try:
            return run(self, application, graph)
        finally:
            gc.unfreeze()
            RUN_ENDED.send(application)

    @functools.wraps(infer_latest)
    def infer_latest_model_file(folder):
        number = checkpoints.latest(os.path.dirname(folder))
        return infer_latest(folder) if number is None else number

    driver.initialise_application = initialise_application
    driver.run = run_application
    module.infer_latest_model_file = infer_latest_model_file


def prepare(driver, initialise, workflow, inputs):
    """NiftyNet's ``initialise_application`` with, for its commands, checks and seeds around it.

    :param driver: NiftyNet's ``ApplicationDriver``
    :param initialise: its own method
    :param workflow: NiftyNet's dict of section to parameters
    :param inputs: NiftyNet's dict of input section to parameters
    :raises RefusedError: a mistake in the settings or the data
    """
    from niftynet_ext.checks import preflight, preflight_files
    from niftynet_ext.core.choices import OFF
    from niftynet_ext.layer import precision
    from niftynet_ext.training import seeds
    from niftynet_ext.training.meter import Meter

    if not isinstance(workflow, dict) or "CONFIG_FILE" not in workflow:
        return initialise(driver, workflow, inputs)  # not from a command: a program that knows
    system, train = workflow["SYSTEM"], workflow.get("TRAINING")
    training = "training".startswith(system.action.lower())
    seed = getattr(system, "seed", -1)
    preflight.check_settings(workflow, inputs, training)
    precision.choose(getattr(workflow.get("NETWORK"), "mixed_precision", OFF))
    # NiftyNet hands its driver's attributes to every event handler
    driver.seed = seed
    driver.meter = Meter()
    driver.inference_param = workflow.get("INFERENCE")
    driver.whole_volume_validation_every_n = getattr(train, "whole_volume_validation_every_n", -1)
    start = 0
    if training:
        start = train.starting_iter
        start = checkpoints.latest(system.model_dir) if start < 0 else start
    if seed >= 0:
        seeds.seed_process(seed, start)
    with checked_split(driver.data_partitioner, workflow, training):
        initialise(driver, workflow, inputs)
    driver.app.model_dir = system.model_dir  # where the fast sampler may write
    if inputs and driver.app.readers:
        preflight_files.check_files(driver.app, inputs, training)
        if training and hasattr(driver.app, "segmentation_param"):
            preflight_files.check_labels(driver.app, system.model_dir)
        if training and driver.whole_volume_validation_every_n > 0:
            preflight_files.check_whole_volumes(driver.app, inputs, driver.inference_param)
    if seed >= 0:
        seeds.seed_application(driver.app, seed, start)
    if training and inputs:  # after all checks: a training that is refused leaves no note
        from niftynet_ext.training import preparation

        preparation.note(system.model_dir, inputs)
    return None


@contextlib.contextmanager
def checked_split(partitioner, workflow, training):
    """While NiftyNet's partitioner is asked for the sets, check them before they are used.

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
    read = [section for name in names for section in task.get(name) or ()]

    def checked(data_param, new_partition=False, data_split_file=None, ratios=None):
        check_split_file(data_split_file, new_partition)
        check_lists(data_param)
        result = initialise(data_param, new_partition, data_split_file, ratios)
        table, files = partitioner._partition_ids, partitioner._file_list
        split = {} if table is None else dict(table.itertuples(index=False))
        used = used_sets(training, phase)
        check_rows(
            files,
            [one for one in read if one in files.columns],
            {one for one, name in split.items() if name in used} if split and used else None,
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


def check_folder_when_resolved(module):
    """Take the folder of a training before NiftyNet writes its settings there.

    A folder that cannot be written or is in use is refused with nothing in it changed.

    :param module: ``niftynet.io.misc_io``
    """
    resolve = module.resolve_module_dir

    @functools.wraps(resolve)
    def resolve_module_dir(module_dir_str, create_new=False):
        from niftynet_ext.checks.preflight import check_writable
        from niftynet_ext.training import lock

        try:
            folder = resolve(module_dir_str, create_new)
        except OSError:
            if create_new:
                check_writable(module_dir_str)  # says why
            raise
        if create_new:
            check_writable(folder)
            lock.hold(folder)
        return folder

    module.resolve_module_dir = resolve_module_dir
