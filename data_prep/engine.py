"""Run pure jobs: in this process, in local worker processes, or on an existing Dask cluster.

A worker is one process that runs one job at a time on one thread, so two patients never share a
core; its memory is bounded: Dask ends a worker that goes beyond, and the job comes back as
:class:`Failure`. One worker means this process, without Dask: a single patient does not wait for a
cluster to start.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from data_prep import DataError

MEMORY_GB = 2.0
"""Default bound of a worker's memory. A CT of 134 slices of 512 x 512 takes 0.3 GB to prepare, 0.1
of it before the first file is read; the rest grows with the number of voxels."""

JOBS_A_WORKER = 8
"""Local workers take two to three seconds to start: fewer jobs for each are done sooner here."""

CONNECT_S = 10

LOCAL_CLUSTER = {
    # instead of Dask's, which has the C library hand back each freed block: ten times the page
    # faults, and twice the time for a patient
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "distributed.worker.profile.enabled": False,  # samples the job's stack every 10 ms
    "distributed.scheduler.allowed-failures": 0,  # what killed one worker would kill the next
    "distributed.scheduler.worker-saturation": 1.0,  # hand a worker one job at a time
    "logging": {"distributed": "critical"},  # failures are results here
}


Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]


@dataclass(frozen=True)
class Failure:
    """In the place of a job's result: its worker died, or it raised."""

    reason: str


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    :param workers: local processes; None for one a core, as far as jobs and memory go.
    :param memory_gb: bound of each local worker; an existing cluster has its own.
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
    def session(self) -> Iterator["Run"]:
        """Give the block a function that runs jobs; its workers start once, when they are needed.

        The function takes a function of one job and the jobs, and yields (index of the job, result)
        as they come. Function, jobs and results are to be pickled. Leaving early (Ctrl-C does)
        cancels what has not begun.

        :raises DataError: the cluster cannot be reached.
        """
        clients = []

        def run(function, jobs):
            if not clients and (self.scheduler is not None or self.local_workers(len(jobs)) > 1):
                clients.append(self._client(len(jobs)))
            return _run_on(clients[0], self._why, function, jobs) if clients else here(
                function, jobs
            )

        try:
            yield run
        finally:
            for client in clients:
                client.close()
                if self.scheduler is None:
                    client.cluster.close()

    def _client(self, jobs: int):
        """Connect to the cluster, or start a local one that listens on this machine only.

        :raises DataError: the scheduler does not answer.
        """
        import dask
        from distributed import Client, LocalCluster

        if self.scheduler is not None:
            try:
                return Client(self.scheduler, timeout=CONNECT_S)
            except (OSError, ValueError) as error:
                raise DataError(
                    f"No Dask scheduler answers at {self.scheduler} ({error}). Start one with "
                    "`dask scheduler`, and workers with `dask worker`."
                ) from error
        with dask.config.set(LOCAL_CLUSTER):
            cluster = LocalCluster(
                n_workers=self.local_workers(jobs), threads_per_worker=1, processes=True,
                memory_limit=int(self.memory_gb * 1e9), silence_logs=logging.CRITICAL,
                host="127.0.0.1", dashboard_address="127.0.0.1:0",  # this machine, any free port
            )
        client = Client(cluster)
        client.run(_ignore_interrupt)
        return client

    def _why(self, error: Exception) -> str:
        if type(error).__name__ != "KilledWorker":
            return f"Unexpected {type(error).__name__}: {error}"
        bound = f" (bound: {self.memory_gb:g} GB)" if self.scheduler is None else ""
        return (
            f"The worker process died, most likely of too much memory{bound}. Run again with more "
            "--memory and fewer --workers."
        )


def _ignore_interrupt() -> None:
    """Leave Ctrl-C, which a terminal sends to the workers too, to the process that ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def here(function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Run jobs in this process, in their order; as the function of :meth:`Engine.session`."""
    for index, job in enumerate(jobs):
        yield index, _on_one_thread(function, job)


def _run_on(client, why, function, jobs) -> Iterator[tuple[int, Any]]:
    """Run jobs on a Dask cluster.

    Never more at a time than there are threads: a worker that dies takes one job with it, and not
    those that queued behind it.

    :param why: turns an exception into the reason of a :class:`Failure`.
    """
    from distributed import as_completed

    waiting, index = iter(enumerate(jobs)), {}

    def submit():
        for number, job in waiting:
            future = client.submit(_on_one_thread, function, job, pure=False, retries=0)
            index[future] = number
            return [future]
        return []

    try:
        threads = max(1, sum(client.nthreads().values()))
        running = as_completed([one for _ in range(threads) for one in submit()])
        for future in running:
            finished = future.status == "finished"
            result = future.result() if finished else Failure(why(future.exception()))
            for one in submit():
                running.add(one)
            yield index.pop(future), result
    finally:
        client.cancel(list(index))


def _on_one_thread(function: Callable[[Any], Any], job: Any) -> Any:
    """Call the function while NumPy keeps to one thread.

    Its threads wait for each other in busy loops: on a machine whose cores are all at work, a
    patient took several times as long with two of them.
    """
    with threadpool_limits(1):
        return function(job)
