"""Read a DICOM file without trusting it: no length field allocates more than the file holds."""

import hashlib
import io
import logging
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from data_prep.core.errors import DataError

MAX_FILE_BYTES = 2**29
"""Largest file that is read: a multi-frame CT of 1,000 slices."""

MAX_INFLATED_BYTES = 2**28
"""Largest inflated size of a deflated file; it is in memory twice while it is parsed."""

MAX_ITEMS = 2**17
"""Largest number of sequence items in a file; pydicom takes 20 microseconds for each. A structure
set of 30,000 contours that each reference their slice has 60,000, a segmentation of 10,000 frames
about 80,000."""

MAX_READS = 2**20
"""Largest number of reads of a file, which take some seconds. An element takes two or three, unless
it is in a sequence of stated length."""

_SMALL_READ, _LARGE_READ = 2**10, 2**16
_HEADER_BYTES = 8  # of an element, read first: tag, VR and length (PS3.5 7.1)
_MAX_META_BYTES = 2**20  # a sound file has some hundred
_UNDEFINED_LENGTH = 0xFFFFFFFF
_BULK_GROUPS = (0x3006, 0x7FE0)  # ROIs and contours; pixels

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages are in DataErrors here


class UnreadableError(DataError):
    """A file cannot be read. The message does not name it; the caller adds the path."""


class NotDicomError(UnreadableError):
    """The file is empty, or does not begin like DICOM."""


class _Counter:
    """Counts the reads and the sequence items of a stream, and ends the reading beyond the limits.

    A sequence of stated length is parsed later, from the bytes that were read here. Pixel data,
    which hold no items, are not searched.
    """

    def __init__(self) -> None:
        self.items = self.reads = 0
        self.in_pixels = False
        self.fault: UnreadableError | None = None  # pydicom turns errors raised here into its own

    def restart(self) -> None:
        """Count from 0: what was read so far is read again."""
        self.items = self.reads = 0

    def check(self, size: int | None, content: bytes) -> bytes:
        """Count what was read.

        :param size: number of bytes that were requested.
        :param content: what the stream returned.
        :return: ``content``.
        :raises UnreadableError: the file has more items or elements than any sound file.
        """
        self.reads += 1
        if size == _HEADER_BYTES:
            self.in_pixels = content[:2] in (b"\xe0\x7f", b"\x7f\xe0")
        if len(content) >= _HEADER_BYTES and not self.in_pixels:  # less is only looked at
            self.items += items_in(content)
        if self.items > MAX_ITEMS:
            self.fault = _too_many_items()
        elif self.reads > MAX_READS:
            self.fault = UnreadableError(f"more than {MAX_READS} elements: not read")
        if self.fault:
            raise self.fault
        return content


class _Content(io.BytesIO):
    """The content of a file in memory, with its reads counted."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.counter = _Counter()

    def read(self, size: int | None = -1, /) -> bytes:
        return self.counter.check(size, super().read(size))


class _Bounded(io.BufferedReader):
    """A file that never returns, nor allocates, more than it holds, with its reads counted.

    A damaged length field can ask for 4 GB, which Python would allocate before it reads.
    """

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.counter = _Counter()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGE_READ:
            here = self.tell()
            end = self.seek(0, os.SEEK_END)
            self.seek(here)
            size = min(size, max(0, end - here))
        return self.counter.check(size, super().read(size))


def items_in(content: bytes) -> int:
    """Return how many sequence items may begin in these bytes, in either byte order."""
    return content.count(b"\xfe\xff\x00\xe0") + content.count(b"\xff\xfe\xe0\x00")


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Turn any error that a damaged data set raises into a DataError that names the file.

    pydicom converts a value when it is first accessed, so that can be anywhere.

    :param what: kind and path of the file.
    """
    try:
        yield
    except (UnreadableError, OSError) as error:
        raise DataError(f"{what}: {error}. Fetch the file again.") from error
    except (DataError, MemoryError):
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
        raise DataError(f"{what}: damaged ({found}). Fetch the file again.") from error


def read_header(path: Path, specific_tags: Sequence[str] | None = None) -> Dataset:
    """Read the header of one DICOM file, with or without the preamble (PS3.10 section 7.1).

    Reading ends before the pixels of an image and before the contours of a structure set.

    :param specific_tags: keywords of the attributes to read; None for all.
    :raises NotDicomError: the file is empty or not DICOM.
    :raises UnreadableError: it is damaged, ends too early, or is larger than ``MAX_FILE_BYTES``.
    """
    with _Bounded(io.FileIO(path)) as stream:
        return _parse(stream, path.stat().st_size, specific_tags, whole=False)


def read_whole(path: Path, specific_tags: Sequence[str] | None = None) -> tuple[Dataset, str]:
    """Read one DICOM file to its end.

    :param specific_tags: keywords of the attributes to read; None for all.
    :return: the data set and the SHA-256 digest of the file.
    :raises UnreadableError: as from :func:`read_header`.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _too_large(size)
    content = path.read_bytes()
    dataset = _parse(_Content(content), size, specific_tags, whole=True)
    return dataset, hashlib.sha256(content).hexdigest()


def _cut_off(dataset: Dataset) -> bool:
    """Tell whether a value is shorter than its length field says, which pydicom accepts."""
    for tag in dataset.keys():
        element: Any = dataset.get_item(tag)  # typed as a DataElement, and may be a raw one
        if isinstance(element, RawDataElement):  # a sequence too, unless of undefined length
            if element.length != _UNDEFINED_LENGTH and element.length != len(element.value or b""):
                return True
        elif element.VR == "SQ" and any(_cut_off(item) for item in element.value):
            return True
    return False


def _parse(
    stream: _Content | _Bounded, size: int, specific_tags: Sequence[str] | None, whole: bool
) -> Dataset:
    """Parse a stream.

    :param size: of the file, in bytes.
    :param specific_tags: keywords of the attributes to read; None for all.
    :param whole: read to the end, and not the header only.
    :raises UnreadableError: see :func:`read_header`.
    """
    start = stream.read(_SMALL_READ)
    if not start:
        raise NotDicomError("empty file")
    preamble = start[128:132] == b"DICM"
    if preamble:
        start += stream.read(_meta_bytes(start))  # the transfer syntax may be at its end
    if not preamble and start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        raise NotDicomError("not DICOM")
    if size > MAX_FILE_BYTES:
        raise _too_large(size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if DeflatedExplicitVRLittleEndian.encode() in start:
                _check_inflated_size(stream, start)
            stream.seek(0)
            stream.counter.restart()
            dataset = read_partial(
                stream,
                stop_when=None if whole else _beyond_header,
                force=not preamble,
                specific_tags=None if specific_tags is None else [Tag(k) for k in specific_tags],
            )
            if not dataset.get("SOPClassUID"):
                raise UnreadableError("not a DICOM object, or cut off: it has no SOP Class UID")
            if "TransferSyntaxUID" not in dataset.file_meta:  # pydicom guessed it while reading
                implicit, _ = dataset.original_encoding
                guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
                dataset.file_meta.TransferSyntaxUID = guess
            if whole and _cut_off(dataset):
                raise UnreadableError("damaged DICOM (it ends within a value)")
            return dataset
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # a damaged file can raise anything
        fault = stream.counter.fault or UnreadableError(f"damaged DICOM ({type(error).__name__})")
        raise fault from error


def _meta_bytes(start: bytes) -> int:
    """Return how many bytes after ``start`` may belong to the meta information (PS3.10 7.1).

    :raises UnreadableError: its stated length is too large.
    """
    if start[132:136] != b"\x02\x00\x00\x00":  # its length is not stated
        return _MAX_META_BYTES
    length = int.from_bytes(start[140:144], "little")
    if length > _MAX_META_BYTES:
        raise UnreadableError(f"damaged DICOM (meta information of {length} bytes)")
    return max(0, 144 + length - len(start))


def _beyond_header(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group in _BULK_GROUPS


def _check_inflated_size(stream: io.BytesIO | io.BufferedReader, start: bytes) -> None:
    """Refuse a deflated data set (PS3.5 A.5) that would fill the memory, before holding all of it.

    :raises UnreadableError: it grows beyond ``MAX_INFLATED_BYTES``, or has too many items.
    """
    if start[132:136] != b"\x02\x00\x00\x00":
        raise UnreadableError("damaged DICOM (deflated, and no length of the meta information)")
    stream.seek(144 + int.from_bytes(start[140:144], "little"))
    inflater, grown, items, end = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0, b""
    while not inflater.eof and (packed := inflater.unconsumed_tail or stream.read(_LARGE_READ)):
        part = inflater.decompress(packed, 2**22)
        items += items_in(part) + items_in(end + part[:3])  # an item may be cut in two
        grown, end = grown + len(part), part[-3:]
        if items > MAX_ITEMS:
            raise _too_many_items()
        if grown > MAX_INFLATED_BYTES:
            raise UnreadableError(
                f"deflated, and grows beyond {MAX_INFLATED_BYTES} bytes: not read"
            )


def _too_many_items() -> UnreadableError:
    return UnreadableError(f"more than {MAX_ITEMS} sequence items: not read")


def _too_large(size: int) -> UnreadableError:
    return UnreadableError(f"{size} bytes, expected at most {MAX_FILE_BYTES}: not read")
