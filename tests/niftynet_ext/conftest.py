"""Fixtures in the style of TensorFlow 1, with a new graph for each test; jobs and studies."""

import sys

import pytest

from tests.support import toy
from tests.support.graph_reached import GraphReached
from tests.support.study import Study


@pytest.fixture
def study(tmp_path):
    """References of A and B (Validation) and C (Inference), and a model's predictions."""
    return Study(tmp_path)


@pytest.fixture
def tf():
    """TensorFlow as NiftyNet sees it, inside a fresh graph."""
    import niftynet  # noqa: F401  (its import installs the TensorFlow 1 interface)
    import tensorflow

    with tensorflow.Graph().as_default():
        yield tensorflow


@pytest.fixture
def evaluate(tf):
    """Function that runs tensors of the current graph in a new session."""

    def run(tensors, feed=None, load=None):
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            if load:  # at once: each call of `run` costs the pass over a large graph again
                values = {v.initializer.inputs[1]: value for v, value in load.items()}
                session.run([v.initializer for v in load], values)
            return session.run(tensors, feed)

    return run


@pytest.fixture
def job(tmp_path, fork_server):
    """A folder with six tiny patients, an ini file and a network."""
    job = toy.Job(tmp_path, fork_server)
    yield job
    job.end()


@pytest.fixture
def main(tf, job, monkeypatch):
    """Function: `net_segment ACTION -c net.ini FLAGS` up to the point where the graph is built."""
    import niftynet
    from niftynet.application.base_application import SingletonApplication
    from niftynet.engine.application_driver import ApplicationDriver

    monkeypatch.chdir(job.folder)
    monkeypatch.syspath_prepend(job.folder)
    for name in ("toynet", "model"):  # NiftyNet takes model_dir for a module first, if it can
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(action="train", *flags):
        SingletonApplication.clear()
        monkeypatch.setattr("sys.argv", ["net_segment", action, "-c", "net.ini", *map(str, flags)])
        niftynet.main()

    def graph(self, application, graph=None):
        raise GraphReached(self.initial_iter)

    monkeypatch.setattr(ApplicationDriver, "run", graph)
    yield run
    SingletonApplication.clear()
