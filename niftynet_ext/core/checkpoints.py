"""Find the whole checkpoints of a model folder, without TensorFlow.

TensorFlow writes ``model.ckpt-N.data-00000-of-00001`` and then ``model.ckpt-N.index``, each under
a temporary name (``.tempstate...``) that is renamed when the file is complete; the text file
``checkpoint``, which names the latest, likewise (``checkpoint.tmp...``). A process that is killed
meanwhile leaves temporary files, or data without an index. An index is a table of keys in LevelDB's
format (tensorflow/core/lib/io/format.cc); each value is a BundleEntryProto
(tensorflow/core/protobuf/tensor_bundle.proto) with the place of a tensor in the data file.
"""

import hashlib
import re
import shutil
import struct
from os import PathLike
from pathlib import Path

_MAGIC = 0xDB4775248B80FB57  # last 8 bytes of a table
_FOOTER_BYTES = 48
_INDEX_NAME = re.compile(r"model\.ckpt-(\d+)\.index$")
_LATEST_NAME = re.compile(r'^model_checkpoint_path: "(?:.*/)?model\.ckpt-(\d+)"', re.MULTILINE)

LEFTOVERS = ("*.tempstate*", "checkpoint.tmp*", "*.meta.tmp*", "model.ckpt-*_temp*")
"""Patterns of the names that an interrupted write leaves behind."""


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, the low ones first.

    :return: the number at ``position``, and the position after it
    """
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _block(data: bytes, handle: bytes) -> list[tuple[bytes, bytes]]:
    """Read a block of a table; keys share their beginnings with the key before.

    :param data: a whole table
    :param handle: bytes that begin with offset and size of a block, as varints
    :return: keys and values
    :raises ValueError: the block is compressed, which TensorFlow's are not
    """
    offset, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    if data[offset + size]:
        raise ValueError("compressed block")
    block = data[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    entries: list[tuple[bytes, bytes]] = []
    position, key = 0, b""
    while position < size - 4 * (restarts + 1):
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        entries.append((key, block[position : position + length]))
        position += length
    return entries


def _integers(message: bytes) -> dict[int, int]:
    """Read the integers of a serialised protocol buffer.

    :return: the last value of each integer field, by the field's number
    """
    integers: dict[int, int] = {}
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire_type = tag & 7
        if wire_type == 0:
            integers[tag >> 3], position = _varint(message, position)
        else:  # text, a message, or a fixed number of 8 or 4 bytes
            length = {1: 8, 5: 4}.get(wire_type)
            if length is None:
                length, position = _varint(message, position)
            position += length
    return integers


def promised_sizes(index: bytes) -> list[int]:
    """Read how large the data files of a checkpoint must be.

    :param index: content of an ``.index`` file
    :return: the number of bytes of each data file
    :raises ValueError: not a whole index
    """
    try:
        if struct.unpack("<Q", index[-8:])[0] != _MAGIC:
            raise ValueError("no table")
        footer = index[-_FOOTER_BYTES:]
        _, position = _varint(footer, 0)
        _, position = _varint(footer, position)  # skip the handle of the meta-index
        entries = [
            entry
            for _, handle in _block(index, footer[position:])
            for entry in _block(index, handle)
        ]
        (_, header), *tensors = entries
        sizes = [0] * _integers(header).get(1, 1)
        for _, value in tensors:
            entry = _integers(value)
            shard = entry.get(3, 0)
            sizes[shard] = max(sizes[shard], entry.get(4, 0) + entry.get(5, 0))
    except (IndexError, struct.error, ValueError) as error:
        raise ValueError(f"not a whole index of a checkpoint: {error}") from error
    return sizes


def is_whole(index: str | PathLike[str]) -> bool:
    """Tell whether an index can be read, and its data files have the sizes that it promises.

    :param index: path of an ``.index`` file
    """
    index = Path(index)
    try:
        sizes = promised_sizes(index.read_bytes())
        return all(
            index.with_name(f"{index.stem}.data-{shard:05d}-of-{len(sizes):05d}").stat().st_size
            >= size
            for shard, size in enumerate(sizes)
        )
    except (OSError, ValueError):
        return False


def whole(model_dir: str | PathLike[str]) -> list[int]:
    """Find the whole checkpoints of a model folder.

    :param model_dir: NiftyNet's model folder
    :return: their iterations, in rising order
    """
    indices = (
        (_INDEX_NAME.search(path.name), path)
        for path in Path(model_dir, "models").glob("model.ckpt-*.index")
    )
    return sorted(int(match[1]) for match, path in indices if match and is_whole(path))


def sha256(model_dir: str | PathLike[str], iteration: int) -> str:
    """Hash the data and index files of a checkpoint.

    :param model_dir: NiftyNet's model folder
    :param iteration: of the checkpoint
    :return: SHA-256 as hexadecimal digits
    """
    digest = hashlib.sha256()
    for path in sorted(Path(model_dir, "models").glob(f"model.ckpt-{iteration}.*")):
        if not path.name.endswith(".meta"):  # the graph, with paths and dates
            digest.update(path.read_bytes())
    return digest.hexdigest()


def latest(model_dir: str | PathLike[str]) -> int | None:
    """Find the checkpoint to resume from: the whole one that was written last.

    It is the one that NiftyNet's text file names (not the highest: an earlier training may have
    gone further), or a later one, if the process was killed before it could name that.

    :param model_dir: NiftyNet's model folder
    :return: iteration number, or None if there is no whole checkpoint
    """
    numbers = whole(model_dir)
    folder = Path(model_dir, "models")
    try:
        text = (folder / "checkpoint").read_text(encoding="utf-8")
        written = (folder / "checkpoint").stat().st_mtime_ns
    except (OSError, UnicodeDecodeError):
        text, written = "", 0
    named = _LATEST_NAME.search(text)
    if not named or int(named[1]) not in numbers:
        return max(numbers, default=None)
    return max(
        number
        for number in numbers
        if number == int(named[1])
        or number > int(named[1])
        and (folder / f"model.ckpt-{number}.index").stat().st_mtime_ns > written
    )


def tidy(model_dir: str | PathLike[str]) -> list[str]:
    """Remove what an interrupted write has left behind. Only for the one writer of the folder.

    :param model_dir: NiftyNet's model folder
    :return: names of the removed files and folders
    """
    folder = Path(model_dir, "models")
    found = {path for pattern in LEFTOVERS for path in folder.glob(pattern)}
    found.update(
        path
        for path in folder.glob("model.ckpt-*.data-*")
        if not path.with_name(f"{path.name.rpartition('.data-')[0]}.index").exists()
    )
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return sorted(path.name for path in found)
