"""What happens to a NiftyNet module right after it is loaded (its file stays as it is)."""

import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from niftynet_ext.core.spline import spline_weights


def accept_spaced_evaluations(factory: Any) -> None:
    """Accept ``evaluations = dice, msd_mm`` like every other list: NiftyNet keeps the spaces.

    :param factory: the module ``niftynet.engine.application_factory``
    """

    def create(cls: Any, name: str) -> Any:
        return factory.select_module(name.strip(), cls.type_str, cls.SUPPORTED)

    factory.EvaluationFactory.create = classmethod(create)


def multiply_spline_kernel(module: Any) -> None:
    """Compute the kernel of the B-spline warper as a product of arrays that broadcast.

    NiftyNet calls ``np.prod`` on a list of differently shaped arrays, which NumPy refuses since
    1.24 ("setting an array element with a sequence").

    :param module: the module ``niftynet.layer.spatial_transformer``
    """

    def create_features(self: Any) -> Any:
        weights = [spline_weights(np.arange(spacing) / spacing) for spacing in self._knot_spacing]
        kernel = np.einsum("ai,bj,ck->abcijk", *weights)
        return module.tf.constant(kernel.reshape(4, 4, 4, 1, -1), dtype=module.tf.float32)

    module.BSplineFieldImageGridWarperLayer._create_features = create_features


def take_absolute_value_of_tensors(module: Any) -> None:
    """Accept ``np.abs(tensor)`` in the loss on raters' confusion matrices.

    TensorFlow 1 let NumPy call the tensor's own ``__abs__``; TensorFlow 2 refuses to make an array
    of it. The module uses nothing else of NumPy.

    :param module: the module ``niftynet.layer.loss_classification_multi``
    """
    module.np = types.SimpleNamespace(abs=module.tf.abs)


def end_without_autotuning(module: Any) -> None:
    """Switch off the thread that tunes samplers' data sets: NiftyNet leaves nothing to tune.

    At a session's end, TensorFlow (2.15 to 2.21) wakes that thread before it sets the flag that
    ends it; one time in ten the thread goes back to sleep until its next turn, and the session
    waits for it. Each turn comes after twice the time of the one before: up to a minute was lost
    after the last window.

    :param module: the module ``niftynet.engine.image_window_dataset``
    """
    init_dataset = module.ImageWindowDataset.init_dataset

    def init(self: Any) -> None:
        init_dataset(self)
        options = module.tf.data.Options()
        options.autotune.enabled = False
        self.dataset = self.dataset.with_options(options)

    module.ImageWindowDataset.init_dataset = init


def take_version_of_package(module: Any) -> None:
    """Take NiftyNet's version from its installed package.

    Its versioneer runs ``git describe`` in its own folder: in an environment inside a git checkout,
    as ``make`` builds it, the version was a commit of that repository, which ``net_download``
    cannot compare.

    :param module: the module ``niftynet.utilities.versioning``
    """
    version = metadata.version("niftynet")
    module.get_niftynet_version = lambda: version


Action = Callable[[types.ModuleType], None]
"""What is done to a module once it is loaded."""

ACTIONS: dict[str, list[Action]] = {
    "niftynet.engine.application_factory": [accept_spaced_evaluations],
    "niftynet.engine.image_window_dataset": [end_without_autotuning],
    "niftynet.layer.loss_classification_multi": [take_absolute_value_of_tensors],
    "niftynet.layer.spatial_transformer": [multiply_spline_kernel],
    "niftynet.utilities.versioning": [take_version_of_package],
}


def add_action(module_name: str, action: Action) -> None:
    """Register what to do to a module of NiftyNet once it is loaded.

    :param module_name: dotted name; the module must not be imported yet
    :param action: function of the module; registering it again does nothing
    """
    actions = ACTIONS.setdefault(module_name, [])
    if action not in actions:
        actions.append(action)


class PostImportFinder:
    """Finds the modules of :data:`ACTIONS` as Python would, and acts once they are executed.

    The class itself is in ``sys.meta_path``. It must not inherit from MetaPathFinder, whose
    ``invalidate_caches`` is a method of instances: ``importlib.invalidate_caches()`` would fail.
    """

    @classmethod
    def find_spec(
        cls,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the ordinary spec with an action after execution.

        :param fullname: dotted name of the module being imported
        :param path: as for the ordinary finders
        :param target: likewise
        :return: spec, or None where there is nothing to do or to find
        """
        if fullname not in ACTIONS:
            return None
        position = sys.meta_path.index(cls)
        for finder in sys.meta_path[position + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            for action in ACTIONS[fullname]:
                action(module)

        loader.exec_module = exec_module
        return spec


def install() -> None:
    """Put the finder first; a second call does nothing."""
    if PostImportFinder not in sys.meta_path:
        sys.meta_path.insert(0, PostImportFinder)
