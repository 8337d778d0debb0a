"""Decay in a single tensor: the loss and the gradients of NiftyNet's list of scalars."""

import numpy as np
import pytest


def test_collects_what_there_is(tf, evaluate):
    from niftynet_ext.network.decay import Decay

    key = tf.GraphKeys.REGULARIZATION_LOSSES
    decay = Decay(lambda w: None if w.op.name == "free" else tf.reduce_sum(w))
    for name, value in (("a", 1.0), ("free", 5.0), ("b", 2.0)):
        tf.get_variable(
            name, [3], initializer=tf.constant_initializer(value), regularizer=decay.collect
        )
    assert tf.get_collection(key) == []
    decay.register("net")
    decay.register("net")  # nothing new
    assert [values.tolist() for values in evaluate(tf.get_collection(key))] == [[3.0, 6.0]]
    nothing = Decay(None)
    tf.get_variable("c", [3], regularizer=nothing.collect)
    nothing.register("net")
    assert len(tf.get_collection(key)) == 1


@pytest.mark.slow  # builds each network twice
@pytest.mark.parametrize("name", ["densehighres3dnet_v1", "densehighres3dnet_v2"])
def test_decay_is_the_mean_penalty_over_variables(tf, evaluate, name):
    """As NiftyNet's application adds it to the loss: the mean of scale * sum w^2 / 2 over all
    variables but the shortcut's projection."""
    from niftynet.engine.application_factory import ApplicationNetFactory

    scale = 0.02
    net = ApplicationNetFactory.create(name)(
        num_classes=2, w_regularizer=tf.contrib.layers.l2_regularizer(scale)
    )
    images = tf.placeholder(tf.float32, (1, 16, 16, 16, 1))
    with tf.name_scope("worker_0"):  # as NiftyNet's driver does
        net(images)
    net(images)  # a second use shares the variables, and their penalties
    collected = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert net.regularizer_loss() == collected
    loss = tf.reduce_mean([tf.reduce_mean(penalties) for penalties in collected])
    variables = [v for v in net.trainable_variables() if "/proj/" not in v.name]
    rng = np.random.default_rng(0)
    values = {v: rng.normal(size=v.shape.as_list()).astype(np.float32) for v in variables}
    loss_value, gradients = evaluate([loss, tf.gradients(loss, variables)], load=values)
    squares = [scale * np.sum(value.astype(np.float64) ** 2) / 2 for value in values.values()]
    assert loss_value == pytest.approx(np.mean(squares), rel=1e-5)
    for gradient, value in zip(gradients, values.values(), strict=True):
        assert gradient == pytest.approx(scale * value / len(variables), rel=1e-5)
