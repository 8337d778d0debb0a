"""One writer per model folder."""

import errno
import fcntl
import os
import socket
import time
from io import FileIO
from pathlib import Path

from niftynet_ext.core.errors import RefusedError

LOCK_FILE = "training.lock"
"""Name of the lock file in the model folder."""

PATIENCE_S = 5.0
"""Seconds to wait for a lock: a process that was just killed may take a moment to end."""

IN_USE = (errno.EACCES, errno.EAGAIN)
"""The two error numbers that POSIX has for a lock that another process holds."""

_held: dict[Path, FileIO] = {}  # open files by path: a lock lives as long as its process


def hold(model_dir: str | Path) -> None:
    """Lock the folder for this process until it ends, however it ends.

    The lock is a POSIX record lock: it works over NFS, and a child process does not inherit it, so
    that a data worker that outlives a killed training does not keep the folder locked.

    :param model_dir: NiftyNet's model folder
    :raises RefusedError: another process is training there (the message has its process number and
        host), or the folder cannot be locked
    """
    path = Path(model_dir).resolve() / LOCK_FILE
    if path in _held:
        return
    file = take(path)
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError as error:
        file.close()
        raise RefusedError(
            f"{path} could not be written: {error.strerror}. Free some space on that disk, or "
            f"change model_dir"
        ) from error
    _held[path] = file


def check_free(model_dir: str | Path) -> None:
    """Refuse a folder in use, for a process that is about to start another one that trains there.

    :param model_dir: NiftyNet's model folder, which exists
    :raises RefusedError: as for :func:`hold`
    """
    path = Path(model_dir).resolve() / LOCK_FILE
    if path not in _held:
        take(path).close()


def take(path: Path) -> FileIO:
    """Open and lock a file.

    :param path: the lock file
    :return: the file, open, unbuffered and locked: the lock ends when it is closed
    :raises RefusedError: it cannot be opened or locked; the message says why
    """
    try:
        file = open(path, "ab+", buffering=0)
    except OSError as error:
        raise RefusedError(
            f"{path} could not be opened: {error.strerror}. Change the permissions of that file "
            f"and its folder, free some space on its disk, or change model_dir"
        ) from error
    try:
        lock(file)
    except OSError as error:
        file.seek(0)
        owner = file.read().decode("utf-8", "replace").strip() or "another process"
        file.close()
        if error.errno in IN_USE:
            raise RefusedError(
                f"{path.parent} is in use: {owner} is training there. Wait until it has ended, "
                f"or give this training another model_dir"
            ) from error
        raise RefusedError(
            f"{path} could not be locked: {error.strerror}. model_dir must be on a file system "
            f"with POSIX locks (over NFS: with its lock service). Change model_dir to another disk"
        ) from error
    return file


def lock(file: FileIO) -> None:
    """Lock a file, waiting up to :data:`PATIENCE_S` while another process holds it.

    :param file: open for writing
    :raises OSError: the file could not be locked
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in IN_USE or time.monotonic() > end:
                raise
        time.sleep(0.05)
