"""``seed`` of [SYSTEM]: make a training repeatable.

NiftyNet draws from NumPy's one global stream, in several threads and for training and validation
at once; seeding that stream alone fixes nothing. Here each volume that is read gets its own stream,
made from the seed, the starting iteration, the phase, the subject and how often that subject has
been read. Each volume then draws the same numbers, whatever the order and the threads.
"""

import collections
import contextlib
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from niftynet.utilities.util_common import traverse_nested

# NiftyNet is untyped: its objects (application, sampler) are Any

_thread = threading.local()


def stream(*words: int | str) -> np.random.RandomState:
    """Make a stream of random numbers that depends on the words alone.

    :param words: integers and strings
    """
    numbers = [zlib.crc32(str(word).encode()) for word in words]
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(numbers)))


@contextlib.contextmanager
def drawing_from(state: np.random.RandomState) -> Iterator[None]:
    """Let ``np.random.randint`` and similar functions draw from ``state`` in this thread."""
    _share_functions()
    before, _thread.state = getattr(_thread, "state", None), state
    try:
        yield
    finally:
        _thread.state = before


def _share_functions() -> None:
    """Make the functions of ``np.random`` use the stream of the calling thread.

    They are methods of one global RandomState; a thread without its own stream keeps using that.
    """
    for name, function in list(vars(np.random).items()):
        owner = getattr(function, "__self__", None)
        if isinstance(owner, np.random.RandomState):
            setattr(np.random, name, _per_thread(name, function))


def _per_thread(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:
        state = getattr(_thread, "state", None)
        return (function if state is None else getattr(state, name))(*args, **kwargs)

    draw.__name__ = name
    return draw


def seed_process(seed: int, starting_iter: int) -> None:
    """Seed the process before anything is drawn, the split of the data set included.

    :param seed: ``seed`` of [SYSTEM]
    :param starting_iter: a resumed training must not see the windows of its start again
    """
    random.seed(f"{seed} {starting_iter}")
    np.random.seed(zlib.crc32(f"{seed} {starting_iter}".encode()))


def seed_application(application: Any, seed: int, starting_iter: int) -> None:
    """Seed the graph, and the samplers as soon as they exist.

    :param application: a NiftyNet application that has not made its samplers yet
    :param seed: ``seed`` of [SYSTEM]
    :param starting_iter: first iteration of this training
    """
    initialise = application.initialise_sampler

    def initialise_sampler() -> None:
        tf.set_random_seed(zlib.crc32(f"{seed} {starting_iter}".encode()) >> 1)
        initialise()
        for phase, sampler in enumerate(traverse_nested(application.get_sampler())):
            if sampler is not None:
                seed_sampler(sampler, seed, starting_iter, phase)

    application.initialise_sampler = initialise_sampler


def seed_sampler(sampler: Any, seed: int, starting_iter: int, phase: int) -> None:
    """Give each volume that a sampler reads its own stream.

    :param sampler: NiftyNet's ``ImageWindowDataset``, before it makes its data set
    :param seed: ``seed`` of [SYSTEM]
    :param starting_iter: first iteration of this training
    :param phase: number of the sampler: 0 for training, 1 for validation
    """
    sampler._seed = zlib.crc32(f"{seed} {starting_iter} {phase}".encode()) >> 1
    if sampler.from_generator:  # windows in a fixed order; nothing is drawn
        return
    read, lock = sampler._op, threading.Lock()
    visits: collections.Counter[int] = collections.Counter()

    def read_seeded(subject: Any) -> Any:
        with lock:
            visits[int(subject)] += 1
            visit = visits[int(subject)]
        with drawing_from(stream(seed, starting_iter, phase, int(subject), visit)):
            return read(subject)

    sampler._op = read_seeded
