"""Start-up hook: makes NiftyNet 0.6.0 importable on today's stack, and costs nothing until then.

``niftynet_ext.pth`` imports this module whenever the interpreter starts. All it does is put one
finder in front of ``sys.meta_path``. Nothing is patched before ``niftynet`` is first imported;
a process that never does so keeps its TensorFlow and NumPy as they are.

Set ``NIFTYNET_EXT_HOOK=0`` in the environment to switch the hook off.
"""
import os
import sys


class NiftyNetFinder:
    """Meta-path finder that finds nothing, but prepares the stack for ``import niftynet``."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """Install the patches when NiftyNet is about to be imported, then step aside.

        :param fullname: dotted name of the module being imported
        :return: None always: the ordinary finders load the (unmodified) module
        """
        if fullname == "niftynet":
            sys.meta_path.remove(cls)
            from niftynet_ext import compat
            compat.install()


if NiftyNetFinder not in sys.meta_path and os.environ.get("NIFTYNET_EXT_HOOK") != "0":
    sys.meta_path.insert(0, NiftyNetFinder)
