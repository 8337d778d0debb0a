"""One writer per model folder."""
import fcntl
import os
import socket
from pathlib import Path

from niftynet_ext.training.messages import RefusedError

NAME = "training.lock"
_held = {}  # path -> open file: the lock lives as long as the process


def hold(model_dir):
    """Take the folder for this process until it ends, however it ends.

    A POSIX record lock: it works over NFS, and a child process does not inherit it, so that a
    left-over data worker of a killed training does not keep the folder.

    :param model_dir: NiftyNet's model folder
    :raises RefusedError: another process is training there; names its pid and host
    """
    path = Path(model_dir).resolve() / NAME
    if path in _held:
        return
    # no `with`: the lock ends with the file object
    file = open(path, "a+", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise RefusedError(
            f"{model_dir} is in use: {owner} is training there. Wait until it has ended, "
            f"or give this training a model_dir of its own") from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _held[path] = file
