"""One writer per model folder."""

import errno
import os
import socket
import subprocess
import sys
import threading

import pytest

from niftynet_ext.training import lock

HOLD = """
import sys
from niftynet_ext.training import lock
lock.hold(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_by_pid_and_host(other, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_S", 0)
    with pytest.raises(SystemExit, match=f"process {other.pid} on {socket.gethostname()} is train"):
        lock.hold(tmp_path)


def test_the_lock_ends_with_its_process_however_that_ends(other, tmp_path):
    other.kill()
    other.communicate()
    lock.hold(tmp_path)
    lock.hold(tmp_path)  # the same process may go on
    owner = (tmp_path / lock.LOCK_FILE).read_text()
    assert owner == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_a_folder_is_free_until_somebody_trains_there(tmp_path):
    lock.check_free(tmp_path)
    lock.hold(tmp_path)
    lock.check_free(tmp_path)  # our own
    process = subprocess.run(
        [sys.executable, "-c", HOLD, tmp_path], text=True, input="", capture_output=True
    )
    assert process.returncode == 1 and f"process {os.getpid()} on" in process.stderr


def test_a_process_that_is_ending_is_waited_for(other, tmp_path):
    threading.Timer(0.5, other.kill).start()
    lock.check_free(tmp_path)


def test_a_folder_in_use_is_not_free(other, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_S", 0)
    with pytest.raises(SystemExit, match=f"in use: process {other.pid} on"):
        lock.check_free(tmp_path)


def no_locks(_file, _flags):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "lockf", no_locks)
    with pytest.raises(SystemExit, match="could not be locked: No locks available") as refusal:
        lock.hold(tmp_path)
    assert "in use" not in str(refusal.value)


def test_a_lock_file_that_cannot_be_opened_is_reported(tmp_path):
    """A folder of that name stands for a file of somebody else: root may open any file."""
    (tmp_path / lock.LOCK_FILE).mkdir()
    with pytest.raises(SystemExit, match="training.lock could not be opened: Is a directory"):
        lock.hold(tmp_path)


def test_a_full_disk_is_reported(tmp_path):
    """A limit on the size of files stands for the disk's."""
    code = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    process = subprocess.run(
        [sys.executable, "-c", code + HOLD, tmp_path], text=True, input="", capture_output=True
    )
    assert process.returncode == 1
    assert "training.lock could not be written: File too large" in process.stderr
