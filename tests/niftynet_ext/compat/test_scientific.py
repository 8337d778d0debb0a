"""Names that NumPy, pandas, nibabel and Python dropped."""

import sys

import nibabel
import numpy as np
import pandas as pd
import pytest

from niftynet_ext.compat import scientific


@pytest.fixture(autouse=True)
def _installed():
    scientific.install()


def test_numpy_aliases():
    assert np.int is int and np.float is float
    assert np.zeros(1, np.bool).dtype == bool


def test_nibabel_get_data(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "x.nii.gz")
    image = nibabel.load(tmp_path / "x.nii.gz")
    assert image.get_data(caching="unchanged") is not image.get_data(caching="unchanged")
    data = image.get_data()
    assert data.dtype == np.int16 and np.array_equal(data, array)
    assert image.get_data() is data


def test_pandas_append():
    empty = pd.DataFrame(columns=["a", "b"])
    single = empty.append({"a": 1, "b": 2.5}, ignore_index=True)
    two = single.append(pd.DataFrame({"a": [3], "b": [4.5]}), ignore_index=True)
    assert two.to_dict("list") == {"a": [1, 3], "b": [2.5, 4.5]}
    assert list(empty.append(empty).columns) == ["a", "b"]
    with pytest.raises(TypeError, match="ignore_index"):
        single.append(pd.Series({"a": 1}))


def test_pandas_groupby_with_a_tuple_of_columns():
    table = pd.DataFrame({"label": [1, 1, 2], "value": [1.0, 3.0, 5.0]})
    means = table.groupby(by=("label",), group_keys=False).apply(
        lambda group: pd.Series({"mean": np.mean(group["value"])})
    )
    assert means.index.names == ["label"]
    assert means["mean"].to_dict() == {1: 2.0, 2: 5.0}
    odd = pd.DataFrame({("a", "b"): [1, 1], "v": [2, 3]})
    assert len(odd.groupby(("a", "b"))) == 1  # a column that has a tuple for its name


@pytest.mark.filterwarnings("ignore:distutils")
def test_loose_version_compares():
    from distutils.version import LooseVersion

    assert LooseVersion("1.5") < LooseVersion("2.15.0") < LooseVersion("2.21.0")


def test_distutils_is_made_once_where_python_has_none(monkeypatch):
    monkeypatch.setattr(scientific.importlib.util, "find_spec", lambda _name: None)
    for name in ("distutils", "distutils.version"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    scientific.install_distutils()
    made = sys.modules["distutils"]
    monkeypatch.undo()  # find_spec is Python's own again, which refuses a module without a spec
    monkeypatch.setitem(sys.modules, "distutils", made)
    scientific.install_distutils()
    assert sys.modules["distutils"] is made and made.version.LooseVersion("1.5") is not None


def test_no_stand_in_for_pkg_resources(tf):
    """Others ask whether it is there: pytest calls what a stand-in would lack."""
    assert hasattr(sys.modules.get("pkg_resources", pytest), "__file__")
