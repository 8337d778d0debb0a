"""Names that NumPy, pandas, nibabel and Python have removed since NiftyNet 0.6.0 (2019)."""

import functools
import importlib.util
import sys
import types
from typing import Any

# NumPy 1.24 removed these aliases of Python's own types (np.bool is back since NumPy 2)
NUMPY_ALIASES = {"bool": bool, "int": int, "float": float, "object": object, "str": str}


def install_numpy() -> None:
    """Restore ``np.int`` and similar names, which NiftyNet's readers and layers use everywhere."""
    import numpy as np

    for name, kind in NUMPY_ALIASES.items():
        if name not in np.__dict__:
            setattr(np, name, kind)


def install_nibabel() -> None:
    """Restore ``image.get_data()``, which raises ExpiredDeprecationError in nibabel 5.

    As in nibabel 2: the file's own type where no scaling is stored, and cached by default.
    """
    import numpy as np
    from nibabel.dataobj_images import DataobjImage

    def get_data(self: Any, caching: str = "fill") -> np.ndarray:
        if self._data_cache is not None:
            cached: np.ndarray = self._data_cache
            return cached
        data = np.asanyarray(self._dataobj)
        if caching == "fill":
            self._data_cache = data
        return data

    DataobjImage.get_data = get_data


def install_pandas() -> None:
    """Restore what NiftyNet's aggregators and evaluators use of data frames in pandas 0.2x."""
    import pandas as pd

    if not hasattr(pd.DataFrame, "append"):
        add_append(pd)
        accept_tuples_in_groupby(pd)


def accept_tuples_in_groupby(pd: Any) -> None:
    """Accept ``groupby(by=("label",))``: pandas now takes a tuple of columns for a single column.

    :param pd: the module pandas
    """
    groupby = pd.DataFrame.groupby

    @functools.wraps(groupby)
    def wrapper(self: Any, by: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(by, tuple) and by not in self.columns:
            by = list(by)
        return groupby(self, by, *args, **kwargs)

    pd.DataFrame.groupby = wrapper


def add_append(pd: Any) -> None:
    """Restore ``DataFrame.append``, removed in pandas 2.

    :param pd: the module pandas
    """

    def append(
        self: Any,
        other: Any,
        ignore_index: bool = False,
        verify_integrity: bool = False,
        sort: bool = False,
    ) -> Any:
        if isinstance(other, dict):
            other = pd.Series(other)
        if isinstance(other, pd.Series):
            if other.name is None and not ignore_index:
                raise TypeError(
                    "Can only append a Series if ignore_index=True or if the Series has a name"
                )
            other = other.to_frame().T.infer_objects()
        frames = [self, *other] if isinstance(other, (list, tuple)) else [self, other]
        # as in pandas 1, an empty table takes the types of what is put into it
        frames = [frame for frame in frames if len(frame)] or frames[-1:]
        return pd.concat(
            frames, ignore_index=ignore_index, verify_integrity=verify_integrity, sort=sort
        )

    pd.DataFrame.append = append


def install_distutils() -> None:
    """Restore ``distutils.version.LooseVersion``: Python 3.12 has no distutils."""
    if "distutils" in sys.modules or importlib.util.find_spec("distutils") is not None:
        return
    from packaging.version import Version

    package: Any = types.ModuleType("distutils")
    version: Any = types.ModuleType("distutils.version")
    package.__path__ = []
    version.LooseVersion = version.StrictVersion = Version
    package.version = version
    sys.modules.update({"distutils": package, "distutils.version": version})


def install() -> None:
    """Restore all of the above; safe to call again."""
    install_numpy()
    install_nibabel()
    install_pandas()
    install_distutils()
