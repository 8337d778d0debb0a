"""``seed`` of [SYSTEM]: the same training twice.

NiftyNet draws from NumPy's one global stream, in several threads and for training and validation
at once, so that seeding that stream alone fixes nothing. Here each volume that is read gets a
stream of its own, made from the seed, the starting iteration, the phase, the subject and how often
that subject has been read: whatever thread does it, and in whatever order, it draws the same.
"""

import collections
import contextlib
import random
import threading
import zlib

import numpy as np
import tensorflow as tf
from niftynet.utilities.util_common import traverse_nested

_thread = threading.local()


def stream(*words):
    """
    :param words: integers and strings
    :return: ``numpy.random.RandomState`` that depends on them alone
    """
    numbers = [zlib.crc32(str(word).encode()) for word in words]
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(numbers)))


@contextlib.contextmanager
def drawing_from(state):
    """``np.random.randint`` and its like draw from ``state`` in this thread.

    :param state: ``numpy.random.RandomState``
    """
    _share_functions()
    before, _thread.state = getattr(_thread, "state", None), state
    try:
        yield
    finally:
        _thread.state = before


def _share_functions():
    """Make the functions of ``np.random`` ask which stream the thread draws from.

    They are methods of one global RandomState; a thread without a stream of its own keeps it.
    """
    for name, function in list(vars(np.random).items()):
        owner = getattr(function, "__self__", None)
        if isinstance(owner, np.random.RandomState):
            setattr(np.random, name, _per_thread(name, function))


def _per_thread(name, function):
    def draw(*args, **kwargs):
        state = getattr(_thread, "state", None)
        return (function if state is None else getattr(state, name))(*args, **kwargs)

    draw.__name__ = name
    return draw


def seed_process(seed, starting_iter):
    """Before anything is drawn, the split of the data set included.

    :param seed: the user's
    :param starting_iter: a training that goes on must not see the windows of its start again
    """
    random.seed(f"{seed} {starting_iter}")
    np.random.seed(zlib.crc32(f"{seed} {starting_iter}".encode()))


def seed_application(application, seed, starting_iter):
    """Seed the graph, and the samplers as soon as they are there.

    :param application: a NiftyNet application that has not made its samplers yet
    :param seed: the user's
    :param starting_iter: first iteration of this training
    """
    initialise = application.initialise_sampler

    def initialise_sampler():
        tf.set_random_seed(zlib.crc32(f"{seed} {starting_iter}".encode()) >> 1)
        initialise()
        for phase, sampler in enumerate(traverse_nested(application.get_sampler())):
            if sampler is not None:
                seed_sampler(sampler, seed, starting_iter, phase)

    application.initialise_sampler = initialise_sampler


def seed_sampler(sampler, seed, starting_iter, phase):
    """
    :param sampler: NiftyNet's ``ImageWindowDataset`` without its data set yet
    :param seed: the user's
    :param starting_iter: first iteration of this training
    :param phase: number of the sampler: 0 for training, 1 for validation
    """
    sampler._seed = zlib.crc32(f"{seed} {starting_iter} {phase}".encode()) >> 1
    if sampler.from_generator:  # windows in a fixed order; nothing is drawn
        return
    read, visits, lock = sampler._op, collections.Counter(), threading.Lock()

    def read_seeded(subject):
        with lock:
            visits[int(subject)] += 1
            visit = visits[int(subject)]
        with drawing_from(stream(seed, starting_iter, phase, int(subject), visit)):
            return read(subject)

    sampler._op = read_seeded
