"""DenseHighRes3DNet against the numbers of the authors' own network and losses."""

import numpy as np
import pytest


def build(tf, name, shape, classes=2, **options):
    from niftynet.engine.application_factory import ApplicationNetFactory

    net = ApplicationNetFactory.create(name)(num_classes=classes, **options)
    images = tf.placeholder(tf.float32, shape)
    return net, images, net(images, is_training=True)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "released_densehighres3dnet.npz") as archive:
        return dict(archive)


def weights(golden):
    return {
        key.removeprefix("weight:"): value
        for key, value in golden.items()
        if key.startswith("weight:")
    }


def test_variables_are_the_release_s(tf, golden):
    net, _, _ = build(tf, "densehighres3dnet_v1", (None, 32, 24, 16, 1))
    ours = {v.op.name: tuple(v.shape.as_list()) for v in net.trainable_variables()}
    assert ours == {name: value.shape for name, value in weights(golden).items()}


GOLDEN_LOSSES = {  # loss to its key in the file
    "Dice": "dice_niftynet",
    "DiceReleased": "dice_niftynet",
    "FocalReleased": "focal_released",
}


@pytest.fixture(scope="module")
def computed(golden):
    """Logits, and each loss with its gradients, of one graph: to compile it takes seconds."""
    import niftynet  # noqa: F401  (its import installs the TensorFlow 1 interface)
    import tensorflow as tf
    from niftynet.layer.loss_segmentation import LossFunction

    with tf.Graph().as_default(), tf.Session() as session:
        _, images, logits = build(tf, "densehighres3dnet_v1", (None, 32, 24, 16, 1))
        labels = tf.placeholder(tf.float32, (None, 32, 24, 16, 1))
        variables = {v.op.name: v for v in tf.trainable_variables()}
        outputs = {}
        for loss in GOLDEN_LOSSES:
            value = LossFunction(2, loss)(logits, labels)
            gradients = tf.gradients(value, list(variables.values()))
            outputs[loss] = value, dict(zip(variables, gradients, strict=True))
        initializers = [variable.initializer for variable in variables.values()]
        load = {variables[name].initializer.inputs[1]: x for name, x in weights(golden).items()}
        session.run(initializers, load)
        return session.run([logits, outputs], {images: golden["image"], labels: golden["label"]})


@pytest.mark.parametrize("loss, key", GOLDEN_LOSSES.items())
def test_losses_and_gradients_equal_the_released_code(computed, golden, loss, key):
    out, outputs = computed
    number, grads = outputs[loss]
    assert np.abs(out - golden["logits"]).max() <= 2e-5
    assert abs(number - golden[f"loss:{key}"]) <= 1e-6
    for name, grad in grads.items():
        expected = golden[f"grad:{key}:{name}"]
        assert np.linalg.norm(grad - expected) <= 1e-4 * np.linalg.norm(expected), name


@pytest.mark.slow  # builds the network several times
def test_logits_of_an_image_do_not_depend_on_its_batch(tf, evaluate, golden):
    _, images, logits = build(tf, "densehighres3dnet_v1", (None, 32, 24, 16, 1))
    variables = {v.op.name: v for v in tf.trainable_variables()}
    load = {variables[name]: array for name, array in weights(golden).items()}
    three = np.concatenate([golden["image"], golden["image"][:1]])
    single, batch = (evaluate(logits, {images: x}, load) for x in (three[2:], three))
    assert single.shape == (1, 32, 24, 16, 2)
    assert batch[:2] == pytest.approx(golden["logits"], abs=2e-5)
    assert batch[2:] == pytest.approx(single, abs=1e-5)


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("densehighres3dnet_v1", 303_512),
        ("densehighres3dnet_v2", 302_472),
        ("highres3dnet_matched", 305_692),
    ],
)
def test_parameters_and_shapes(tf, name, parameters):
    net, _, logits = build(tf, name, (None, 16, 24, 8, 1))
    assert net.num_trainable_params() == parameters
    assert logits.shape.as_list() == [None, 16, 24, 8, 2]


def test_parameters_of_v2_by_hand(tf):
    """v2 is v1 without conv_07 (64x16 and its norm's 2x16), with a kernel of 8x2 instead."""
    net, _, _ = build(tf, "densehighres3dnet_v2", (1, 16, 16, 16, 1))
    assert net.num_trainable_params() == 303_512 - (64 * 16 + 2 * 16) + 8 * 2
    names = {v.op.name.split("/", 1)[1] for v in net.trainable_variables()}
    assert "conv_07/w" in names and not any("conv_07_gn" in name for name in names)


def test_output_of_a_row(tf):
    from niftynet_ext.network.dense_highres3dnet import DenseHighRes3DNet

    net = DenseHighRes3DNet(num_classes=3)
    images = tf.placeholder(tf.float32, (1, 16, 16, 16, 2))
    kinds = [row["kind"] for row in net.layers]
    concat = net(images, layer_id=kinds.index("concat"))
    assert concat.shape.as_list() == [1, 8, 8, 8, 64]
    assert net(images).shape.as_list() == [1, 16, 16, 16, 3]


@pytest.mark.parametrize(
    "name", ["densehighres3dnet_v1", "densehighres3dnet_v2", "highres3dnet_matched"]
)
def test_bad_windows_and_classes_are_refused(tf, evaluate, name):
    with pytest.raises(ValueError, match="multiple of 8.*16,20,16"):
        build(tf, name, (1, 16, 20, 16, 1))
    with pytest.raises(ValueError, match="num_classes >= 2.*got 1"):
        build(tf, name, (1, 16, 16, 16, 1), classes=1)
    with pytest.raises(ValueError, match="three-dimensional"):
        build(tf, name, (1, 16, 16, 1))


def test_unknown_window_is_checked_when_it_arrives(tf, evaluate):
    _, images, logits = build(tf, "densehighres3dnet_v1", (None, None, None, None, 1))
    assert evaluate(logits, {images: np.zeros((1, 8, 16, 8, 1))}).shape == (1, 8, 16, 8, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="multiple of 8"):
        evaluate(logits, {images: np.zeros((1, 8, 12, 8, 1))})
