"""Which checkpoints of a model folder are whole; imports no TensorFlow.

TensorFlow writes ``model.ckpt-N.data-00000-of-00001`` and then ``model.ckpt-N.index``, each under
a temporary name (``.tempstate...``) that is renamed when the file is complete; the text file
``checkpoint``, which names the latest, likewise (``checkpoint.tmp...``). A process killed on the
way leaves temporary files, or data without an index. An index is a table of keys in LevelDB's
format (tensorflow/core/lib/io/format.cc); each value is a BundleEntryProto
(tensorflow/core/protobuf/tensor_bundle.proto) with the place of a tensor in the data file.
"""

import hashlib
import re
import shutil
import struct
from pathlib import Path

MAGIC = 0xDB4775248B80FB57  # last 8 bytes of a table
FOOTER = 48
NUMBER = re.compile(r"model\.ckpt-(\d+)\.index$")
LEFTOVERS = ("*.tempstate*", "checkpoint.tmp*", "*.meta.tmp*", "model.ckpt-*_temp*")
LATEST = re.compile(r'^model_checkpoint_path: "(?:.*/)?model\.ckpt-(\d+)"', re.MULTILINE)


def _varint(data, position):
    """
    :return: the number at ``position`` (7 bits a byte, low ones first), and the position after it
    """
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _block(data, handle):
    """
    :param data: a whole table
    :param handle: bytes that begin with offset and size of a block, as varints
    :return: list of (key, value); keys share their beginnings with the key before
    :raises ValueError: the block is compressed, which TensorFlow's are not
    """
    offset, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    if data[offset + size]:
        raise ValueError("compressed block")
    block = data[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    position, key, entries = 0, b"", []
    while position < size - 4 * (restarts + 1):
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        entries.append((key, block[position : position + length]))
        position += length
    return entries


def _fields(message):
    """
    :param message: a serialised protocol buffer
    :return: dict of field number to its (last) value: an integer, or bytes
    """
    fields, position = {}, 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, position = _varint(message, position)
            value, position = message[position : position + length], position + length
        fields[tag >> 3] = value
    return fields


def promised_sizes(index):
    """
    :param index: content of an ``.index`` file
    :return: list with the number of bytes that each data file must have
    :raises ValueError: not a whole index
    """
    try:
        if struct.unpack("<Q", index[-8:])[0] != MAGIC:
            raise ValueError("no table")
        footer = index[-FOOTER:]
        _, position = _varint(footer, 0)
        _, position = _varint(footer, position)  # skip the handle of the meta-index
        entries = [
            entry
            for _, handle in _block(index, footer[position:])
            for entry in _block(index, handle)
        ]
        (_, header), *tensors = entries
        sizes = [0] * _fields(header).get(1, 1)
        for _, value in tensors:
            entry = _fields(value)
            shard = entry.get(3, 0)
            sizes[shard] = max(sizes[shard], entry.get(4, 0) + entry.get(5, 0))
    except (IndexError, struct.error, ValueError) as error:
        raise ValueError(f"not a whole index of a checkpoint: {error}") from error
    return sizes


def is_whole(index):
    """
    :param index: path of an ``.index`` file
    :return: whether it can be read, and its data files have the sizes that it promises
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


def whole(model_dir):
    """
    :param model_dir: NiftyNet's model folder
    :return: sorted iteration numbers of its whole checkpoints
    """
    indices = (
        (NUMBER.search(path.name), path)
        for path in Path(model_dir, "models").glob("model.ckpt-*.index")
    )
    return sorted(int(match[1]) for match, path in indices if match and is_whole(path))


def sha256(model_dir, iteration):
    """
    :param model_dir: NiftyNet's model folder
    :param iteration: of the checkpoint
    :return: SHA-256 over its data and index files, as hexadecimal digits
    """
    digest = hashlib.sha256()
    for path in sorted(Path(model_dir, "models").glob(f"model.ckpt-{iteration}.*")):
        if not path.name.endswith(".meta"):  # the graph, with paths and dates
            digest.update(path.read_bytes())
    return digest.hexdigest()


def latest(model_dir):
    """The checkpoint to go on from: the whole one that was written last.

    That is the one that NiftyNet's text file names (not the highest: an earlier training may have
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
    named = LATEST.search(text)
    if not named or int(named[1]) not in numbers:
        return max(numbers, default=None)
    return max(
        number
        for number in numbers
        if number == int(named[1])
        or number > int(named[1])
        and (folder / f"model.ckpt-{number}.index").stat().st_mtime_ns > written
    )


def tidy(model_dir):
    """Remove what an interrupted write has left. Only for the one writer of the folder.

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
