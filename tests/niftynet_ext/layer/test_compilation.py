"""Each form of a layer gives the same numbers: compiled, native, paired, and plain as on a GPU."""

import numpy as np
import pytest


@pytest.fixture
def plain(tf, monkeypatch):
    """Function that makes the layers those of a machine with a graphics card, or not."""
    from niftynet_ext.layer import compilation

    def choose(gpu):
        for function in (compilation.has_onednn, compilation.uses_xla):
            function.cache_clear()
        monkeypatch.setattr(compilation, "has_gpu", lambda: gpu)

    yield choose
    monkeypatch.undo()
    for function in (compilation.has_onednn, compilation.uses_xla):
        function.cache_clear()


def operations(tf):
    return {op.type for op in tf.get_default_graph().get_operations()}


@pytest.mark.parametrize("shape", [(2, 4, 6, 8, 16), (1, 3, 5, 7, 8)])  # in slabs, and not
def test_compiled_group_norm_equals_the_plain_one(tf, evaluate, plain, shape):
    from niftynet_ext.layer.group_norm_kernels import group_norm

    rng = np.random.default_rng(0)
    image, upstream = (tf.constant(rng.normal(1, 2, shape), tf.float32) for _ in range(2))
    gamma, beta, slopes = (tf.constant(rng.normal(0.5, 1, shape[-1]), tf.float32) for _ in range(3))
    parameters = [image, gamma, beta, slopes]
    results = []
    for gpu in (False, True):
        plain(gpu)
        before = operations(tf)
        output = group_norm(image, gamma, beta, slopes, 4)
        results.append([output, *tf.gradients(output * upstream, parameters)])
        assert ("PartitionedCall" in operations(tf) - before) is not gpu
    for ours, plain_result in zip(*evaluate(results), strict=True):
        assert ours == pytest.approx(plain_result, abs=float(2e-5 * np.abs(plain_result).max()))


def test_one_trace_for_all_widths(tf, evaluate):
    from niftynet_ext.layer.compilation import xla_compiled

    twice = xla_compiled(lambda images, factor: images * factor)
    calls = [
        (np.ones((1, 2, 3), np.float32), 2),
        (np.ones((1, 2, 5), np.float32), 2),
        (np.ones((1, 4, 3), np.float32), 2),
        (np.ones((1, 2, 3), np.float32), 3),
    ]
    outputs = [twice(tf.constant(images), factor) for images, factor in calls]
    for output, (images, factor) in zip(evaluate(outputs), calls, strict=True):
        assert np.array_equal(output, images * factor)
    first, wider, longer, tripled = (output.op.get_attr("f").name for output in outputs)
    assert first == wider and len({first, longer, tripled}) == 3


@pytest.mark.parametrize("dilation, channels", [(1, 8), (1, 16), (3, 8), (5, 16)])
@pytest.mark.parametrize("size", [(6, 7, 8), (5, 11, 7)])
def test_convolution(tf, evaluate, plain, size, dilation, channels):
    from niftynet_ext.layer.convolution import convolve

    rng = np.random.default_rng(1)
    image = tf.constant(rng.normal(size=(2, *size, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 3, channels)), tf.float32)
    upstream = tf.constant(rng.normal(size=(2, *size, channels)), tf.float32)
    results = []
    for gpu in (False, True):
        plain(gpu)
        output = convolve(image, kernel, dilation)
        results.append([output, *tf.gradients(output * upstream, [image, kernel])])
    for ours, other in zip(*evaluate(results), strict=True):
        assert ours == pytest.approx(other, abs=float(2e-5 * np.abs(other).max()))


@pytest.mark.parametrize(
    "dilation, size", [(1, (8, 5, 6)), (1, (11, 5, 6)), (3, (24, 7, 8)), (5, (18, 6, 11))]
)
def test_winograd_convolution_equals_the_plain_one(tf, evaluate, plain, size, dilation):
    """Half the multiplications, the same convolution; rows that fill no block included."""
    from niftynet_ext.layer.compilation import has_onednn
    from niftynet_ext.layer.convolution import convolve

    rng = np.random.default_rng(2)
    image = tf.constant(rng.normal(size=(2, *size, 16)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 16, 32)), tf.float32)
    upstream = tf.constant(rng.normal(size=(2, *size, 32)), tf.float32)
    results = []
    for gpu in (False, True):
        plain(gpu)
        before = operations(tf)
        output = convolve(image, kernel, dilation)
        results.append([output, *tf.gradients(output * upstream, [image, kernel])])
        assert ("PartitionedCall" in operations(tf) - before) is has_onednn()
    for ours, other in zip(*evaluate(results), strict=True):
        assert ours == pytest.approx(other, abs=float(2e-5 * np.abs(other).max()))


def test_winograd_only_where_it_pays(tf):
    from niftynet_ext.layer.winograd import winograd_pays

    def pays(shape, kernel, dilation=1, dtype=tf.float32):
        return winograd_pays(tf.placeholder(dtype, shape), tf.zeros(kernel), dilation)

    wide = (3, 3, 3, 16, 16)
    assert pays((1, 96, 96, 24, 16), wide) and pays((1, 96, 96, 24, 16), wide, dilation=5)
    assert not pays((1, 9, 9, 9, 16), wide)  # three of twelve rows would be empty
    assert not pays((None, 96, 96, 24, 16), wide)
    assert not pays((1, 96, 96, 24, 16), (1, 1, 1, 16, 16))
    assert not pays((1, 96, 96, 24, 16), (3, 3, 3, 16, 8))
    assert not pays((1, 96, 96, 24, 16), wide, dtype=tf.bfloat16)


def test_winograd_matrices_are_exact():
    """They give the three-tap correlation for every row, tap and output: integers, so exactly."""
    from niftynet_ext.layer.winograd import INPUT_TRANSFORM, KERNEL_TRANSFORM, OUTPUT_TRANSFORM

    kernel = np.rint(KERNEL_TRANSFORM * 24)
    taps = np.einsum("om,mk,mr->okr", OUTPUT_TRANSFORM, kernel, INPUT_TRANSFORM) / 24
    expected = np.zeros((4, 3, 6))
    for output, tap in np.ndindex(4, 3):
        expected[output, tap, output + tap] = 1
    assert np.array_equal(taps, expected)


@pytest.mark.parametrize("factor, size", [(2, (4, 6, 8)), (3, (6, 3, 9))])
def test_convolution_in_cells(tf, evaluate, plain, size, factor):
    from niftynet_ext.layer.convolution import convolve_in_cells

    rng = np.random.default_rng(3)
    image = tf.constant(rng.normal(size=(2, *size, 2)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 2, 4)), tf.float32)
    results = []
    for gpu in (False, True):
        plain(gpu)
        output = convolve_in_cells(image, kernel, factor)
        upstream = tf.constant(np.random.default_rng(4).normal(size=output.shape), tf.float32)
        results.append([output, *tf.gradients(output * upstream, [image, kernel])])
    for ours, other in zip(*evaluate(results), strict=True):
        assert ours == pytest.approx(other, abs=float(2e-5 * np.abs(other).max()))


def test_norm_far_from_zero(tf, evaluate):
    """A mean of 1,000 deviations, and a first slab unlike the rest: no digits are lost."""
    from niftynet_ext.layer.group_norm_kernels import group_norm

    image = np.random.default_rng(5).normal(1000, 1, (1, 8, 8, 8, 4))
    image[:, 0] = -1000
    image = image.astype(np.float32)
    unit = np.ones(4, np.float32)
    exact = image.astype(np.float64)
    exact = (exact - exact.mean((1, 2, 3))) / np.sqrt(exact.var((1, 2, 3)) + 1e-5)
    ours = evaluate(group_norm(tf.constant(image), unit, 0 * unit, unit, 4))
    assert np.abs(ours - exact).max() < 1e-5


def test_network_as_on_a_gpu(tf, evaluate, plain, shared):
    """The golden logits, without any kernel that only a processor has."""
    from niftynet.engine.application_factory import ApplicationNetFactory

    plain(True)
    with np.load(shared / "golden" / "released_densehighres3dnet.npz") as golden:
        net = ApplicationNetFactory.create("densehighres3dnet_v1")(num_classes=2)
        logits = net(tf.constant(golden["image"]))
        assert "PartitionedCall" not in operations(tf)
        load = {v: golden[f"weight:{v.op.name}"] for v in net.trainable_variables()}
        assert np.abs(evaluate(logits, load=load) - golden["logits"]).max() <= 2e-5
