"""Local worker processes with bounded memory, each running one job at a time on one thread.

They are forked by a server that has imported what a job needs: two of them cost a second of CPU
time where Dask's local workers cost seven, an eighth of what 96 patients of 134 slices take.
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
from typing import Any, cast

from threadpoolctl import threadpool_limits

_UNBOUNDED_BYTES = 2**62


@dataclass(frozen=True)
class Failure:
    """What stands in for the result of a job that raised, or whose worker died.

    :param reason: a sentence or two for the user.
    """

    reason: str


def attempt(function: Callable[[Any], Any], job: Any, memory_gb: float) -> Any:
    """Call a function of one job in this process, on one thread, in bounded memory.

    NumPy's threads wait for each other in busy loops: on a machine whose cores are all busy, a
    patient took several times as long with two threads.

    :return: what the function returned, or a :class:`Failure` where it needed more memory.
    """
    try:
        with threadpool_limits(1), bounded_memory(memory_gb):
            return function(job)
    except MemoryError:
        return Failure(
            f"The memory limit of {memory_gb:g} GB was exceeded. Run again with more "
            "--memory and fewer --workers."
        )


@contextmanager
def bounded_memory(memory_gb: float) -> Iterator[None]:
    """Let this process allocate no more than ``memory_gb`` beyond what it has, within the block.

    An allocation beyond that raises MemoryError. Linux counts all memory that a process may write
    for itself (RLIMIT_DATA); where /proc does not state how much that is, nothing is bounded.
    """
    used, (soft, hard) = _used_bytes(), resource.getrlimit(resource.RLIMIT_DATA)
    bound = used + memory_gb * 1e9
    limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    if not used or bound >= min([_UNBOUNDED_BYTES, *limits]):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (int(bound), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _used_bytes() -> int:
    """Return how many bytes count towards RLIMIT_DATA; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines())
    return next((1024 * int(words[1]) for words in lines if words[0] == "VmData:"), 0)


class Workers:
    """Processes that live until :meth:`close`; one that dies is replaced.

    :param count: number of processes.
    :param memory_gb: bound of each, beyond the 0.1 GB of its libraries.
    :param preload: modules that the server imports, so that each worker has them from the start.
    """

    def __init__(self, count: int, memory_gb: float, preload: Sequence[str] = ()) -> None:
        self._memory_gb = memory_gb
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._count = count
        self._processes: dict[Connection, BaseProcess] = {}

    def _start(self) -> Connection:
        """Start a worker; return the parent's end of the pipe to it."""
        parent_end, worker_end = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(worker_end, self._memory_gb), daemon=True, name="data_prep worker"
        )
        process.start()
        worker_end.close()  # so that the pipe ends when the worker does
        self._processes[parent_end] = process
        return parent_end

    def run(self, function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Run jobs; yield (index of the job, result or :class:`Failure`) as they end."""
        waiting = iter(enumerate(jobs))
        running: dict[Connection, int] = {}

        def hand_out(worker: Connection) -> None:
            """Give a worker the next job, if there is one."""
            for index, job in waiting:
                running[worker] = index
                with suppress(OSError):  # a worker that is dead already: receiving will tell
                    worker.send((function, job))
                return

        while len(self._processes) < self._count:
            self._start()
        try:
            for worker in list(self._processes):
                hand_out(worker)
            while running:
                # wait() returns some of what it was given; it is typed for sockets too
                for worker in cast(list[Connection], wait(list(running))):
                    index = running.pop(worker)
                    try:
                        result = worker.recv()
                    except (EOFError, OSError):
                        result = self._bury(worker)
                        worker = self._start()
                    hand_out(worker)
                    yield index, result
        finally:
            self._end(list(running))  # the caller left early: what still runs is not wanted

    def _bury(self, worker: Connection) -> Failure:
        """Remove a worker that died, and say so."""
        process = self._processes.pop(worker)
        worker.close()
        process.join()
        return Failure(
            f"The worker process died (exit code {process.exitcode}), most likely because it ran "
            f"out of memory (bound: {self._memory_gb:g} GB). Run again with more --memory and "
            "fewer --workers."
        )

    def close(self) -> None:
        """End all workers, also in the middle of a job: files are written whole or not at all."""
        self._end(list(self._processes))

    def _end(self, workers: list[Connection]) -> None:
        processes = [self._processes.pop(worker) for worker in workers]
        for worker, process in zip(workers, processes, strict=True):
            process.terminate()
            worker.close()
        for process in processes:
            process.join()


def _serve(jobs: Connection, memory_gb: float) -> None:
    """Run jobs until the other end of the pipe is closed, or its process is gone."""
    # a terminal sends Ctrl-C to the workers too: it is left to the process that ends them
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
        except OSError:  # the other end is gone
            return
