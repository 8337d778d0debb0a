"""The main job through NiftyNet's own command line: DICOM in, training, masks out.

Short trainings on tiny phantoms: what is tested is that the parts fit, not how well it learns
(`make demo` shows that).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pytest

from data_prep.core import predictions
from niftynet_ext.commands.parser import main as net_lung
from niftynet_ext.core import checkpoints
from niftynet_ext.evaluation.patient_scores import score_patient
from niftynet_ext.study import curves

PLUGIN = '''
"""A network as its author would have written it in 2018: plain TensorFlow 1."""
import tensorflow as tf
from niftynet.network.base_net import BaseNet


class OldNet(BaseNet):
    def layer_op(self, images, is_training=True, **unused):
        with tf.variable_scope("old"):
            kernel = tf.get_variable("w", [1, 1, 1, 1, self.num_classes],
                                     initializer=self.initializers["w"],
                                     regularizer=self.regularizers["w"])
            return tf.log(1.0 + tf.nn.relu(tf.nn.conv3d(images, kernel, [1] * 5, "SAME")))
'''


@pytest.fixture(scope="module")
def job(tmp_path_factory, root):
    """A folder with a preprocessed cohort and an ini file derived from the demo's."""
    folder = tmp_path_factory.mktemp("job")
    data = folder / "demo" / "data"
    assert (
        net_lung(
            [
                "phantom",
                "--out",
                str(folder / "dicom"),
                "--patients",
                "3",
                "--matrix",
                "64",
                "--slices",
                "20",
            ]
        )
        == 0
    )
    assert (
        net_lung(
            [
                "preprocess",
                "--dicom",
                str(folder / "dicom"),
                "--out",
                str(data),
                "--split",
                "1",
                "1",
                "1",
            ]
        )
        == 0
    )
    ini = (root / "config_ini" / "demo.ini").read_text()
    ini = re.sub(r"spatial_window_size = .*", "spatial_window_size = (24, 24, 16)", ini)
    ini = re.sub(r"tensorboard_every_n = .*", "tensorboard_every_n = 1", ini)
    (folder / "net.ini").write_text(ini)
    (folder / "old_plugin.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module")
def run_forked(job, fork_server):
    """Function: run a command in the folder; it must succeed. It returns what was printed."""

    def run(*words):
        python_path = os.pathsep.join([str(job), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": python_path}
        code, text = fork_server.run(words, cwd=job, log=job / "output.log", env=env, timeout=600)
        assert code == 0
        return text

    return run


ROUNDS = "-m niftynet_ext train -c net.ini --plan".split() + ["DiceForeground:3 Focal:5"]


@pytest.fixture(scope="module")
def trained(run_forked):
    """Two short stages in rounds, in a process of their own like all trainings."""
    return run_forked("python", *ROUNDS)


def split(job, phase):
    lines = (job / "demo" / "data" / "split.csv").read_text().split()
    return [line.split(",")[0] for line in lines if line.split(",")[1] == phase]


def test_training_in_rounds(job, trained):
    assert checkpoints.whole(job / "demo" / "models" / "demo")[-1] == 5
    assert {3, 5} <= set(checkpoints.whole(job / "demo" / "models" / "demo"))
    noted = json.loads((job / "demo" / "models" / "demo" / "preprocess.json").read_text())
    assert noted == {"schema_version": 1, "reduce": 2, "spacing_mm": None, "method": "cubic"}
    calls = [line for line in trained.splitlines() if line.startswith("net_segment")]
    assert len(calls) == 2 and "--starting_iter 3" in calls[1] and "Focal" in calls[1]
    assert re.search(
        r"\[train\] 5/5  loss 0\.\d+  mean 0\.\d+  \d+\.\d\d s/iteration "
        r"\(\d+% waiting for data\)  0:00:00 left",
        trained,
    )


def test_training_changes_the_variables_and_keeps_the_optimiser_state_between_rounds(job, trained):
    import tensorflow as tf

    folder = job / "demo" / "models" / "demo" / "models"
    first, last = (tf.train.load_checkpoint(str(folder / f"model.ckpt-{i}")) for i in (3, 5))
    shapes = first.get_variable_to_shape_map()
    kernel = "DenseHighRes3DNet/conv_00_gn_prelu/conv_/w"
    assert not np.array_equal(first.get_tensor(kernel), last.get_tensor(kernel))
    (power,) = (name for name in shapes if name.endswith("beta1_power"))
    # Adam's beta1^(steps + 1): five steps in all, not two after a restart
    assert last.get_tensor(power) == pytest.approx(0.9**6, rel=1e-5)


def test_the_learning_curve_joins_the_rounds(job, trained):
    curve = curves.read_curve(job / "demo" / "models" / "demo", "training")
    assert curve.iterations.tolist() == [1, 2, 3, 4, 5]
    assert np.isfinite(curve.losses).all()
    assert curves.read_stages(job / "demo" / "models" / "demo") == [
        ("DiceForeground", 3),
        ("Focal", 5),
    ]


def test_running_again_finds_nothing_to_do(job, trained):
    done = subprocess.run(
        [sys.executable, *ROUNDS], cwd=job, text=True, capture_output=True, timeout=60
    )
    assert "are already done" in done.stdout and done.returncode == 0


@pytest.fixture(scope="module")
def inferred(job, trained, run_forked):
    """Probabilities of the test set.

    NiftyNet's own script is started by the test that segments a new patient.
    """
    run_forked("net_segment", "inference", "-c", "net.ini")
    return job / "demo" / "models" / "demo" / "inference"


def test_probabilities_lie_on_the_image_s_grid(job, inferred):
    (patient,) = split(job, "Inference")
    found = nibabel.load(inferred / f"window_seg_{patient}__niftynet_out.nii.gz")
    image = nibabel.load(job / "demo" / "data" / "images" / f"{patient}.nii.gz")
    assert np.allclose(found.affine, image.affine, atol=1e-3)
    probability = np.squeeze(found.get_fdata())
    assert probability.shape == (*image.shape, 2)
    assert np.allclose(probability.sum(-1), 1, atol=1e-4)
    assert len(list(inferred.glob("*.nii.gz"))) == 1  # the test set only


def test_masks_on_the_ct_s_own_grid(job, inferred, capsys):
    masks = job / "demo" / "masks"
    assert (
        net_lung(
            [
                "restore",
                "--data",
                str(job / "demo" / "data"),
                "--predictions",
                str(inferred),
                "--out",
                str(masks),
            ]
        )
        == 0
    )
    (patient,) = split(job, "Inference")
    assert re.search(rf"{patient} +Inference +[01]\.\d{{4}}", capsys.readouterr().out)
    mask = nibabel.load(masks / f"{patient}_mask.nii.gz")
    label = nibabel.load(job / "demo" / "data" / "native" / f"{patient}_label.nii.gz")
    assert mask.shape == label.shape == (64, 64, 20)
    assert np.array_equal(mask.affine, label.affine)
    assert set(np.unique(mask.dataobj)) <= {0, 1}


def test_a_new_patient_from_dicom_to_dicom(job, inferred):
    (patient,) = split(job, "Inference")
    assert (
        net_lung(
            [
                "restore",
                "--data",
                str(job / "demo" / "data"),
                "--predictions",
                str(inferred),
                "--out",
                str(job / "restored"),
            ]
        )
        == 0
    )
    assert (
        net_lung(
            [
                "segment",
                "--dicom",
                str(job / "dicom" / patient),
                "--model",
                str(job / "demo" / "models" / "demo"),
                "--out",
                str(job / "new"),
                "--windows",
                "grid",
            ]
        )
        == 0
    )  # as net_segment inference did
    restored = nibabel.load(job / "restored" / f"{patient}_mask.nii.gz")
    mask = nibabel.load(job / "new" / "mask.nii.gz")
    assert np.array_equal(mask.affine, restored.affine)
    assert np.mean(mask.get_fdata() != restored.get_fdata()) < 1e-3  # sums in another order
    probability, _ = predictions.read_foreground(predictions.find(inferred)[patient])
    summary = json.loads((job / "new" / "summary.json").read_text())
    assert summary["max_probability"] == pytest.approx(probability.max(), abs=1e-4)
    assert summary["models"][0]["iteration"] == 5
    names = {path.name for path in (job / "new").iterdir()}
    assert names == {
        "mask.nii.gz",
        "mask_seg.dcm",
        "mask_rtstruct.dcm",
        "overlay.png",
        "summary.json",
    }


def test_niftynets_own_evaluation_has_the_projects_measures(job, inferred, run_forked):
    run_forked("net_segment", "evaluation", "-c", "net.ini", "--save_csv_dir", job / "evaluation")
    found = pandas.read_csv(job / "evaluation" / "eval_subject_id_label.csv").iloc[0]
    (patient,) = split(job, "Inference")
    label = nibabel.load(job / "demo" / "data" / "labels" / f"{patient}.nii.gz")
    probability = nibabel.load(next(inferred.glob("*.nii.gz"))).get_fdata()[..., 0, 1]
    expected, _ = score_patient(probability > 0.5, label.get_fdata() > 0, label.header.get_zooms())
    assert found["subject_id"] == patient and found["label"] == 1
    for name, column in (
        ("dice3d", "dice_3d"),
        ("dice2d", "dice_2d"),
        ("msd_mm", "msd_2d_mm"),
        ("hd95_mm", "hd95_2d_mm"),
    ):
        assert found[name] == pytest.approx(expected[column], abs=1e-6, nan_ok=True), name


# infers twice; study/test_select.py tests the rest of it without TensorFlow
@pytest.mark.slow
def test_select_infers_checkpoints_on_the_validation_set(job, trained, run_forked):
    run_forked(
        "python",
        "-m",
        "niftynet_ext",
        "select",
        "--references",
        str(job / "demo" / "data"),
        "-c",
        "net.ini",
        "--iterations",
        "3",
        "5",
        "--out",
        "best.json",
    )
    content = json.loads((job / "best.json").read_text())
    assert [one["iteration"] for one in content["compared"]] == [3, 5]
    assert content["best"][0]["dice_3d"] == max(one["dice_3d"] for one in content["compared"])
    (patient,) = split(job, "Validation")
    for one in content["compared"]:
        assert set(predictions.find(Path(one["folder"]))) == {patient}


@pytest.mark.slow  # the same function as of net_segment, with one option more
def test_net_run_is_the_same_application(job, inferred, run_forked):
    run_forked(
        "net_run",
        "inference",
        "-c",
        "net.ini",
        "-a",
        "niftynet.application.segmentation_application.SegmentationApplication",
        "--save_seg_dir",
        job / "by_net_run",
    )
    for path in inferred.glob("*.nii.gz"):
        theirs = nibabel.load(job / "by_net_run" / path.name).get_fdata()
        assert np.allclose(theirs, nibabel.load(path).get_fdata(), atol=1e-5)


def test_a_network_written_for_tensorflow_1_trains(job, run_forked):
    run_forked(
        "net_segment",
        "train",
        "-c",
        "net.ini",
        "--name",
        "old_plugin.OldNet",
        "--model_dir",
        job / "old",
        "--max_iter",
        "2",
        "--loss_type",
        "Dice",
        "--dataset_split_file",
        job / "demo" / "data" / "split.csv",
    )
    assert 2 in checkpoints.whole(job / "old")
