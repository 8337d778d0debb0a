"""What is done to modules of NiftyNet once they are loaded."""

import importlib
import sys

import numpy as np
import pytest

from niftynet_ext.compat import post_import


def test_the_finder_behaves_as_a_finder(tf):
    assert post_import.PostImportFinder in sys.meta_path
    importlib.invalidate_caches()  # asks every finder that has such a method


def test_every_action_names_a_module_of_niftynet(tf):
    for name in post_import.ACTIONS:
        assert importlib.import_module(name).__file__.endswith(".py")


def test_short_names_are_registered(tf):
    from niftynet.engine.application_factory import ApplicationNetFactory

    from niftynet_ext.network.dense_highres3dnet import DenseHighRes3DNet

    assert ApplicationNetFactory.create("densehighres3dnet_v1") is DenseHighRes3DNet


def test_version_is_the_package_s_in_a_git_checkout_too(tf):
    import niftynet
    from niftynet.utilities.versioning import get_niftynet_version

    assert get_niftynet_version() == "0.6.0"
    assert niftynet.__version__ == "NiftyNet version 0.6.0"


def test_loss_on_raters_confusion_matrices(tf, evaluate):
    from niftynet.layer.loss_classification_multi import loss_confusion_matrix

    rng = np.random.default_rng(1)
    truth, logits = rng.integers(0, 2, (6, 3)), rng.normal(size=(6, 3, 2)).astype(np.float32)
    loss = evaluate(loss_confusion_matrix(tf.constant(truth), tf.constant(logits), 2, nrater=3))
    odds, hot = np.exp(logits), np.eye(2)[truth]
    odds /= odds.sum(-1, keepdims=True)
    # NiftyNet adds up the pairs of raters, and then keeps the last pair alone
    error = np.abs(hot[:, 1].T @ hot[:, 2] - odds[:, 1].T @ odds[:, 2]).sum() / 6
    assert loss == pytest.approx(error / 3, rel=1e-5)
