"""Volumes that are read, turned, padded and normalised once, then kept in memory or on disk.

Volumes that exceed the memory allowed go to a file without a name: nothing is left behind, however
the process ends. The file is mapped into memory, where the system keeps as much of it as fits.
"""

import collections
import copy
import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from niftynet_ext.core.errors import RefusedError
from niftynet_ext.sampler import deform

# NiftyNet is untyped: its objects (reader, layers) are Any

Arrays = dict[str, np.ndarray]
"""Arrays of one subject: ``image``, ``label``, ..."""

GB = 2**30
"""Bytes."""

PIECE = 2**28
"""Bytes by which the file on disk grows; each piece is one mapping."""

ALIGNMENT = 64
"""Bytes; an array of any type may begin at a multiple of it."""


class VolumeStore:
    """Arrays by key, in memory up to a limit and in a mapped file beyond it.

    :param limit: bytes in memory
    :param folder: where the file is made
    """

    def __init__(self, limit: float, folder: str | os.PathLike[str]) -> None:
        self.limit, self.in_memory = limit, 0
        self._file = MappedFile(folder)
        self._volumes: dict[Hashable, Arrays] = {}
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = collections.defaultdict(threading.Lock)

    @property
    def on_disk(self) -> int:
        """Bytes in the file."""
        return self._file.used

    def get(self, key: Hashable, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of a volume.

        :param key: of the volume
        :param make: function that makes the arrays; called once for each key
        :return: read-only arrays
        """
        with self._lock:
            lock = self._locks[key]
        with lock:  # other volumes may be made meanwhile
            if key not in self._volumes:
                self._volumes[key] = self._keep(make())
            return self._volumes[key]

    def _keep(self, arrays: Arrays) -> Arrays:
        size = sum(array.nbytes for array in arrays.values())
        with self._lock:
            if self.in_memory + size <= self.limit:
                self.in_memory += size
            else:
                arrays = {name: self._file.put(array) for name, array in arrays.items()}
        for array in arrays.values():
            array.flags.writeable = False
        return arrays


class MappedFile:
    """A file without a name, to which arrays are appended.

    :param folder: on the disk that has space for it
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder, self.used = folder, 0
        self._file: Any = None
        self._length = 0
        self._piece: mmap.mmap | None = None
        self._taken = 0

    def put(self, array: np.ndarray) -> np.ndarray:
        """Append an array.

        :param array: of any type
        :return: the same, mapped from the file
        :raises RefusedError: the disk is full
        """
        piece = self._piece
        if piece is None or self._taken + array.nbytes > len(piece):
            piece = self._grow(max(PIECE, -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE))
        copied: np.ndarray = np.ndarray(array.shape, array.dtype, piece, self._taken)
        copied[...] = array
        self._taken += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
        self.used += array.nbytes
        return copied

    def _grow(self, size: int) -> mmap.mmap:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.folder)
            # writing to a sparse file on a full disk would kill the process
            os.posix_fallocate(self._file.fileno(), self._length, size)
        except OSError as error:
            raise RefusedError(
                f"{self.folder} has no space for {size / GB:.2f} GB of volumes, beyond the "
                f"{self._length / GB:.2f} GB that are there: {error.strerror}. Free some space, or "
                f"raise volume_memory_gb in [TRAINING]"
            ) from error
        self._piece = mmap.mmap(self._file.fileno(), size, offset=self._length)
        self._length, self._taken = self._length + size, 0
        return self._piece


def read(reader: Any, index: int, layers: Iterable[Any]) -> Arrays:
    """Read the images of a subject and apply the layers that do not depend on chance.

    :param reader: NiftyNet's image reader
    :param index: of the subject
    :param layers: NiftyNet's layers that draw nothing (padding, whitening, ...)
    :return: (x, y, z, 1, channels) arrays
    """
    data = {name: image.get_data() for name, image in reader.output_list[index].items()}
    mask = None
    for layer in copy.deepcopy(layers):  # a layer keeps what it learns about a volume
        data, mask = layer(data, mask)
    return data


def prepare(data: Arrays, orders: Mapping[str, int], deforming: bool) -> Arrays:
    """Bring the images of a subject into the form in which windows are cut from them.

    :param data: from :func:`read`
    :param orders: the order of interpolation, by the same names
    :param deforming: whether windows will be deformed, or cut as they are
    :return: (channels, ...) arrays as :func:`.deform.store` makes them
    """
    return {
        name: np.stack(
            [
                deform.store(compact(array[..., 0, channel]), orders[name] if deforming else 0)
                for channel in range(array.shape[-1])
            ]
        )
        for name, array in data.items()
    }


def compact(array: np.ndarray) -> np.ndarray:
    """Store an array in as few bytes as its values allow.

    :param array: any numbers
    :return: uint8 where that holds all values, e.g. a label, else float32
    """
    small = array.astype(np.uint8) if 0 <= array.min() and array.max() <= 255 else None
    if small is not None and np.array_equal(small, array):
        return small
    return array.astype(np.float32, copy=False)
