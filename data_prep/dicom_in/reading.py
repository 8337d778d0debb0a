"""Read a DICOM file without trusting it: no length in it makes room for more than there is."""

import hashlib
import io
import logging
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
"""Largest size to which a deflated file may grow; it is held twice while it is parsed."""

MAX_ITEMS = 2**17
"""Most sequence items of a file; pydicom takes 20 microseconds for one. A structure set of 30,000
contours that each name their slice has 60,000, a segmentation of 10,000 frames some 80,000."""

MAX_READS = 2**20
"""Most pieces that a file may be read in, two or three for an element outside of a sequence whose
length is told: some seconds."""

_SMALL_READ, _LARGE_READ = 2**10, 2**16
_HEADER_BYTES = 8  # with which pydicom begins an element: tag, VR and length (PS3.5 7.1)
_MAX_META_BYTES = 2**20  # some hundred, where nothing is amiss
_UNDEFINED_LENGTH = 0xFFFFFFFF
_BULK_GROUPS = (0x3006, 0x7FE0)  # ROIs and contours; pixels

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it logs what is said in a DataError here


class UnreadableError(DataError):
    """A file cannot be read. The message does not name it: who asked for it does."""


class NotDicomError(UnreadableError):
    """The file is empty, or does not begin as DICOM does."""


class _Counted:
    """A stream that ends the reading of a file of more items or pieces than any has.

    A sequence whose length is told is parsed later, from the bytes that were read here; pixels,
    where no items are, are not searched.
    """

    items = reads = 0
    in_pixels = False
    fault: Exception | None = None  # pydicom turns any that is raised here into its own

    def read(self, size=-1):
        content = super().read(size)
        self.reads += 1
        if size == _HEADER_BYTES:
            self.in_pixels = content[:2] in (b"\xe0\x7f", b"\x7f\xe0")
        if len(content) >= _HEADER_BYTES and not self.in_pixels:  # less is a look ahead
            self.items += items_in(content)
        if self.items > MAX_ITEMS:
            self.fault = _too_many_items()
        elif self.reads > MAX_READS:
            self.fault = UnreadableError(f"more than {MAX_READS} elements: not read")
        if self.fault:
            raise self.fault
        return content


class _Content(_Counted, io.BytesIO):
    """The content of a file in memory."""


class _Bounded(_Counted, io.BufferedReader):
    """A file that never gives, nor makes room for, more than it holds.

    A damaged length field can ask for 4 GB, and Python would allocate them before it reads.
    """

    def read(self, size=-1):
        if size is not None and size > _LARGE_READ:
            here = self.tell()
            end = self.seek(0, os.SEEK_END)
            self.seek(here)
            size = min(size, max(0, end - here))
        return super().read(size)


def items_in(content: bytes) -> int:
    """Return how many sequence items may begin in some bytes, in either byte order."""
    return content.count(b"\xfe\xff\x00\xe0") + content.count(b"\xff\xfe\xe0\x00")


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Turn whatever reading a damaged data set raises into a DataError that names the file.

    pydicom converts a value when it is first asked for it, so that can be anywhere.

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


def read_header(path: Path, **options) -> Dataset:
    """Read the header of one DICOM file, with or without the preamble (PS3.10 section 7.1).

    It ends before the pixels of an image and the contours of a structure set.

    :param options: handed to :func:`pydicom.filereader.read_partial`.
    :raises NotDicomError: the file is empty or something else than DICOM.
    :raises UnreadableError: it is damaged, ends too early, or is larger than ``MAX_FILE_BYTES``.
    """
    with _Bounded(io.FileIO(path)) as stream:
        return _parse(stream, path.stat().st_size, stop_when=_beyond_header, **options)


def read_whole(path: Path, **options) -> tuple[Dataset, str]:
    """Read one DICOM file to its end.

    :return: the data set and the SHA-256 digest of the file.
    :raises UnreadableError: as :func:`read_header` does.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _too_large(size)
    content = path.read_bytes()
    dataset = _parse(_Content(content), size, whole=True, **options)
    return dataset, hashlib.sha256(content).hexdigest()


def _cut_off(dataset: Dataset) -> bool:
    """Tell whether a value is shorter than its length field says, which pydicom lets pass."""
    for tag in dataset.keys():
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):  # a sequence too, unless of undefined length
            if element.length != _UNDEFINED_LENGTH and element.length != len(element.value or b""):
                return True
        elif element.VR == "SQ" and any(_cut_off(item) for item in element.value):
            return True
    return False


def _parse(stream, size: int, whole: bool = False, **options) -> Dataset:
    """Parse a stream of ``size`` bytes; see :func:`read_header`."""
    start = stream.read(_SMALL_READ)
    if not start:
        raise NotDicomError("empty file")
    preamble = start[128:132] == b"DICM"
    if preamble:
        start += stream.read(_meta_bytes(start))  # the transfer syntax may stand at its end
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
            stream.items = stream.reads = 0  # what was looked at so far is read again
            if "specific_tags" in options:
                options["specific_tags"] = [Tag(name) for name in options["specific_tags"]]
            dataset = read_partial(stream, force=not preamble, **options)
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
        fault = stream.fault or UnreadableError(f"damaged DICOM ({type(error).__name__})")
        raise fault from error


def _meta_bytes(start: bytes) -> int:
    """Return how many bytes behind ``start`` may belong to the meta information (PS3.10 7.1).

    :raises UnreadableError: it says that it is longer than any.
    """
    if start[132:136] != b"\x02\x00\x00\x00":  # its length is not told
        return _MAX_META_BYTES
    length = int.from_bytes(start[140:144], "little")
    if length > _MAX_META_BYTES:
        raise UnreadableError(f"damaged DICOM (meta information of {length} bytes)")
    return max(0, 144 + length - len(start))


def _beyond_header(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group in _BULK_GROUPS


def _check_inflated_size(stream, start: bytes) -> None:
    """Refuse a deflated data set (PS3.5 A.5) that would fill the memory, without inflating it all.

    :raises UnreadableError: it grows beyond ``MAX_INFLATED_BYTES``, or has too many items.
    """
    if start[132:136] != b"\x02\x00\x00\x00":
        raise UnreadableError("damaged DICOM (deflated, and no length of the meta information)")
    stream.seek(144 + int.from_bytes(start[140:144], "little"))
    inflater, grown, items, end = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0, b""
    while not inflater.eof and (packed := inflater.unconsumed_tail or stream.read(_LARGE_READ)):
        part = inflater.decompress(packed, 2**22)
        items += items_in(part) + items_in(end + part[:3])  # one may be cut in two
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
