"""Run pure jobs: in this process, in local worker processes, or on an existing Dask cluster.

A worker is one process that runs one job at a time on one thread, so two patients never share a
core. Its memory is bounded (:mod:`data_prep.core.workers`): a job that wants more comes back as
:class:`Failure`. One worker means this process: a single patient does not wait for others to start.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.workers import Failure, Workers, attempt

MEMORY_GB = 2.0
"""Default bound of a worker's memory. A CT of 134 slices of 512 x 512 takes 0.3 GB to prepare, 0.1
of it before the first file is read; the rest grows with the number of voxels."""

JOBS_A_WORKER = 4
"""Local workers take about a second to start: fewer jobs for each are done sooner here."""

CONNECT_S = 10


Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    :param workers: local processes; None for one a core, as far as jobs and memory go.
    :param memory_gb: bound of each local worker, of this process where it is the only one; an
        existing cluster has its own.
    :param scheduler: address of an existing Dask scheduler, whose workers have this package and see
        the same files under the same paths; None for local processes.
    """

    workers: int | None = None
    memory_gb: float = MEMORY_GB
    scheduler: str | None = None

    def check(self) -> None:
        """:raises DataError: a value makes no sense."""
        if self.workers is not None and self.workers < 1:
            raise DataError(f"--workers is {self.workers}, expected at least 1.")
        if not self.memory_gb > 0:
            raise DataError(f"--memory is {self.memory_gb}, expected GB above 0.")

    def local_workers(self, jobs: int) -> int:
        """Return how many local processes ``jobs`` jobs are worth."""
        if self.workers is not None:
            return self.workers if jobs > 1 else 1
        memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        bounds = (len(os.sched_getaffinity(0)), jobs // JOBS_A_WORKER, memory_gb // self.memory_gb)
        return max(1, int(min(bounds)))

    @contextmanager
    def session(self, preload: Sequence[str] = ()) -> Iterator["Run"]:
        """Give the block a function that runs jobs; its workers start once, when they are needed.

        The function takes a function of one job and the jobs, and yields (index of the job, result)
        as they come. Function, jobs and results are to be pickled. Leaving early (Ctrl-C does)
        cancels what has not begun.

        :param preload: modules that local workers import before their first job.

        :raises DataError: the cluster cannot be reached.
        """
        opened = []

        def run(function, jobs):
            if not opened and (self.scheduler is not None or self.local_workers(len(jobs)) > 1):
                opened.append(self._open(len(jobs), preload))
            if not opened:
                return here(function, jobs, self.memory_gb)
            if self.scheduler is not None:
                return _run_on(opened[0], function, jobs)
            return opened[0].run(function, jobs)

        try:
            yield run
        finally:
            for one in opened:
                one.close()

    def _open(self, jobs: int, preload: Sequence[str]):
        """Start local workers, or connect to the cluster.

        :raises DataError: the scheduler does not answer.
        """
        if self.scheduler is None:
            return Workers(self.local_workers(jobs), self.memory_gb, preload)
        from distributed import Client

        try:
            return Client(self.scheduler, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise DataError(
                f"No Dask scheduler answers at {self.scheduler} ({error}). Start one with "
                "`dask scheduler`, and workers with `dask worker`."
            ) from error


def here(
    function: Callable[[Any], Any], jobs: Sequence[Any], memory_gb: float = MEMORY_GB
) -> Iterator[tuple[int, Any]]:
    """Run jobs in this process, in their order; as the function of :meth:`Engine.session`."""
    for index, job in enumerate(jobs):
        yield index, attempt(function, job, memory_gb)


def _run_on(client, function, jobs) -> Iterator[tuple[int, Any]]:
    """Run jobs on a Dask cluster, whose workers have bounds of their own.

    Never more at a time than there are threads: a worker that dies takes one job with it, and not
    those that queued behind it.
    """
    from distributed import as_completed

    waiting, index = iter(enumerate(jobs)), {}
    call = partial(attempt, function, memory_gb=float("inf"))

    def submit():
        for number, job in waiting:
            future = client.submit(call, job, pure=False, retries=0)
            index[future] = number
            return [future]
        return []

    try:
        threads = max(1, sum(client.nthreads().values()))
        running = as_completed([one for _ in range(threads) for one in submit()])
        for future in running:
            finished = future.status == "finished"
            result = future.result() if finished else Failure(_why(future.exception()))
            for one in submit():
                running.add(one)
            yield index.pop(future), result
    finally:
        client.cancel(list(index))


def _why(error: Exception) -> str:
    if type(error).__name__ != "KilledWorker":
        return f"Unexpected {type(error).__name__}: {error}"
    return (
        "The cluster's worker process died, most likely of too much memory. Start its workers with "
        "more (dask worker --memory-limit)."
    )
