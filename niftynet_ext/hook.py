"""Start-up hook: prepares the stack when NiftyNet 0.6.0 is first imported, and not before.

Not imported by anything: setup.py writes this text into ``niftynet_ext.pth``, which the interpreter
executes at every start. (Importing it from there would take 2 ms, this way it is 0.5 ms.) It puts
one finder in front of ``sys.meta_path``; a process that never imports ``niftynet`` keeps its
TensorFlow and NumPy as they are. Nearly every script of NiftyNet's time imports TensorFlow first: a
file that imports both gets TensorFlow 1's names in either order. ``NIFTYNET_EXT_HOOK=0`` in the
environment switches it off.
"""

import os
import sys


class NiftyNetFinder:
    """Meta-path finder that acts before ``import niftynet``."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """Install the patches when NiftyNet is about to be imported, then step aside.

        :param fullname: dotted name of the module being imported
        :return: None for NiftyNet, whose (unmodified) files the ordinary finders load; a spec of
            what stands for ``tensorflow`` if that comes first
        """
        if fullname == "niftynet" or fullname == "tensorflow" and is_for_niftynet():
            from niftynet_ext import activation

            activation.activate()
            sys.meta_path.remove(cls)  # only now: a second try gets the same error message
            return activation.tensorflow_spec() if fullname == "tensorflow" else None


def is_for_niftynet():
    """
    :return: whether the file that is importing TensorFlow imports NiftyNet as well
    """
    frame = sys._getframe(2)
    while frame and "importlib._bootstrap" in frame.f_code.co_filename:
        frame = frame.f_back
    return bool(frame) and any(
        name.partition(".")[0] == "niftynet" for name in frame.f_code.co_names
    )


def is_hooked():
    """A virtual environment has its .pth files executed twice."""
    return any(getattr(finder, "__name__", "") == "NiftyNetFinder" for finder in sys.meta_path)


if os.environ.get("NIFTYNET_EXT_HOOK") != "0" and not is_hooked():
    sys.meta_path.insert(0, NiftyNetFinder)
