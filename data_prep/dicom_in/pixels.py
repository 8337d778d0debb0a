"""Decode the pixels of a CT file to Hounsfield units."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from data_prep.core.errors import DataError
from data_prep.dicom_in.reading import read_whole
from data_prep.dicom_in.scan import SliceHeader

OUTSIDE_HU = -1024
"""Value of padding, and the lowest value of a volume: whatever lies below (-2000, -2048, -3024) is
padding outside the scanner's circle, whether Pixel Padding Value says so or not."""

MAX_HU = int(np.iinfo(np.int16).max)
"""Highest value of a volume: it is stored as int16."""

TISSUE_HU = 3071
"""Highest value of a 12-bit scanner. A Pixel Padding Value between air and this one is ignored: it
would cut holes into the patient."""

_PIXEL_TAGS = [
    "SOPClassUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelData",
]


def read_hu(
    path: Path, headers: list[SliceHeader]
) -> tuple[Iterator[tuple[SliceHeader, np.ndarray]], str]:
    """Read the slices of one file.

    Stored values are rescaled frame by frame (PS3.3 C.11.1.1.2); padding (C.7.5.1.1.2) and lower
    values become ``OUTSIDE_HU``.

    :param headers: of the wanted slices, all in this file.
    :return: an iterator over pairs of a header and its int16 (rows, columns), and the SHA-256
        digest of the file.
    :raises DataError: the file is damaged; also raised by the iterator.
    """
    try:
        dataset, digest = read_whole(path, specific_tags=_PIXEL_TAGS)
        stored = stored_frames(dataset)
    except MemoryError:
        raise
    except Exception as error:  # each codec raises errors of its own
        raise _fault(path, error) from error

    def frames() -> Iterator[tuple[SliceHeader, np.ndarray]]:
        for header in headers:
            try:
                hu = to_hu(
                    stored(header.frame),
                    bits=int(dataset.get("BitsStored") or 16),
                    high_bit=int(dataset.get("HighBit", (dataset.get("BitsStored") or 16) - 1)),
                    signed=bool(dataset.get("PixelRepresentation")),
                    rescale=header.rescale or (1.0, 0.0),
                    padding=_padding(dataset),
                )
                if hu.shape != (header.rows, header.columns):
                    raise DataError(f"decoded to {hu.shape}")
            except MemoryError:
                raise
            except Exception as error:  # as above
                raise _fault(path, error) from error
            yield header, hu

    return frames(), digest


def to_hu(
    stored: np.ndarray,
    bits: int,
    high_bit: int,
    signed: bool,
    rescale: tuple[float, float],
    padding: tuple[int, int] | None = None,
) -> np.ndarray:
    """Convert stored values to Hounsfield units.

    Bits outside Bits Stored are not pixel data (PS3.5 8.1.1) and are removed, since old scanners
    put overlays there; padding is recognised by all allocated bits.

    :param stored: integers of 8, 16 or 32 bits.
    :param bits: Bits Stored.
    :param high_bit: High Bit.
    :param signed: whether Pixel Representation is signed.
    :param rescale: slope and intercept.
    :param padding: lowest and highest stored value of the padding, by all allocated bits.
    :return: int16 of the same shape, from ``OUTSIDE_HU`` to ``MAX_HU``.
    """
    slope, intercept = rescale
    allocated = stored.dtype.itemsize * 8
    values = stored.astype(np.int32 if allocated < 32 else np.int64)
    if bits < allocated:
        values = (values >> (high_bit - bits + 1)) & ((1 << bits) - 1)
        if signed:
            values = (values ^ (1 << (bits - 1))) - (1 << (bits - 1))
    if slope == 1.0 and float(intercept).is_integer() and abs(intercept) < 1 << 24:
        values += int(intercept)
        hu = np.clip(values, OUTSIDE_HU, MAX_HU).astype(np.int16)
    else:
        scaled = values * slope + intercept
        hu = np.clip(np.rint(scaled), OUTSIDE_HU, MAX_HU).astype(np.int16)
    if padding is not None:
        low, high = sorted(padding)
        limits_hu = np.array([low, high]) * slope + intercept
        if not (OUTSIDE_HU < limits_hu.max() and limits_hu.min() <= TISSUE_HU):
            hu[(stored >= low) & (stored <= high)] = OUTSIDE_HU
    return hu


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    """Return the lowest and highest stored value of padding, signed as the pixels are, or None."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    size = 1 << int(dataset.get("BitsAllocated") or 16)
    # the VR may be US or SS, whatever the pixels are
    first, last = int(value) % size, int(limit) % size
    if dataset.get("PixelRepresentation"):
        first, last = (bound - size if bound >= size // 2 else bound for bound in (first, last))
    return first, last


def stored_frames(dataset: Dataset) -> Callable[[int], np.ndarray]:
    """Return a function from the index of a frame to its stored values, integers (rows, columns).

    :param dataset: an image with one sample per pixel.
    :raises DataError: a compressed frame declares another size than the header.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    bits = int(dataset.get("BitsAllocated") or 16)
    syntax = dataset.file_meta.TransferSyntaxUID
    if bits in (8, 16, 32) and not syntax.is_compressed and syntax.is_little_endian:
        # most files are like this; a hundred times faster than pydicom with its checks
        data = dataset.get_item("PixelData").value
        kind = np.dtype(f"<{'i' if dataset.get('PixelRepresentation') else 'u'}{bits // 8}")
        size = rows * columns

        def plain(frame: int) -> np.ndarray:
            offset = frame * size * kind.itemsize
            return np.frombuffer(data, kind, size, offset).reshape(rows, columns)

        return plain
    if syntax.is_encapsulated:
        count = int(dataset.get("NumberOfFrames") or 1)
        for frame in generate_frames(dataset.PixelData, number_of_frames=count):
            found = codestream_size(frame)
            if found is not None and found != (rows, columns):
                raise DataError(f"image of {found} in a frame of {(rows, columns)} pixels")

    def decoded(frame: int) -> np.ndarray:
        from pydicom.pixels.utils import pixel_array

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pixel_array(dataset, index=frame)

    return decoded


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Return the rows and columns that a compressed frame declares.

    Checking them first keeps a decoder from allocating more. JPEG and JPEG-LS have them in the
    start of frame (ITU-T T.81 B.2.2, T.87 C.2.2), JPEG 2000 in the SIZ segment (T.800 A.5.1).

    :return: None for a format that declares none (RLE).
    :raises DataError: a JPEG has no start of frame.
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:
        field = frame[start + 8 : start + 24]
        x1, y1, x0, y0 = (int.from_bytes(field[k : k + 4], "big") for k in (0, 4, 8, 12))
        return y1 - y0, x1 - x0
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) or marker == 0xF7:
            return (
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 9], "big"),
            )
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise DataError("JPEG without a start of frame")


def _fault(path: Path, error: Exception) -> DataError:
    found = " ".join(str(error).split())
    return DataError(
        f"{path}: the pixels cannot be read ({found}). Fetch the file again; if it is compressed, "
        "check that python-gdcm is installed."
    )
