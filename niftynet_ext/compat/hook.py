"""Start-up hook: prepares the stack when NiftyNet 0.6.0 is first imported, and not before.

Not imported by anything: setup.py writes this text into ``niftynet_ext.pth``, which the interpreter
executes at every start. (Importing it from there would take 2 ms, this way it is 0.5 ms.) It puts
one finder in front of ``sys.meta_path``; a process that never imports ``niftynet`` keeps its
TensorFlow and NumPy as they are. ``NIFTYNET_EXT_HOOK=0`` in the environment switches it off.
"""
import os
import sys


class NiftyNetFinder:
    """Meta-path finder that finds nothing, but acts before ``import niftynet``."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """Install the patches when NiftyNet is about to be imported, then step aside.

        :param fullname: dotted name of the module being imported
        :return: None always: the ordinary finders load the (unmodified) module
        """
        if fullname == "niftynet":
            from niftynet_ext import compat
            compat.install()
            sys.meta_path.remove(cls)  # only now: a second try gets the same error message


def is_hooked():
    """A virtual environment has its .pth files executed twice."""
    return any(getattr(finder, "__name__", "") == "NiftyNetFinder" for finder in sys.meta_path)


if os.environ.get("NIFTYNET_EXT_HOOK") != "0" and not is_hooked():
    sys.meta_path.insert(0, NiftyNetFinder)
