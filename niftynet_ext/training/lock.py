"""One writer per model folder."""

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from niftynet_ext.core.errors import RefusedError

NAME = "training.lock"
PATIENCE = 5.0  # seconds: a process that was killed a moment ago may still be ending
IN_USE = (errno.EACCES, errno.EAGAIN)  # the two that POSIX has for it
_held = {}  # path -> open file: the lock lives as long as the process


def hold(model_dir):
    """Take the folder for this process until it ends, however it ends.

    A POSIX record lock: it works over NFS, and a child process does not inherit it, so that a
    left-over data worker of a killed training does not keep the folder.

    :param model_dir: NiftyNet's model folder
    :raises RefusedError: another process is training there (names its pid and host), or the folder
        cannot be locked
    """
    path = Path(model_dir).resolve() / NAME
    if path in _held:
        return
    file = take(path)
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError as error:
        file.close()
        raise RefusedError(
            f"{path} could not be written: {error.strerror}. Make room on that "
            f"disk, or change model_dir"
        ) from error
    _held[path] = file


def check_free(model_dir):
    """Refuse a folder in use, for a process that will have another one train there.

    :param model_dir: NiftyNet's model folder, which exists
    :raises RefusedError: as for :func:`hold`
    """
    path = Path(model_dir).resolve() / NAME
    if path not in _held:
        take(path).close()


def take(path):
    """
    :param path: of the lock file
    :return: the file, open, unbuffered and locked: the lock ends when it is closed
    :raises RefusedError: it is not to be had; says why
    """
    try:
        file = open(path, "ab+", buffering=0)
    except OSError as error:
        raise RefusedError(
            f"{path} could not be opened: {error.strerror}. Change the permissions "
            f"of that file and its folder, make room on its disk, or change "
            f"model_dir"
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
                f"or give this training a model_dir of its own"
            ) from error
        raise RefusedError(
            f"{path} could not be locked: {error.strerror}. A model_dir needs a file system with "
            f"POSIX locks (NFS: its lock service); give one on another disk"
        ) from error
    return file


def lock(file):
    """
    :param file: open for writing
    :raises OSError: the lock is not to be had, :data:`IN_USE` not within :data:`PATIENCE` either
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in IN_USE or time.monotonic() > end:
                raise
        time.sleep(0.05)
