"""What happens to a NiftyNet module right after it is loaded (its file stays as it is)."""

import sys
import types
from collections.abc import Callable
from importlib import metadata

import numpy as np

from niftynet_ext.core.spline import spline_weights


def accept_spaced_evaluations(factory):
    """``evaluations = dice, msd_mm`` like every other list: NiftyNet splits it at the comma only.

    :param factory: the module ``niftynet.engine.application_factory``
    """

    def create(cls, name):
        return factory.select_module(name.strip(), cls.type_str, cls.SUPPORTED)

    factory.EvaluationFactory.create = classmethod(create)


def multiply_spline_kernel(module):
    """The B-spline warper's kernel: a product of arrays that broadcast, not of a list of them.

    NiftyNet calls ``np.prod`` on a list of differently shaped arrays, which NumPy refuses since
    1.24 ("setting an array element with a sequence").

    :param module: the module ``niftynet.layer.spatial_transformer``
    """

    def create_features(self):
        weights = [spline_weights(np.arange(spacing) / spacing) for spacing in self._knot_spacing]
        kernel = np.einsum("ai,bj,ck->abcijk", *weights)
        return module.tf.constant(kernel.reshape(4, 4, 4, 1, -1), dtype=module.tf.float32)

    module.BSplineFieldImageGridWarperLayer._create_features = create_features


def take_absolute_value_of_tensors(module):
    """``np.abs(tensor)`` in the loss on raters' confusion matrices.

    TensorFlow 1 let NumPy call the tensor's own ``__abs__``; TensorFlow 2 refuses to make an array
    of it. The module uses nothing else of NumPy.

    :param module: the module ``niftynet.layer.loss_classification_multi``
    """
    module.np = types.SimpleNamespace(abs=module.tf.abs)


def end_without_autotuning(module):
    """Samplers' data sets without a thread that tunes them: NiftyNet leaves nothing to tune.

    TensorFlow (2.15 to 2.21) wakes that thread at a session's end before it says that it is the
    end; one time in ten the thread sleeps on till its next turn, and the session with it. Turns
    come after twice the time of the last: up to a minute was lost behind the last window.

    :param module: the module ``niftynet.engine.image_window_dataset``
    """
    init_dataset = module.ImageWindowDataset.init_dataset

    def init(self):
        init_dataset(self)
        options = module.tf.data.Options()
        options.autotune.enabled = False
        self.dataset = self.dataset.with_options(options)

    module.ImageWindowDataset.init_dataset = init


def take_version_of_package(module):
    """NiftyNet's version from its installed package.

    Its versioneer asks ``git describe`` about the folder it lies in: within an environment in a
    git checkout, as ``make`` builds it, the version was a commit of that repository, which
    ``net_download`` cannot compare.

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
    """Have something done to a module of NiftyNet once it is loaded.

    :param module_name: dotted name; the module is not imported yet
    :param action: function of the module; a second registration does nothing
    """
    actions = ACTIONS.setdefault(module_name, [])
    if action not in actions:
        actions.append(action)


class PostImportFinder:
    """Finds the modules of :data:`ACTIONS` as Python would, and acts once they are executed.

    The class itself stands in ``sys.meta_path``. It must not inherit from MetaPathFinder, whose
    ``invalidate_caches`` is a method of instances: ``importlib.invalidate_caches()`` would fail.
    """

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """
        :param fullname: dotted name of the module being imported
        :return: the ordinary spec with an action after execution, or None
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
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            for action in ACTIONS[fullname]:
                action(module)

        spec.loader.exec_module = exec_module
        return spec


def install():
    """Put the finder first; does nothing when it is there already."""
    if PostImportFinder not in sys.meta_path:
        sys.meta_path.insert(0, PostImportFinder)
