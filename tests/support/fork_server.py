"""Commands of this environment without the start of TensorFlow.

``net_segment`` takes five seconds to import TensorFlow and less than one for a training of a toy.
Here one process imports both once and forks a child for every command: the child has its own
session, arguments, environment and output, and ends as a started process would. Nothing but the
import happens before the fork, so no thread of TensorFlow and no session is ever shared.

What this does not test is the start itself. Real scripts and processes start in
tests/niftynet_ext/compat/test_hook.py, and where tests/test_main_job.py segments a new patient.
"""

import array
import atexit
import contextlib
import functools
import importlib.metadata
import json
import os
import random
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path

BIN = Path(sys.executable).parent
MESSAGE_BYTES = 1 << 20


class ForkServer:
    """Starts ``net_*`` and ``python -m`` commands; the server itself starts with the first one.

    :param home: folder that NiftyNet takes for the user's, written on import
    """

    def __init__(self, home):
        self.home = home
        self.control = None
        self.process = None

    def start(self, words, cwd, log, env=None):
        """Start a command in a process group of its own, as ``subprocess.Popen`` does.

        :param words: ``net_segment`` or another console script of NiftyNet and its arguments, or
            ``python -m MODULE`` and its arguments
        :param cwd: working folder
        :param log: path; all that the command prints is written there
        :param env: environment, this process's if None
        :return: :class:`ForkedProcess`
        """
        if self.process is None:
            self._start_server()
        request = {
            "words": [str(word) for word in words],
            "cwd": str(cwd),
            "log": str(log),
            "env": dict(os.environ if env is None else env),
        }
        ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            other_fd = array.array("i", [other.fileno()])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, other_fd)]
            self.control.sendmsg([json.dumps(request).encode()], rights)
        return ForkedProcess(ours)

    def run(self, words, cwd, log, env=None, timeout=300):
        """Run a command to its end.

        :return: exit code, and all that was printed
        """
        code = self.start(words, cwd, log, env).wait(timeout)
        text = Path(log).read_text(errors="replace")
        print(text)  # pytest shows it when the test fails
        return code, text

    def stop(self):
        """End the server and every command that still runs."""
        if self.process is not None:
            self.control.close()
            self.process.wait(timeout=60)

    def _start_server(self):
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        (self.home / "config.ini").write_text(f"[global]\nhome = {self.home}\n")
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(other.fileno())],
                cwd=Path(__file__).parents[2],
                env={**os.environ, "niftynet_config_home": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[other.fileno()],
            )


class ForkedProcess:
    """A command that the server started; has what the tests use of ``subprocess.Popen``."""

    def __init__(self, connection):
        self.connection = connection
        self.returncode = None
        self.pid = self._receive(timeout=60)["pid"]

    def poll(self):
        """Return the exit code, None while the command runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout=None):
        """Return the exit code, minus the signal's number if one ended it."""
        if self.returncode is None:
            self.returncode = self._receive(timeout)["code"]
            self.connection.close()
        return self.returncode

    def send_signal(self, number):
        """Send a signal to the process, not to its group."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _receive(self, timeout):
        if not select.select([self.connection], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("forked command", timeout)
        answer = self.connection.recv(MESSAGE_BYTES)
        assert answer, "the fork server ended: its errors are on stderr"
        return json.loads(answer)


def serve(control):
    """Fork a child for every request, and tell each requester how its child ended.

    :param control: socket of the requests; its end is the end of this process and of its children
    """
    import niftynet  # noqa: F401  (what all children have in common)

    # TensorFlow's allocator has a thread of its own, which takes care of forks
    warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)

    search_path = [
        folder
        for folder in sys.path
        if folder not in ("", os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    ]
    children = {}  # pidfd -> (pid, connection)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    pid, connection = children.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    answer = {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}
                    with connection, contextlib.suppress(OSError):  # nobody may be waiting
                        connection.send(json.dumps(answer).encode())
                    continue
                request, fds, *_ = socket.recv_fds(control, MESSAGE_BYTES, 1)
                if not request:
                    for pid, _ in children.values():
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(pid, signal.SIGKILL)
                    return
                connection = socket.socket(fileno=fds[0])
                pid = os.fork()
                if pid == 0:
                    os.setsid()
                    connection.send(json.dumps({"pid": os.getpid()}).encode())
                    for other in (control, connection, *(sock for _, sock in children.values())):
                        other.close()
                    selector.close()
                    finish_as_process(functools.partial(obey, json.loads(request), search_path))
                fd = os.pidfd_open(pid)
                children[fd] = pid, connection
                selector.register(fd, selectors.EVENT_READ)


def obey(request, search_path):
    """Become the command of a request.

    :return: what its function returns, for ``sys.exit``
    """
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    added = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:] = [*added, *search_path]
    subprocess.Popen = ForkingPopen
    return call(request["words"])


def call(words):
    """Call what a console script, or ``python -m``, calls.

    :param words: the command
    :return: what the function returns, for ``sys.exit``
    """
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # or all children would draw the same numbers
    name = Path(words[0]).name
    if name == "python":
        option, module, *arguments = words[1:]
        assert option == "-m", words
        sys.path.insert(0, os.getcwd())
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    sys.argv = [str(BIN / name), *words[1:]]
    sys.path.insert(0, str(BIN))
    return entry_points()[name].load()()


def entry_points():
    """Return the console scripts of NiftyNet by name."""
    return {
        point.name: point
        for point in importlib.metadata.distribution("niftynet").entry_points
        if point.group == "console_scripts"
    }


def finish_as_process(function):
    """Call a function, then end this process as the interpreter does at the end of a script."""
    code = 0
    try:
        code = function()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # waits for threads, which os._exit does not
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit((code or 0) & 0xFF)


POPEN = subprocess.Popen


class ForkingPopen(POPEN):
    """Stands for ``subprocess.Popen``: forks where a script of NiftyNet is to be started.

    For the commands that start ``net_segment`` themselves. The new process belongs to the process
    group of its parent, as a started one does.
    """

    def __new__(cls, words, *others, **options):
        if isinstance(words, list) and Path(words[0]).name in entry_points():
            return ForkedChild(words, *others, **options)
        return POPEN(words, *others, **options)


class ForkedChild:
    """A child of this process; has what :mod:`niftynet_ext.study.rounds` uses of ``Popen``."""

    def __init__(self, words, stdout, stderr, text, errors):
        assert (stdout, stderr, text) == (subprocess.PIPE, subprocess.STDOUT, True), words
        self.returncode = None
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.close(write)
            finish_as_process(functools.partial(call, words))
        os.close(write)
        self.stdout = open(read, errors=errors)

    def wait(self):
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def communicate(self):
        text = self.stdout.read()
        self.wait()
        return text, None


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        serve(requests)
