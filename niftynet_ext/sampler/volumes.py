"""Volumes read, turned, padded and normalised once, kept in memory up to a bound, then on disk.

The file on the disk has no name: it was removed when it was made, so that nothing is left behind,
however the process ends. It is mapped into memory, where the system keeps as much of it as fits.
"""

import collections
import copy
import mmap
import os
import tempfile
import threading

import numpy as np

from niftynet_ext.core.errors import RefusedError
from niftynet_ext.sampler import deform

GB = 2**30
PIECE = 2**28  # bytes that the file on the disk grows by, and one mapping of it


class VolumeStore:
    """Arrays by key, in memory up to a bound and in a mapped file beyond it.

    :param limit: bytes in memory
    :param folder: where the file is made
    """

    def __init__(self, limit, folder):
        self.limit, self.in_memory = limit, 0
        self._file = MappedFile(folder)
        self._volumes = {}
        self._lock, self._locks = threading.Lock(), collections.defaultdict(threading.Lock)

    @property
    def on_disk(self):
        """Bytes in the file."""
        return self._file.used

    def get(self, key, make):
        """
        :param key: of a volume
        :param make: function that makes it, a dict of arrays; called once a key
        :return: the dict, its arrays read-only
        """
        with self._lock:
            lock = self._locks[key]
        with lock:  # other volumes may be made meanwhile
            if key not in self._volumes:
                self._volumes[key] = self._keep(make())
            return self._volumes[key]

    def _keep(self, arrays):
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
    """A nameless file that arrays are appended to.

    :param folder: on the disk that has room for it
    """

    def __init__(self, folder):
        self.folder, self.used = folder, 0
        self._file, self._length = None, 0
        self._piece, self._taken = None, 0

    def put(self, array):
        """
        :param array: any array
        :return: the same, mapped from the file
        :raises RefusedError: the disk is full
        """
        if self._piece is None or self._taken + array.nbytes > len(self._piece):
            self._grow(max(PIECE, -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE))
        copied = np.ndarray(array.shape, array.dtype, self._piece, self._taken)
        copied[...] = array
        # the next array begins where any type may
        self._taken += -(-array.nbytes // 64) * 64
        self.used += array.nbytes
        return copied

    def _grow(self, size):
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.folder)
            # a sparse file on a full disk would kill the process at its first write
            os.posix_fallocate(self._file.fileno(), self._length, size)
        except OSError as error:
            raise RefusedError(
                f"{self.folder} has no room for {size / GB:.2f} GB of volumes more, beyond the "
                f"{self._length / GB:.2f} GB there: {error.strerror}. Free some, or raise "
                f"volume_memory_gb in [TRAINING]"
            ) from error
        self._piece = mmap.mmap(self._file.fileno(), size, offset=self._length)
        self._length, self._taken = self._length + size, 0


def read(reader, index, layers):
    """
    :param reader: NiftyNet's image reader
    :param index: of a subject
    :param layers: normalising layers that draw nothing
    :return: dict of ``image``, ``label``, ... to (x, y, z, 1, channels) arrays
    """
    data = {name: image.get_data() for name, image in reader.output_list[index].items()}
    mask = None
    for layer in copy.deepcopy(layers):  # they keep what they find out about a volume
        data, mask = layer(data, mask)
    return data


def prepare(data, orders, deforming):
    """
    :param data: what :func:`read` gave
    :param orders: dict of the same names to the order of interpolation
    :param deforming: whether windows will be deformed, or cut as they are
    :return: dict of names to (channels, ...) arrays as :func:`.deform.store` makes them
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


def compact(array):
    """
    :param array: any numbers
    :return: uint8 where that holds them all, e.g. a label, else float32
    """
    small = array.astype(np.uint8) if 0 <= array.min() and array.max() <= 255 else None
    if small is not None and np.array_equal(small, array):
        return small
    return array.astype(np.float32, copy=False)
