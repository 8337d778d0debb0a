"""Damaged files: whatever is wrong with them, nothing but the package's own error comes out."""

import resource
import shutil

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_in.patient import ReadOptions, read_patient
from data_prep.dicom_in.scan import scan
from tests.support.dicom_patients import square

OPTIONS = ReadOptions(allow_unlabelled=True, resample_oblique=True, compare_sources=True)
NASTY = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\xfe\xff\xdd\xe0",
    b"\xfe\xff\0\xe0",
    b"SQ\0\0",
    b"UN\0\0",
    b"OW\0\0",
    b"1e999",
    b"nan\\",
    b"-1\\",
    b"\\\\\\\\",
]
VALUES = [
    None,
    "",
    0,
    -1,
    2**16 - 1,
    2**31 - 1,
    1e308,
    -1e308,
    "nan",
    "inf",
    "x" * 70,
    "1\\2",
    [0] * 6,
    [1e9] * 6,
    [1, 0, 0, 0, 1, 0],
    [0.6, 0.8, 0, -0.8, 0.6, 0],
    b"\0\1",
    "9" * 20,
]
LARGEST_GROWTH_KB = 300 * 1024


def mutate_bytes(content, rng):
    """Return a file's bytes with one to four random faults."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(content) or 1))
        length = int(rng.integers(1, 200))
        kind = rng.integers(7)
        if kind == 0:
            content[at : at + 1] = rng.bytes(1)
        elif kind == 1:
            nasty = NASTY[rng.integers(len(NASTY))]
            content[at : at + len(nasty)] = nasty
        elif kind == 2:
            del content[at:]
        elif kind == 3:
            del content[at : at + length]
        elif kind == 4:
            content[at:at] = rng.bytes(length)
        elif kind == 5:
            content[at:at] = content[at : at + length]
        else:
            content[at : at + length] = rng.bytes(length)
    return bytes(content)


def mutate_values(content, rng, path):
    """Return a file's bytes after one to three elements, however deep, got a value of nonsense."""
    path.write_bytes(content)
    dataset = pydicom.dcmread(path)
    for _ in range(rng.integers(1, 4)):
        holder = dataset
        while True:
            elements = list(holder)
            if not elements:
                break
            element = elements[rng.integers(len(elements))]
            if element.VR == "SQ" and element.value and rng.random() < 0.9:
                holder = element.value[rng.integers(len(element.value))]
                continue
            if rng.random() < 0.3:
                del holder[element.tag]
            elif element.VR == "SQ":
                element.value = [] if rng.random() < 0.5 else list(element.value) * 2
            else:
                nonsense = VALUES[rng.integers(len(VALUES))]
                holder[element.tag] = pydicom.DataElement(
                    element.tag, element.VR, nonsense, already_converted=True
                )
            break
    dataset.save_as(path)
    return path.read_bytes()


def fuzz(patient, kind, mutants, seed):
    """Read a patient with one damaged file, ``mutants`` times.

    :return: how often it was read all the same, was refused, or a file was left out in the scan.
    """
    made = patient(slices=4).write()
    made.structures({"GTV-1": [(1, square(3.5, 9.5)), (2, square(3.5, 9.5))], "Heart": None})
    made.segmentation({"GTV-1": {1: np.eye(24, 28), 2: np.eye(24, 28)}}, name="seg")
    (made.folder / "rs.dcm").rename(made.folder / "rtstruct")
    target = made.folder / {"RTSTRUCT": "rtstruct", "SEG": "seg"}.get(kind, "002")
    if kind == "SEG":
        (made.folder / "rtstruct").unlink()
    elif kind == "compressed CT":
        dataset = pydicom.dcmread(target)
        dataset.compress(RLELossless)
        dataset.save_as(target)
    elif kind == "multi-frame CT":
        for path in made.folder.glob("00?"):
            path.unlink()
        made.write_multiframe()
        target = made.folder / "multi"
    content, rng = target.read_bytes(), np.random.default_rng([seed, *kind.encode()])
    outcomes = {"read": 0, "refused": 0, "left out": 0}
    number = 0
    while number < mutants:
        try:
            if number % 2:
                damaged = mutate_values(content, rng, target)
            else:
                damaged = mutate_bytes(content, rng)
        except Exception:  # pydicom writes no such value
            continue
        target.write_bytes(damaged)
        number += 1
        try:
            patients, unreadable, _ = scan(made.folder)
            outcomes["left out"] += bool(unreadable)
            for person in patients:
                read_patient(person, rois.DEFAULT_RULE, OPTIONS)
                outcomes["read"] += 1
        except DataError as error:
            outcomes["refused"] += 1
            assert str(error)
            assert "Secret" not in str(error)
        except Exception as error:
            shutil.copy(target, made.folder.parent / "mutant")
            pytest.fail(f"{kind} mutant {number} (seed {seed}) in {made.folder.parent}: {error!r}")
    return outcomes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["CT", "compressed CT", "multi-frame CT", "RTSTRUCT", "SEG"])
@pytest.mark.parametrize(
    ("mutants", "seed"), [(50, 0), pytest.param(500, 1, marks=pytest.mark.long)]
)
def test_no_exception_but_the_packages_own(patient, kind, mutants, seed):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = fuzz(patient, kind, mutants, seed)
    assert min(outcomes.values()) > 0  # the mutants are neither all harmless nor all hopeless
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST_GROWTH_KB
