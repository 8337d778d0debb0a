"""Start-up hook: prepares the stack when NiftyNet 0.6.0 is first imported, and not before.

No module imports this one: setup.py writes its text into ``niftynet_ext.pth``, which the
interpreter executes at every start. (Importing it from there would take 2 ms; this way it takes
0.5 ms.) It puts a finder at the front of ``sys.meta_path``; a process that never imports
``niftynet`` keeps its TensorFlow and NumPy as they are. Many scripts written for NiftyNet import
TensorFlow first: a file that imports both gets TensorFlow 1's names in either order.
``NIFTYNET_EXT_HOOK=0`` in the environment switches the hook off.
"""

import os
import sys

TYPE_CHECKING = False  # importing typing (or __future__) would slow down every start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType


class NiftyNetFinder:
    """Meta-path finder that acts before ``import niftynet``."""

    @classmethod
    def find_spec(
        cls,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Install the patches when NiftyNet is about to be imported, then step aside.

        :param fullname: dotted name of the module being imported
        :param path: not used
        :param target: not used
        :return: None for NiftyNet, whose (unmodified) files the ordinary finders load; the spec of
            the module that stands for ``tensorflow`` if that is imported first
        """
        if fullname == "niftynet" or (fullname == "tensorflow" and is_for_niftynet()):
            from niftynet_ext import activation

            activation.activate()
            sys.meta_path.remove(cls)  # only now: a second try gets the same error message
            return activation.tensorflow_spec() if fullname == "tensorflow" else None
        return None


def is_for_niftynet() -> bool:
    """Return whether the file that is importing TensorFlow imports NiftyNet as well."""
    frame: FrameType | None = sys._getframe(2)
    while frame and "importlib._bootstrap" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None and any(
        name.partition(".")[0] == "niftynet" for name in frame.f_code.co_names
    )


def is_hooked() -> bool:
    """Return whether the hook is there: a virtual environment executes its .pth files twice."""
    return any(getattr(finder, "__name__", "") == "NiftyNetFinder" for finder in sys.meta_path)


if os.environ.get("NIFTYNET_EXT_HOOK") != "0" and not is_hooked():
    sys.meta_path.insert(0, NiftyNetFinder)
