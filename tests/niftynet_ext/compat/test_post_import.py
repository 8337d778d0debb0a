"""Actions after NiftyNet's modules are loaded."""
import importlib
import sys

from niftynet_ext.compat import post_import


def test_the_finder_behaves_as_a_finder(tf):
    assert post_import.PostImportFinder in sys.meta_path
    importlib.invalidate_caches()  # asks every finder that has such a method


def test_every_action_names_a_module_of_niftynet(tf):
    for name in post_import.ACTIONS:
        assert importlib.import_module(name).__file__.endswith(".py")
