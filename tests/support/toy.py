"""A training small enough to be killed twenty times: tiny patients, two convolutions."""

import configparser
import os
import re
import signal
import time
from pathlib import Path

import nibabel
import numpy as np

IDS = tuple(f"{number:03d}" for number in range(1, 7))
TOY_SETS = ("Training",) * 4 + ("Validation", "Inference")
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])

INI = """
[CT]
csv_file = ct.csv
spatial_window_size = (16, 16, 8)
interp_order = 1
axcodes = (R, A, S)
[LABEL]
csv_file = label.csv
spatial_window_size = (16, 16, 8)
interp_order = 0
axcodes = (R, A, S)
[SYSTEM]
num_gpus = 0
num_threads = 1
model_dir = model
dataset_split_file = ../split.csv
event_handler = model_saver, model_restorer, sampler_threading, apply_gradients,
    output_interpreter, console_logger, stop_on_nan
[NETWORK]
name = toynet.ToyNet
batch_size = 2
whitening = True
reg_type = L2
decay = 0.0001
window_sampling = uniform
queue_length = 10
[TRAINING]
sample_per_volume = 4
scaling_percentage = (-5.0, 5.0)
random_flipping_axes = 0
optimiser = adam
lr = 0.01
loss_type = DiceForeground
starting_iter = 0
max_iter = 6
validation_every_n = 2
save_every_n = 2
max_checkpoints = 3
tensorboard_every_n = -1
[INFERENCE]
spatial_window_size = (16, 16, 8)
save_seg_dir = segmentation
[SEGMENTATION]
image = CT
label = LABEL
num_classes = 2
output_prob = True
[EVALUATION]
evaluations = dice
"""

NETWORK = """
import tensorflow as tf
from niftynet.layer.convolution import ConvLayer
from niftynet.network.base_net import BaseNet

FEATURES = 4


class ToyNet(BaseNet):
    def layer_op(self, images, is_training=True, **unused):
        options = {"w_initializer": self.initializers["w"], "with_bias": True,
                   "w_regularizer": self.regularizers["w"]}
        hidden = tf.nn.relu(ConvLayer(FEATURES, 3, name="hidden", **options)(images))
        return ConvLayer(self.num_classes, 1, name="logits", **options)(hidden)
"""

# written by TensorFlow 2.21: one float32 scalar
INDEX = bytes.fromhex(
    "00000608011a02080100010b760801120028043581a5da2b00000000010000000095ced3f3000000000100000000"
    "c0f2a1b00001027700200000000001000000003e1ea4622508320e" + "00" * 36 + "57fb808b247547db"
)
DATA = bytes.fromhex("0000803f")


def write_checkpoint(model_dir, *iterations):
    """Whole checkpoints of these iterations."""
    folder = Path(model_dir, "models")
    folder.mkdir(parents=True, exist_ok=True)
    for iteration in iterations:
        (folder / f"model.ckpt-{iteration}.data-00000-of-00001").write_bytes(DATA)
        (folder / f"model.ckpt-{iteration}.index").write_bytes(INDEX)


class Job:
    """A folder with data, ``net.ini`` and ``toynet.py``.

    :param folder: empty folder
    :param fork_server: starts the commands
    """

    def __init__(self, folder, fork_server):
        self.folder = folder
        self.fork_server = fork_server
        self.model = folder / "model"
        self.processes = []
        for name in ("images", "labels"):
            (folder / name).mkdir()
        random = np.random.default_rng(0)
        for number, subject in enumerate(IDS):
            label = np.zeros((20, 20, 16), np.uint8)
            label[5 + number : 11 + number, 6:12, 4:10] = 1
            self.save("labels", subject, label)
            self.save("images", subject, random.normal(0, 30, label.shape) + 200.0 * label)
        for csv, name in (("ct", "images"), ("label", "labels")):
            self.write(
                f"{csv}.csv", [f"{subject},{folder}/{name}/{subject}.nii.gz" for subject in IDS]
            )
        self.write("split.csv", map(",".join, zip(IDS, TOY_SETS, strict=True)))
        self.write("net.ini", [INI])
        self.write("toynet.py", [NETWORK])

    def save(self, folder, subject, array, affine=AFFINE):
        """Write a volume, ``folder`` being images or labels."""
        array = array.astype(np.float32) if array.dtype == float else array
        nibabel.save(nibabel.Nifti1Image(array, affine), self.folder / folder / f"{subject}.nii.gz")

    def write(self, name, lines):
        """Write a text file."""
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines))

    def set(self, section, **keys):
        """Change keys of the ini file."""
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(self.folder / "net.ini")
        if not ini.has_section(section):
            ini.add_section(section)
        for key, value in keys.items():
            ini.set(section, key, str(value))
        with open(self.folder / "net.ini", "w") as file:
            ini.write(file)

    def add_handlers(self, *names):
        """Append to [SYSTEM] event_handler."""
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(self.folder / "net.ini")
        self.set("SYSTEM", event_handler=", ".join([ini["SYSTEM"]["event_handler"], *names]))

    def start(self, command, *words, log="output.log", **environment):
        """Start a command in a process group of its own, printing to ``log``."""
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", ""), os.getcwd()])
        env = {**os.environ, "PYTHONPATH": path, **environment}
        process = self.fork_server.start([command, *words], self.folder, self.folder / log, env)
        self.processes.append(process)
        return process

    def end(self):
        """Let no process outlive a test that failed."""
        for process in self.processes:
            if process.poll() is None:
                kill(process)

    def run(self, *words, **environment):
        """Run a script to its end; return its exit code and all that was printed."""
        code = self.start(*words, **environment).wait(timeout=300)
        text = (self.folder / "output.log").read_text()
        print(text)
        return code, text

    def net_segment(self, action, *flags, **environment):
        """Run NiftyNet's own command; return its exit code and output."""
        return self.run("net_segment", action, "-c", "net.ini", *flags, **environment)

    def rounds(self, plan, *flags):
        """Return the words of a training in rounds."""
        return [
            "python",
            "-m",
            "niftynet_ext",
            "train",
            "-c",
            "net.ini",
            "--plan",
            plan,
            *flags,
        ]


def losses(text, phase="training"):
    """Return (iteration, total loss) as ``console_logger`` printed them."""
    return re.findall(rf"{phase} iter (\d+), total_loss=([^,]+),", text)


def kill(process):
    """SIGKILL to the whole process group, as the kernel or a cluster does it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(condition, process, seconds=120):
    """Return whether the condition came true before the process or the time ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if condition():
            return True
        time.sleep(0.001)
    return condition()
