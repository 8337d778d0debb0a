"""Jobs for the engine, in a module that its worker processes import."""

import os
import time

import numpy as np
import threadpoolctl


def square(value):
    return value * value, os.getpid()


def fragile(value):
    if value == "raise":
        raise ValueError("boom")
    if value == "die":
        os._exit(1)
    if value == "eat":
        hoard = []
        for _ in range(100):  # 10 GB if nobody stops it
            hoard.append(np.ones(100_000_000, np.uint8))
            time.sleep(0.05)
    return value


def pid_of_worker(_):
    time.sleep(0.05)
    return os.getpid()


def threads(_):
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpoolctl.threadpool_info()]
