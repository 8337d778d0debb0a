"""Run pure jobs: in this process, in local worker processes, or on an existing Dask cluster.

A worker is one process that runs one job at a time on one thread, so two patients never share a
core. Its memory is bounded (:mod:`data_prep.core.workers`): a job that needs more comes back as a
:class:`Failure`. With one worker, jobs run in this process: a single patient does not wait until
processes have started.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from data_prep.core.errors import DataError
from data_prep.core.workers import Failure, Workers, attempt

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["CONNECT_S", "JOBS_A_WORKER", "MEMORY_GB", "Engine", "Failure", "Run", "here"]

MEMORY_GB = 2.0
"""Default bound of a worker's memory. Preparing a CT of 134 slices of 512 x 512 takes 0.3 GB, 0.1
GB of it before the first file is read; the rest grows with the number of voxels."""

JOBS_A_WORKER = 4
"""Smallest number of jobs for each local worker. Starting a worker takes about a second: fewer jobs
end sooner in this process."""

CONNECT_S = 10
"""How long to wait for a Dask scheduler to answer, in seconds."""


Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]
"""A function that runs jobs, as :meth:`Engine.session` gives it."""


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    Local processes import the script that starts them: in a script, call what uses an engine below
    ``if __name__ == "__main__":``.

    :param workers: number of local processes; None for one per core, as far as the number of jobs
        and the memory allow.
    :param memory_gb: bound of each local worker, or of this process where it is the only one; an
        existing cluster has its own bounds.
    :param scheduler: address of an existing Dask scheduler, whose workers have this package
        installed and see the same files under the same paths; None for local processes.
    """

    workers: int | None = None
    memory_gb: float = MEMORY_GB
    scheduler: str | None = None

    def check(self) -> None:
        """Refuse values that make no sense.

        :raises DataError: fewer than one worker, or no memory.
        """
        if self.workers is not None and self.workers < 1:
            raise DataError(f"--workers is {self.workers}, expected at least 1.")
        if not self.memory_gb > 0:
            raise DataError(f"--memory is {self.memory_gb}, expected GB above 0.")

    def local_workers(self, jobs: int) -> int:
        """Return how many local processes to use for a number of jobs."""
        if self.workers is not None:
            return self.workers if jobs > 1 else 1
        memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        bounds = (len(os.sched_getaffinity(0)), jobs // JOBS_A_WORKER, memory_gb // self.memory_gb)
        return max(1, int(min(bounds)))

    @contextmanager
    def session(self, preload: Sequence[str] = ()) -> Iterator[Run]:
        """Give the block a function that runs jobs; its workers start once, when first needed.

        The function takes a function of one job, and the jobs. It yields (index of the job, result)
        in the order in which the jobs end. Function, jobs and results must be picklable. Leaving
        the block early (as Ctrl-C does) cancels all jobs that have not begun.

        :param preload: modules that local workers import before their first job.
        :raises DataError: the cluster cannot be reached.
        """
        client: Client | None = None
        workers: Workers | None = None

        def run(function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
            nonlocal client, workers
            if self.scheduler is not None:
                client = client or _connect(self.scheduler)
                return _run_on(client, function, jobs)
            if workers is None and self.local_workers(len(jobs)) > 1:
                workers = Workers(self.local_workers(len(jobs)), self.memory_gb, preload)
            if workers is None:
                return here(function, jobs, self.memory_gb)
            return workers.run(function, jobs)

        try:
            yield run
        finally:
            for pool in (client, workers):
                if pool is not None:
                    pool.close()


def here(
    function: Callable[[Any], Any], jobs: Sequence[Any], memory_gb: float = MEMORY_GB
) -> Iterator[tuple[int, Any]]:
    """Run jobs in this process, in their order; a :data:`Run` like that of a session.

    :param memory_gb: bound of this process while a job runs.
    """
    for index, job in enumerate(jobs):
        yield index, attempt(function, job, memory_gb)


def _connect(scheduler: str) -> "Client":
    """Connect to a Dask cluster.

    :raises DataError: the scheduler does not answer.
    """
    from distributed import Client

    try:
        return Client(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise DataError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with "
            "`dask scheduler`, and workers with `dask worker`."
        ) from error


def _run_on(
    client: "Client", function: Callable[[Any], Any], jobs: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """Run jobs on a Dask cluster, whose workers have bounds of their own.

    Never more at a time than there are threads: a worker that dies then takes only the job that it
    was running with it, and none that were queued behind it.
    """
    from distributed import as_completed

    waiting = iter(enumerate(jobs))
    indices: dict[Future, int] = {}
    call = partial(attempt, function, memory_gb=float("inf"))

    def submit() -> "list[Future]":
        """Submit the next job, if there is one."""
        for index, job in waiting:
            future = client.submit(call, job, pure=False, retries=0)
            indices[future] = index
            return [future]
        return []

    try:
        threads = max(1, sum(client.nthreads().values()))
        running = as_completed([future for _ in range(threads) for future in submit()])
        for future in running:
            finished = future.status == "finished"
            result = future.result() if finished else Failure(_why(future.exception()))
            for following in submit():
                running.add(following)
            yield indices.pop(future), result
    finally:
        client.cancel(list(indices))


def _why(error: Exception) -> str:
    """Return why a job on a cluster failed, for a message."""
    if type(error).__name__ != "KilledWorker":
        return f"Unexpected {type(error).__name__}: {error}"
    return (
        "The cluster's worker process died, most likely because it ran out of memory. Start its "
        "workers with more (dask worker --memory-limit)."
    )
