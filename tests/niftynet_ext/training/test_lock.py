"""One writer per model folder."""
import os
import socket
import subprocess
import sys

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
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_by_pid_and_host(other, tmp_path):
    with pytest.raises(SystemExit, match=f"process {other.pid} on {socket.gethostname()} is train"):
        lock.hold(tmp_path)


def test_the_lock_ends_with_its_process_however_that_ends(other, tmp_path):
    other.kill()
    other.communicate()
    lock.hold(tmp_path)
    lock.hold(tmp_path)  # the same process may go on
    owner = (tmp_path / lock.NAME).read_text()
    assert owner == f"process {os.getpid()} on {socket.gethostname()}\n"
