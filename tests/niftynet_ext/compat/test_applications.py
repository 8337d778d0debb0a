"""NiftyNet's five applications from its own commands: training, inference and evaluation run."""

import nibabel
import numpy as np
import pandas as pd
import pytest

WINDOW = (16, 16, 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four subjects: image, its half to regress to, label, class, and a flat image."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(1)
    tables = {name: [] for name in ("image", "half", "label", "class", "flat")}
    for k in range(4):
        image = rng.normal(size=(20, 20, 20)).astype(np.float32)
        arrays = {
            "image": image,
            "half": image / 2,
            "label": (image > 1).astype(np.uint8),
            "class": np.full((1, 1, 1), k % 2, np.uint8),
            "flat": image[:16, :16, :1],
        }
        for name, array in arrays.items():
            path = folder / f"{name}_{k}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
            tables[name].append(f"s{k},{path}\n")
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("".join(lines))
    return folder


def source(data, name, window=WINDOW, order=0):
    return {"csv_file": data / f"{name}.csv", "spatial_window_size": window, "interp_order": order}


@pytest.fixture
def run(tmp_path, fork_server):
    """Function: write an ini file and run actions of a command with it.

    It returns the folder of the inference.
    """

    def run(command, actions, sections):
        ini = tmp_path / "config.ini"
        write_ini(ini, sections)
        for action in actions:
            words = [command, action, "-c", ini]
            code, _ = fork_server.run(words, cwd=tmp_path, log=tmp_path / f"{action}.log")
            assert code == 0
        return tmp_path / "inference"

    return run


def write_ini(path, sections):
    """Write sections, and what all applications have in common."""
    folder = path.parent
    common = {
        "SYSTEM": {"num_threads": 1, "num_gpus": 0, "model_dir": folder / "model"},
        "NETWORK": {"batch_size": 1, "queue_length": 5, "window_sampling": "uniform"},
        "TRAINING": {
            "sample_per_volume": 1,
            "lr": 0.001,
            "max_iter": 2,
            "save_every_n": 1,
            "tensorboard_every_n": 1,
        },
        "INFERENCE": {
            "border": 0,
            "inference_iter": -1,
            "spatial_window_size": WINDOW,
            "save_seg_dir": folder / "inference",
        },
        "EVALUATION": {"save_csv_dir": folder / "evaluation"},
    }
    with open(path, "w") as file:
        for name in {**common, **sections}:
            print(f"[{name}]", file=file)
            for key, value in {**common.get(name, {}), **sections.get(name, {})}.items():
                print(f"{key} = {value}", file=file)


@pytest.mark.slow  # tests/test_main_job.py trains and infers a segmentation too
def test_segment_application_runs_all_its_actions(data, tmp_path, run):
    """With every preprocessing and augmentation that NiftyNet has."""
    out = run(
        "net_segment",
        ["train", "inference", "evaluation"],
        {
            "image": source(data, "image", order=3),
            "label": source(data, "label"),
            "NETWORK": {
                "name": "toynet",
                "normalisation": True,
                "whitening": True,
                "decay": 0.1,
                "reg_type": "L1",
                "cutoff": "(0.01, 0.99)",
                "histogram_ref_file": tmp_path / "histogram.txt",
            },
            "TRAINING": {
                "loss_type": "Dice",
                "random_flipping_axes": "0,1",
                "bias_field_range": "(-0.5, 0.5)",
                "scaling_percentage": "(-10.0, 10.0)",
                "rotation_angle": "(-10.0, 10.0)",
                "do_elastic_deformation": True,
                "num_ctrl_points": 4,
                "proportion_to_deform": 1.0,
                "validation_every_n": 1,
                "exclude_fraction_for_validation": 0.25,
                "exclude_fraction_for_inference": 0.25,
            },
            "EVALUATION": {"evaluations": "dice,jaccard,average_distance,hausdorff95_distance"},
            "SEGMENTATION": {
                "image": "image",
                "label": "label",
                "num_classes": 2,
                "output_prob": False,
                "label_normalisation": True,
            },
        },
    )
    (mask,) = out.glob("*.nii.gz")
    assert np.squeeze(nibabel.load(mask).get_fdata()).shape == (20, 20, 20)
    scores = pd.read_csv(tmp_path / "evaluation" / "eval_subject_id_label.csv")
    truth = nibabel.load(data / f"label_{scores.subject_id[0][1]}.nii.gz").get_fdata() == 1
    found = np.squeeze(nibabel.load(mask).get_fdata()) == 1
    dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
    assert scores.dice.tolist() == pytest.approx([dice])


def test_regress_application_runs_all_its_actions(data, tmp_path, run):
    out = run(
        "net_regress",
        ["train", "inference", "evaluation"],
        {
            "image": source(data, "image", order=1),
            "output": source(data, "half"),
            "NETWORK": {"name": "toynet"},
            "TRAINING": {"loss_type": "L2Loss"},
            "EVALUATION": {"evaluations": "mse,rmse,mae"},
            "REGRESSION": {"image": "image", "output": "output"},
        },
    )
    scores = pd.read_csv(tmp_path / "evaluation" / "eval_subject_id.csv").set_index("subject_id")
    for k in range(4):
        (found,) = out.glob(f"*s{k}*.nii.gz")
        error = (
            np.squeeze(nibabel.load(found).get_fdata())
            - nibabel.load(data / f"half_{k}.nii.gz").get_fdata()
        )
        assert scores.loc[f"s{k}", "mse"] == pytest.approx(np.mean(error**2), rel=1e-4)


# a network of fifty layers; nothing of this project is in it
@pytest.mark.slow
def test_classify_application_runs_all_its_actions(data, run):
    out = run(
        "net_classify",
        ["train", "inference"],
        {
            "image": source(data, "image", order=1),
            "label": source(data, "class", (1, 1, 1)),
            "NETWORK": {"name": "resnet", "batch_size": 2, "window_sampling": "resize"},
            "TRAINING": {"loss_type": "CrossEntropy"},
            "CLASSIFICATION": {
                "image": "image",
                "label": "label",
                "num_classes": 2,
                "output_prob": True,
            },
        },
    )
    assert len(list(out.glob("*niftynet_out*"))) == 4


@pytest.mark.slow  # nothing of this project is in it
def test_autoencoder_application_runs_all_its_actions(data, run):
    size = (16, 16, 1)
    out = run(
        "net_autoencoder",
        ["train", "inference"],
        {
            "image": source(data, "flat", size, order=1),
            "NETWORK": {"name": "vae", "batch_size": 2},
            "TRAINING": {"loss_type": "VariationalLowerBound"},
            "INFERENCE": {"spatial_window_size": size},
            "AUTOENCODER": {"image": "image", "inference_type": "encode", "noise_stddev": 0.0},
        },
    )
    assert len(list(out.glob("*embedded*"))) == 4


@pytest.mark.slow  # nothing of this project is in it
def test_gan_application_runs_all_its_actions(data, run):
    size = (16, 16, 1)
    out = run(
        "net_gan",
        ["train", "inference"],
        {
            "image": source(data, "flat", size, order=1),
            "conditioning": source(data, "flat", size, order=1),
            "NETWORK": {"name": "simulator_gan", "batch_size": 2, "window_sampling": "resize"},
            "TRAINING": {"loss_type": "CrossEntropy"},
            "INFERENCE": {"spatial_window_size": size},
            "GAN": {
                "image": "image",
                "conditioning": "conditioning",
                "noise_size": 4,
                "n_interpolations": 3,
            },
        },
    )
    image, *_ = out.glob("*generated*")
    assert np.squeeze(nibabel.load(image).get_fdata()).shape == (16, 16)
