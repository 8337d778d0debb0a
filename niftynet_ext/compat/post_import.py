"""What happens to a NiftyNet module right after it is loaded (its file stays as it is)."""
import sys

from niftynet_ext.training import driver, ini_keys


def register_short_names(factory):
    """Teach NiftyNet's factories the short names of this project.

    :param factory: the module ``niftynet.engine.application_factory``
    """
    from niftynet_ext import registry
    registry.register(factory)


ACTIONS = {
    "niftynet.engine.application_factory": register_short_names,
    "niftynet.engine.application_driver": driver.wrap_driver,
    "niftynet.io.misc_io": driver.check_folder_when_resolved,
    "niftynet.utilities.user_parameters_default": ini_keys.add_keys,
    "niftynet.utilities.user_parameters_parser": ini_keys.check_keys_when_parsed,
}


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
        for finder in sys.meta_path[position + 1:]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            ACTIONS[fullname](module)

        spec.loader.exec_module = exec_module
        return spec


def install():
    """Put the finder first; does nothing when it is there already."""
    if PostImportFinder not in sys.meta_path:
        sys.meta_path.insert(0, PostImportFinder)
