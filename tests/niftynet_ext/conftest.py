"""TensorFlow 1 style fixtures, a graph of its own for each test; checkpoints, jobs, patients."""
import pytest

from tests.niftynet_ext import toy

from .study import Study


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
            for variable, value in (load or {}).items():
                variable.load(value, session)
            return session.run(tensors, feed)
    return run


@pytest.fixture
def job(tmp_path):
    """A folder with six tiny patients, an ini file and a network."""
    job = toy.Job(tmp_path)
    yield job
    job.end()
