"""What oneDNN gets wrong: gradients of strided 1 x 1 convolutions, padded volumes."""

import os
import platform

import numpy as np
import pytest


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 7, 8, 3)), rng.normal(size=(1, 1, 3, 5))


def strides_of_filter_gradients(graph):
    return [
        list(op.get_attr("strides"))
        for op in graph.get_operations()
        if op.type == "Conv2DBackpropFilter"
    ]


@pytest.mark.parametrize("rank", [2, 5])
def test_arrays_are_padded_too(tf, evaluate, rank):
    array = np.ones((2,) * rank, np.float32)
    assert evaluate(tf.pad(array, [[1, 1]] * rank)).shape == (4,) * rank


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolution(tf, evaluate, arrays, padding):
    image, kernel = arrays
    tensors = [tf.constant(array, tf.float32) for array in arrays]
    output = tf.nn.conv2d(tensors[0], tensors[1], strides=[1, 2, 3, 1], padding=padding)
    found = evaluate(tf.gradients(tf.square(output), tensors[1])[0])
    seen = image[:, ::2, ::3]
    expected = 2 * np.einsum("bhwi,bhwo->io", seen, seen @ kernel[0, 0])
    assert found[0, 0] == pytest.approx(expected, rel=1e-5)
    assert strides_of_filter_gradients(tf.get_default_graph()) == [[1, 1, 1, 1]]


def test_transposed_convolution(tf, evaluate, arrays):
    image, kernel = arrays
    kernel = kernel.transpose(0, 1, 3, 2)  # (1, 1, channels out, channels in)
    tensors = [tf.constant(array, tf.float32) for array in (image, kernel)]
    output = tf.nn.conv2d_transpose(tensors[0], tensors[1], (2, 14, 16, 5), strides=2)
    found = evaluate(tf.gradients(tf.square(output), tensors[1])[0])
    expected = 2 * np.einsum("bhwi,bhwo->oi", image, image @ kernel[0, 0].T)
    assert found[0, 0] == pytest.approx(expected, rel=1e-5)
    assert strides_of_filter_gradients(tf.get_default_graph()) == [[1, 1, 1, 1]]


@pytest.mark.parametrize("side", [2, 3])
def test_wider_kernels_are_left_alone(tf, evaluate, arrays, side):
    image, _ = arrays
    kernel = tf.ones((side, side, 3, 5))
    output = tf.nn.conv2d(tf.constant(image, tf.float32), kernel, strides=2, padding="SAME")
    found = evaluate(tf.gradients(output, kernel)[0])
    assert strides_of_filter_gradients(tf.get_default_graph()) == [[1, 2, 2, 1]]
    # the first column and row of pixels that any kernel position sees, 7 x 8 pixels padded
    pad = {2: ((0, 1), (0, 0)), 3: ((1, 1), (0, 1))}[side]
    padded = np.pad(image, ((0, 0), *pad, (0, 0)))
    expected = padded[:, 0 : 0 + 7 : 2, 0 : 0 + 7 : 2].sum((0, 1, 2))
    assert found[0, 0, :, 0] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_direct_call(tf, evaluate, arrays):
    image, _ = arrays
    gradient = tf.nn.conv2d_backprop_filter(
        tf.constant(image, tf.float32), [1, 1, 3, 5], tf.ones((2, 4, 4, 5)), [1, 2, 2, 1], "SAME"
    )
    assert evaluate(gradient)[0, 0, :, 4] == pytest.approx(
        image[:, ::2, ::2].sum((0, 1, 2)), rel=1e-4
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_padded_volume_is_convolved_as_padded(tf, stride):
    """Fed and in variables, so that nothing is folded into constants before it is fused."""
    rng = np.random.default_rng(0)
    volume, kernel = rng.normal(size=(1, 5, 4, 6, 2)), rng.normal(size=(3, 3, 3, 2, 3))
    placeholder = tf.placeholder(tf.float32, volume.shape)
    padded = tf.pad(placeholder, [[0, 0], [2, 2], [1, 1], [1, 2], [0, 0]])
    weights = tf.Variable(kernel.astype(np.float32))
    output = 2 * tf.nn.convolution(
        input=padded, filter=weights, strides=[stride] * 3, padding="SAME"
    )
    with tf.Session() as session:
        session.run(weights.initializer)
        found = session.run(output, {placeholder: volume})
    shape = np.add(volume.shape[1:4], (4, 2, 3))
    # SAME: of the odd kernel's surplus, the smaller half lies in front
    surplus = [max((-(-side // stride) - 1) * stride + 3 - side, 0) for side in shape]
    around = np.pad(
        volume[0],
        [(2 + surplus[0] // 2, 3), (1 + surplus[1] // 2, 2), (1 + surplus[2] // 2, 3), (0, 0)],
    )
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3, 3), axis=(0, 1, 2))
    size = [-(-side // stride) for side in shape]
    windows = windows[::stride, ::stride, ::stride][: size[0], : size[1], : size[2]]
    expected = 2 * np.einsum("xyzcijk,ijkco->xyzo", windows, kernel)
    assert found[0] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_onednn_is_used_on_every_processor_unless_the_user_decides(monkeypatch):
    from niftynet_ext.compat import onednn

    for given, expected in ((None, "1"), ("0", "0"), ("1", "1")):
        monkeypatch.delenv(onednn.SWITCH, raising=False)
        if given:
            monkeypatch.setenv(onednn.SWITCH, given)
        onednn.switch_on()
        assert os.environ[onednn.SWITCH] == expected


def test_this_process_uses_onednn(tf):
    from niftynet_ext.layer import compilation

    if platform.machine() not in ("x86_64", "AMD64") or compilation.has_gpu():
        pytest.skip("TensorFlow has oneDNN for x86 without a graphics card")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0" or compilation.has_onednn()
