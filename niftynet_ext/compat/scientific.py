"""Names that NumPy, pandas, nibabel and Python have dropped since NiftyNet 0.6.0 (2019)."""

import functools
import importlib.util
import sys
import types

# NumPy 1.24 removed these aliases of Python's own types (np.bool is back since NumPy 2)
NUMPY_ALIASES = {"bool": bool, "int": int, "float": float, "object": object, "str": str}


def install_numpy():
    """``np.int`` and its like, all over NiftyNet's readers and layers."""
    import numpy as np

    for name, kind in NUMPY_ALIASES.items():
        if name not in np.__dict__:
            setattr(np, name, kind)


def install_nibabel():
    """``image.get_data()``, which nibabel 5 answers with ExpiredDeprecationError.

    As in nibabel 2: the file's own type where no scaling is stored, and cached unless asked not to.
    """
    import numpy as np
    from nibabel.dataobj_images import DataobjImage

    def get_data(self, caching="fill"):
        if self._data_cache is not None:
            return self._data_cache
        data = np.asanyarray(self._dataobj)
        if caching == "fill":
            self._data_cache = data
        return data

    DataobjImage.get_data = get_data


def install_pandas():
    """What NiftyNet's aggregators and evaluators do with data frames, as pandas 0.2x did it."""
    import pandas as pd

    if not hasattr(pd.DataFrame, "append"):
        add_append(pd)
        accept_tuples_in_groupby(pd)


def accept_tuples_in_groupby(pd):
    """``groupby(by=("label",))``: a tuple of columns, which pandas now takes for one column.

    :param pd: the module pandas
    """
    groupby = pd.DataFrame.groupby

    @functools.wraps(groupby)
    def wrapper(self, by=None, *args, **kwargs):
        if isinstance(by, tuple) and by not in self.columns:
            by = list(by)
        return groupby(self, by, *args, **kwargs)

    pd.DataFrame.groupby = wrapper


def add_append(pd):
    """``DataFrame.append``, removed in pandas 2.

    :param pd: the module pandas
    """

    def append(self, other, ignore_index=False, verify_integrity=False, sort=False):
        if isinstance(other, dict):
            other = pd.Series(other)
        if isinstance(other, pd.Series):
            if other.name is None and not ignore_index:
                raise TypeError(
                    "Can only append a Series if ignore_index=True or if the Series has a name"
                )
            other = other.to_frame().T.infer_objects()
        frames = [self, *other] if isinstance(other, (list, tuple)) else [self, other]
        # as pandas 1 did, an empty table takes the types of what is put into it
        frames = [frame for frame in frames if len(frame)] or frames[-1:]
        return pd.concat(
            frames, ignore_index=ignore_index, verify_integrity=verify_integrity, sort=sort
        )

    pd.DataFrame.append = append


def install_distutils():
    """``distutils.version.LooseVersion``: distutils left Python in 3.12."""
    if "distutils" in sys.modules or importlib.util.find_spec("distutils") is not None:
        return
    from packaging.version import Version

    package, version = types.ModuleType("distutils"), types.ModuleType("distutils.version")
    package.__path__ = []
    version.LooseVersion = version.StrictVersion = Version
    package.version = version
    sys.modules.update({"distutils": package, "distutils.version": version})


def install():
    """All of the above; safe to call again."""
    install_numpy()
    install_nibabel()
    install_pandas()
    install_distutils()
