"""Run pure jobs: in this process, in local worker processes, or on an existing Dask cluster.

A worker is one process that runs one job at a time on one thread, so two patients never share a
core; its memory is bounded: Dask ends a worker that goes beyond, and the job comes back as
:class:`Failure`. One worker means this process, without Dask: a single patient does not wait for a
cluster to start.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from data_prep import DataError

MEMORY_GB = 2.0
"""Default bound of a worker's memory. A CT of 134 slices of 512 x 512 takes 0.5 GB to prepare;
2 GB are enough for some 700 slices."""

JOBS_A_WORKER = 4
"""A local worker takes seconds to start: fewer jobs than this are not worth one."""

CONNECT_S = 10

LOCAL_CLUSTER = {
    "distributed.scheduler.allowed-failures": 0,  # what killed one worker would kill the next
    "distributed.scheduler.worker-saturation": 1.0,  # hand a worker one job at a time
    "logging": {"distributed": "critical"},  # failures are results here
}


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
        """Return how many local processes ``jobs`` jobs get."""
        if self.workers is not None:
            return max(1, min(self.workers, jobs))
        memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        bounds = (len(os.sched_getaffinity(0)), jobs // JOBS_A_WORKER, memory_gb // self.memory_gb)
        return max(1, int(min(bounds)))

    def run(
        self, function: Callable[[Any], Any], jobs: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index of the job, what ``function`` returned for it), as they come.

        Closing the iterator early (Ctrl-C does) cancels what has not begun.

        :param function: takes one job; to be pickled, as are jobs and results.
        :raises DataError: the cluster cannot be reached.
        """
        if self.scheduler is None and self.local_workers(len(jobs)) == 1:
            for index, job in enumerate(jobs):
                yield index, _on_one_thread(function, job)
        else:
            yield from self._run_on_dask(function, jobs)

    def _run_on_dask(self, function, jobs):
        from distributed import as_completed

        waiting = iter(enumerate(jobs))
        index = {}

        def submit():
            """Hand out the next job; never more at a time than there are threads.

            A worker that dies then takes one job with it, and not those that queued behind it.
            """
            for number, job in waiting:
                future = client.submit(_on_one_thread, function, job, pure=False, retries=0)
                index[future] = number
                return [future]
            return []

        client = self._client(len(jobs))
        try:
            threads = max(1, sum(client.nthreads().values()))
            running = as_completed([one for _ in range(threads) for one in submit()])
            for future in running:
                if future.status == "finished":
                    result = future.result()
                else:
                    result = Failure(self._why(future.exception()))
                for one in submit():
                    running.add(one)
                yield index.pop(future), result
        finally:
            client.cancel(list(index))
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
                memory_limit=int(self.memory_gb * 1e9), dashboard_address=None, host="127.0.0.1",
                silence_logs=logging.CRITICAL,
            )
        return Client(cluster)

    def _why(self, error: Exception) -> str:
        if type(error).__name__ != "KilledWorker":
            return f"Unexpected {type(error).__name__}: {error}"
        bound = f" (bound: {self.memory_gb:g} GB)" if self.scheduler is None else ""
        return (
            f"The worker process died, most likely of too much memory{bound}. Run again with more "
            "--memory and fewer --workers."
        )


def _on_one_thread(function: Callable[[Any], Any], job: Any) -> Any:
    """Call the function while NumPy keeps to one thread.

    Its threads wait for each other in busy loops: on a machine whose cores are all at work, a
    patient took several times as long with two of them.
    """
    with threadpool_limits(1):
        return function(job)
