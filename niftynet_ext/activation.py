"""Make a process ready for ``import niftynet``: today's stack, and this project's plugins in it.

:mod:`niftynet_ext.compat` patches the stack and knows nothing of the plugins. The table here says
which module of NiftyNet each part of this project extends.
"""

from importlib.machinery import ModuleSpec
from types import ModuleType

from niftynet_ext import registry
from niftynet_ext.checks import ini_keys
from niftynet_ext.compat import facade_spec
from niftynet_ext.compat import install as install_compat
from niftynet_ext.compat.post_import import add_action
from niftynet_ext.sampler import offer
from niftynet_ext.training import driver


def activate() -> None:
    """Prepare this process for ``import niftynet``; a second call does nothing.

    :raises ImportError: TensorFlow is missing; the message has the command that installs it
    """
    install_compat()
    for module_name, action in (
        ("niftynet.application.segmentation_application", extend_segmentation),
        ("niftynet.engine.application_factory", registry.register),
        ("niftynet.engine.application_driver", driver.wrap_driver),
        ("niftynet.io.misc_io", driver.check_folder_when_resolved),
        ("niftynet.utilities.user_parameters_default", ini_keys.add_keys),
        ("niftynet.utilities.user_parameters_parser", ini_keys.check_keys_when_parsed),
    ):
        add_action(module_name, action)


def tensorflow_spec() -> ModuleSpec:
    """Return the import spec of what replaces ``tensorflow``, after :func:`activate`."""
    return facade_spec()


def extend_segmentation(module: ModuleType) -> None:
    """Add the sampler and the ways of inference to NiftyNet's segmentation.

    :param module: ``niftynet.application.segmentation_application``
    """
    from niftynet_ext.inference import windows  # imports TensorFlow and NiftyNet

    offer.offer_sampler(module)
    windows.choose(module)
