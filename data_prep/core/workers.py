"""Local worker processes, each for one job at a time on one thread, and the bound of their memory.

They are forked by a server that has imported what a job needs: two of them cost a second of CPU
time where Dask's local ones cost seven, an eighth of what 96 patients of 134 slices take.
"""

import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

_MOST = 2**62  # bytes: no bound


@dataclass(frozen=True)
class Failure:
    """In the place of a job's result: its worker died, or it raised."""

    reason: str


def attempt(function: Callable[[Any], Any], job: Any, memory_gb: float) -> Any:
    """Call a function of one job in this process, on one thread, in bounded memory.

    NumPy's threads wait for each other in busy loops: on a machine whose cores are all at work, a
    patient took several times as long with two of them.

    :return: what it returned, or a :class:`Failure` where it wanted more memory.
    """
    try:
        with threadpool_limits(1), bounded_memory(memory_gb):
            return function(job)
    except MemoryError:
        return Failure(
            f"More memory was needed than the bound of {memory_gb:g} GB. Run again with more "
            "--memory and fewer --workers."
        )


@contextmanager
def bounded_memory(memory_gb: float) -> Iterator[None]:
    """Within the block this process gets no more than ``memory_gb`` beyond what it has.

    What goes beyond raises MemoryError where it is asked for. Linux counts all that a process may
    write for itself (RLIMIT_DATA); where /proc does not tell how much that is, nothing is bounded.
    """
    own, (soft, hard) = _own_bytes(), resource.getrlimit(resource.RLIMIT_DATA)
    bound = own + memory_gb * 1e9
    lowest = min([_MOST] + [one for one in (soft, hard) if one != resource.RLIM_INFINITY])
    if not own or bound >= lowest:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (int(bound), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _own_bytes() -> int:
    """Return how many bytes count for RLIMIT_DATA; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines())
    return next((1024 * int(words[1]) for words in lines if words[0] == "VmData:"), 0)


class Workers:
    """Some processes that live until :meth:`close`; one that dies is replaced.

    :param count: how many.
    :param memory_gb: bound of each, beyond the 0.1 GB of its libraries.
    :param preload: modules that the server imports, so that each worker has them from the start.
    """

    def __init__(self, count: int, memory_gb: float, preload: Sequence[str] = ()):
        self._memory_gb = memory_gb
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._count = count
        self._processes: dict[Connection, BaseProcess] = {}

    def _start(self) -> Connection:
        """Start a worker; return this end of the pipe to it."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._memory_gb), daemon=True, name="data_prep worker"
        )
        process.start()
        theirs.close()  # so that the pipe ends when the worker does
        self._processes[ours] = process
        return ours

    def run(self, function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (index of the job, result or :class:`Failure`) as they come."""
        waiting, running = iter(enumerate(jobs)), {}

        def hand_out(worker):
            for number, job in waiting:
                running[worker] = number
                with suppress(OSError):  # a worker that is dead already: receiving tells
                    worker.send((function, job))
                return

        while len(self._processes) < self._count:
            self._start()
        try:
            for worker in list(self._processes):
                hand_out(worker)
            while running:
                for worker in wait(list(running)):
                    number = running.pop(worker)
                    try:
                        result = worker.recv()
                    except (EOFError, OSError):
                        result = self._bury(worker)
                        worker = self._start()
                    hand_out(worker)
                    yield number, result
        finally:
            self._end(list(running))  # who left early wants nothing of what they are at

    def _bury(self, worker: Connection) -> Failure:
        """Note the death of a worker."""
        process = self._processes.pop(worker)
        worker.close()
        process.join()
        return Failure(
            f"The worker process died (exit code {process.exitcode}), most likely of too much "
            f"memory (bound: {self._memory_gb:g} GB). Run again with more --memory and fewer "
            "--workers."
        )

    def close(self) -> None:
        """End all workers, whatever they are at: a patient's files are written whole or not."""
        self._end(list(self._processes))

    def _end(self, workers: list[Connection]) -> None:
        processes = [self._processes.pop(worker) for worker in workers]
        for worker, process in zip(workers, processes, strict=True):
            process.terminate()
            worker.close()
        for process in processes:
            process.join()


def _serve(jobs: Connection, memory_gb: float) -> None:
    """Be a worker until the other end of the pipe is closed, or its process is gone."""
    # Ctrl-C, which a terminal sends to the workers too, is left to the process that ends them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            function, job = jobs.recv()
        except EOFError:
            return
        try:
            result = attempt(function, job, memory_gb)
        except Exception as error:  # of this job only
            result = Failure(f"Unexpected {type(error).__name__}: {error}")
        try:
            jobs.send(result)
        except OSError:  # nobody is there any more
            return
