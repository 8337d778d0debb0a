import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.core import engine
from data_prep.core.engine import Engine, Failure
from data_prep.core.errors import DataError
from tests.support.engine_jobs import fragile, square, threads


def run_all(engine, function, jobs):
    with engine.session() as run:
        return dict(run(function, jobs))


def test_one_worker_is_this_process():
    with Engine(workers=1).session() as run:
        assert list(run(square, range(5))) == [(k, (k * k, os.getpid())) for k in range(5)]


def test_local_processes_give_the_same_results():
    results = run_all(Engine(workers=2), square, range(12))
    assert {k: result for k, (result, _) in results.items()} == {k: k * k for k in range(12)}
    processes = {pid for _, pid in results.values()}
    assert len(processes) == 2 and os.getpid() not in processes


def test_a_worker_that_dies_fails_only_its_own_job():
    jobs = ["a", "raise", "die", "b", "eat", "c", "d"]
    results = run_all(Engine(workers=2, memory_gb=0.6), fragile, jobs)
    assert {jobs[k] for k, result in results.items() if result == jobs[k]} == set("abcd")
    assert results[1] == Failure("Unexpected ValueError: boom")
    assert "worker process died (exit code 1)" in results[2].reason
    assert "The memory limit of 0.6 GB was exceeded" in results[4].reason


def test_the_only_worker_has_a_bound_too_and_only_while_it_works():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    found = run_all(Engine(workers=1, memory_gb=0.6), fragile, ["a", "eat", "b"])
    assert (found[0], found[2]) == ("a", "b")
    assert "The memory limit of 0.6 GB was exceeded" in found[1].reason
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert run_all(Engine(workers=1, memory_gb=1e9), fragile, ["a"]) == {0: "a"}


def test_workers_end_with_the_process_that_started_them():
    code = """
import os, signal
from data_prep.core.engine import Engine
from tests.support.engine_jobs import pid_of_worker

with Engine(workers=2).session() as run:
    print(*{pid for _, pid in run(pid_of_worker, range(4))}, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.returncode == -signal.SIGKILL
    pids = [int(word) for word in run.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/status").is_file() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_have_one_thread(workers):
    for counts in run_all(Engine(workers=workers), threads, [0, 1]).values():
        assert set(counts) == {1}


def test_an_existing_cluster_gets_the_same_jobs():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        remote = Engine(workers=1, scheduler=cluster.scheduler_address)
        results = run_all(remote, square, range(3))
        assert [results[k][0] for k in range(3)] == [0, 1, 4]
        assert {pid for _, pid in results.values()}.isdisjoint({os.getpid()})
        assert run_all(remote, square, [7])[0][0] == 49  # it is left running


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Engine(workers=0), "--workers is 0"),
        (Engine(memory_gb=0), "--memory is 0"),
        (Engine(memory_gb=float("nan")), "--memory is nan"),
    ],
)
def test_invalid_engine_options_are_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        wrong.check()


def test_no_scheduler_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(engine, "CONNECT_S", 1)
    with pytest.raises(DataError, match="No Dask scheduler answers at tcp://127.0.0.1:1"):
        run_all(Engine(scheduler="tcp://127.0.0.1:1"), square, [1])


def test_a_worker_is_started_for_some_jobs_only():
    cores = len(os.sched_getaffinity(0))
    assert Engine().local_workers(3) == 1
    assert Engine(memory_gb=1e-3).local_workers(1000) == cores
    assert Engine(memory_gb=1e6).local_workers(1000) == 1
    assert (Engine(workers=3).local_workers(1), Engine(workers=3).local_workers(2)) == (1, 3)


def test_results_of_an_abandoned_run_do_not_reach_the_next_run():
    with Engine(workers=2).session() as run:
        for _ in run(square, range(8)):
            break
        assert {k: result for k, (result, _) in run(square, range(3, 7))} == {
            0: 9,
            1: 16,
            2: 25,
            3: 36,
        }


def test_a_session_keeps_its_workers():
    with Engine(workers=2).session() as run:
        assert dict(run(square, [3])) == {0: (9, os.getpid())}  # one job starts nobody
        first, second = ({pid for _, (_, pid) in run(square, range(8))} for _ in range(2))
    assert first == second and os.getpid() not in first
