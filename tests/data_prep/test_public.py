"""The public names of the package."""

import subprocess
import sys
import types

import pytest

import data_prep

HEAVY = ("numpy", "pydicom", "pydantic", "nibabel", "scipy", "tensorflow")


@pytest.mark.parametrize("name", data_prep.__all__)
def test_a_public_name_is_there(name):
    value = getattr(data_prep, name)
    assert not isinstance(value, types.ModuleType)
    assert value.__module__.startswith("data_prep.")
    assert value.__name__ == name
    assert name in dir(data_prep)


def test_no_public_name_is_that_of_a_room():
    rooms = {"cohort", "commands", "core", "dicom_in", "dicom_out", "phantom", "pictures"}
    assert rooms.isdisjoint(data_prep.__all__)
    assert sorted(data_prep.__all__, key=lambda name: (name.islower(), name)) == data_prep.__all__


def test_other_names_and_rooms_are_found_as_usual():
    from data_prep import phantom

    assert phantom.write_phantom_cohort is data_prep.write_phantom_cohort
    with pytest.raises(AttributeError, match="'data_prep' has no attribute 'nothing'"):
        data_prep.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys; import data_prep; "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules]); "
        "data_prep.DataError; print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "False"]
