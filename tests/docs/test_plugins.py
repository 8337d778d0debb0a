"""The network and the loss of docs/plugins.rst build and run under NiftyNet."""

import subprocess
import sys

import pytest

from tests.support.documents import ROOT, code_blocks

USE = """
import numpy
images = tf.constant(numpy.ones((1, 8, 8, 8, 1), "float32"))
flat = tf.reshape(tf.nn.softmax(MyNetwork(num_classes=2)(images, is_training=True)), [-1, 2])
value = brier(flat, tf.zeros([512, 1]))
shape = logits.shape.as_list()
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print(shape, 0 <= session.run(value) <= 1)
"""


@pytest.mark.slow
def test_network_and_loss_of_the_guide(tmp_path):
    found = [
        block for block in code_blocks(ROOT / "docs/plugins.rst") if block.language == "python"
    ]
    script = tmp_path / "guide.py"
    # the guide's blocks are separate files: the last one imports NiftyNet and TensorFlow
    script.write_text("\n".join([*(block.text for block in found), USE]), encoding="utf-8")
    done = subprocess.run([sys.executable, script], text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "[None, 192, 192, 48, 2] True"
