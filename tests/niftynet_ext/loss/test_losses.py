"""The losses against the paper's equations in float64 NumPy, and at their edges."""

import numpy as np
import pytest

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0.0, 3.0, (2, 4, 4, 4, 2)).astype(np.float32)
LABELS = (RNG.random((2, 4, 4, 4, 1)) < 0.3).astype(np.uint8)
WEIGHTS = RNG.random((2, 4, 4, 4, 1)).astype(np.float32)
ALL = ["DiceForeground", "DiceReleased", "Focal", "FocalReleased"]


def flat(values):
    return values.astype(np.float64).reshape(2, -1)


def foreground(logits):
    return 1 / (1 + np.exp(flat(logits[..., :1]) - flat(logits[..., 1:])))


def dice_eq1(w):
    p, y = foreground(LOGITS), flat(LABELS)
    per_image = 1 - 2 * (w * p * y).sum(1) / (w * (p**2 + y**2)).sum(1)
    return per_image.mean()


def focal_eq3(w):
    p = foreground(LOGITS)
    q = np.where(flat(LABELS) == 1, p, 1 - p)
    return (-0.75 * (w * (1 - q) ** 2 * np.log(q)).sum(1) / w.sum(1)).mean()


def focal_release(w):
    """Sigmoid of the true class's logit; alpha 0.75 in the foreground and 0.25 outside it."""
    y = flat(LABELS)
    p_t = 1 / (1 + np.exp(-np.where(y == 1, flat(LOGITS[..., 1:]), flat(LOGITS[..., :1]))))
    alpha_t = np.where(y == 1, 0.75, 0.25)
    return ((w * -alpha_t * (1 - p_t) ** 2 * np.log(p_t)).sum(1) / w.sum(1)).mean()


@pytest.fixture(scope="module")
def loss():
    """Function: value and gradient of a loss through NiftyNet's own LossFunction.

    Each loss has one graph for all tests.
    """
    import niftynet  # noqa: F401  (its import installs the TensorFlow 1 interface)
    import tensorflow as tf
    from niftynet.layer.loss_segmentation import LossFunction

    def build(name, shape, weighted):
        with tf.Graph().as_default():
            inputs = [
                tf.placeholder(tf.float32, shape),
                tf.placeholder(tf.uint8, LABELS.shape),
                *([tf.placeholder(tf.float32, WEIGHTS.shape)] if weighted else []),
            ]
            value = LossFunction(shape[-1], name)(*inputs)
            outputs = [value, tf.gradients(value, inputs[0])[0]]
            return tf.Session(), inputs, outputs

    built = {}

    def compute(name, logits=LOGITS, labels=LABELS, weights=None):
        key = name, logits.shape, weights is not None
        if key not in built:
            built[key] = build(*key)
        session, inputs, outputs = built[key]
        values = [logits, labels, *([] if weights is None else [weights])]
        return session.run(outputs, dict(zip(inputs, values, strict=True)))

    yield compute
    for session, _, _ in built.values():
        session.close()


@pytest.mark.parametrize(
    "name, truth",
    [("DiceForeground", dice_eq1), ("Focal", focal_eq3), ("FocalReleased", focal_release)],
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_equation(loss, name, truth, weighted):
    weights = WEIGHTS if weighted else np.ones_like(WEIGHTS)
    value, _ = loss(name, weights=weights if weighted else None)
    assert value.dtype == np.float32
    assert value == pytest.approx(truth(flat(weights)), abs=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("logit", [-1e4, -200.0, 0.0, 200.0, 1e4])
def test_finite_on_empty_and_saturated_windows(loss, name, label, logit):
    """p rounds to 0 or 1 exactly, the window is all background or all tumour."""
    logits = np.stack([np.zeros((2, 4, 4, 4)), np.full((2, 4, 4, 4), logit)], -1)
    value, gradient = loss(name, logits.astype(np.float32), np.full_like(LABELS, label))
    assert np.isfinite(value) and value >= 0
    assert np.isfinite(gradient).all()


def test_known_values(loss):
    certain = np.stack([np.zeros((2, 4, 4, 4)), np.where(LABELS[..., 0], 50.0, -50.0)], -1)
    right, wrong = certain.astype(np.float32), -certain.astype(np.float32)
    assert loss("DiceForeground", right)[0] == pytest.approx(0, abs=1e-5)
    assert loss("DiceForeground", wrong)[0] == pytest.approx(1, abs=1e-5)
    assert loss("Focal", right)[0] == pytest.approx(0, abs=1e-9)
    assert loss("Focal", wrong)[0] == pytest.approx(0.75 * 50, rel=1e-5)  # -log q = 50
    half = np.zeros_like(right)
    assert loss("Focal", half)[0] == pytest.approx(0.75 * 0.25 * np.log(2), rel=1e-5)


def test_saturated_mistakes_still_have_a_gradient(loss):
    """q = 0 in float32: through a softmax the gradient would be 0 or NaN."""
    logits = np.stack([np.full((2, 4, 4, 4), 200.0), np.zeros((2, 4, 4, 4))], -1)
    _, gradient = loss("Focal", logits.astype(np.float32), np.ones_like(LABELS))
    assert (gradient[..., 1] < 0).all()


def test_weights_of_zero(loss):
    for name in ("DiceForeground", "Focal", "FocalReleased"):
        value, gradient = loss(name, weights=np.zeros_like(WEIGHTS))
        assert np.isfinite(value) and not gradient.any()


@pytest.mark.parametrize("name", ["DiceForeground", "Focal", "FocalReleased"])
def test_more_classes_are_refused(loss, name):
    logits = np.zeros((2, 4, 4, 4, 3), np.float32)
    with pytest.raises(ValueError, match=f"{name} .* got num_classes = 3"):
        loss(name, logits)
