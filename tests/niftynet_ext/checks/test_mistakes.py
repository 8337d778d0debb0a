"""Each mistake gets one clear line before the graph is built: NiftyNet's own main, in-process."""

import json
import os

import nibabel
import numpy as np
import pytest

from tests.support.graph_reached import GraphReached
from tests.support.toy import AFFINE, IDS, write_checkpoint


def refused(main, *words):
    """Return the single line of a refusal."""
    with pytest.raises(SystemExit) as caught:
        main(*words)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("error: ")
    return str(caught.value)


def label_values(job):
    label = np.zeros((20, 20, 16), np.uint8)
    label[4:8, 4:8, 4:8] = 255
    job.save("labels", "002", label)


def background(job):
    for subject in IDS:
        job.save("labels", subject, np.zeros((20, 20, 16), np.uint8))


def shape(job):
    job.save("labels", "004", np.ones((20, 20, 15), np.uint8))


def shifted(job):
    affine = AFFINE.copy()
    affine[0, 3] += 1.0  # half a voxel
    job.save("labels", "001", np.ones((20, 20, 16), np.uint8), affine)


def cut_off(job):
    path = job.folder / "labels" / "002.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])


def zeros_lost(job):
    job.write("split.csv", [f"{int(subject)},Training" for subject in IDS])


def stranger(job):
    job.write("split.csv", [f"{subject},Training" for subject in IDS] + ["LUNG1-128,Training"])


def no_training(job):
    job.write("split.csv", [f"{subject},Inference" for subject in IDS])


def no_validation(job):
    job.write("split.csv", [f"{subject},Training" for subject in IDS])


def twice(job):
    job.write("split.csv", [f"{subject},Training" for subject in IDS] + ["003,Inference"])


def phase(job):
    job.write("split.csv", [f"{subject},Trainig" for subject in IDS])


def empty_split(job):
    job.write("split.csv", [])


def key(section, **keys):
    return lambda job: job.set(section, **keys)


def windows(size):
    def change(job):
        job.set("CT", spatial_window_size=size)
        job.set("LABEL", spatial_window_size=size)

    return change


def section(job):
    text = (job.folder / "net.ini").read_text()
    (job.folder / "net.ini").write_text(text.replace("[TRAINING]", "[TRAINNING]"))


def old_network(job):
    job.set("TRAINING", starting_iter=7)
    write_checkpoint(job.model, 3)


def whole_volumes(job):
    job.set("TRAINING", whole_volume_validation_every_n=5)
    job.set("INFERENCE", spatial_window_size="(24, 16, 8)")


def whole_windows(job):
    """Blended windows need not fit the volume, but the network."""
    multiple(job)
    windows("(16, 16, 8)")(job)
    job.set("TRAINING", whole_volume_validation_every_n=5)
    job.set("INFERENCE", spatial_window_size="(24, 12, 8)", inference_windows="gaussian")


def border(job):
    job.set("INFERENCE", inference_windows="gaussian", border="(8, 2, 2)")


def multiple(job):
    job.write("toynet.py", [(job.folder / "toynet.py").read_text(), "WINDOW_MULTIPLE = 8"])
    windows("(16, 12, 8)")(job)


@pytest.mark.parametrize(
    "mistake, line",
    [
        (label_values, "subject 002: the label has the values 255; num_classes = 2 allows 0 to 1"),
        (background, r"no label has any foreground \(5 labels, "),
        (shape, r"subject 004: image and label differ in shape: \(20, 20, 16\) and \(20, 20, 15\)"),
        (shifted, r"subject 001: image and label are shifted: .* up to 0\.50 voxels apart"),
        (
            windows("(24, 16, 8)"),
            r"subject 001: the image is \(20, 20, 16\) voxels.* \(24, 16, 8\)",
        ),
        (
            windows("(20, 16, 8)"),
            r"and \(19, 19, 15\) after scaling by 0\.95; .* \(20, 16, 8\) does",
        ),
        (
            whole_volumes,
            r"subject 005: the image is \(20, 20, 16\) voxels; .* \(24, 16, 8\) does not",
        ),
        (whole_windows, r"is \(24, 12, 8\): toynet.ToyNet needs multiples of 8"),
        (border, r"border = \(8, 2, 2\): windows of \(16, 16, 8\) overlap by twice the border"),
        (multiple, r"is \(16, 12, 8\): toynet.ToyNet needs multiples of 8, e\.g\. \(16, 8, 8\)"),
        (
            zeros_lost,
            "split.csv has 1, 2, 3, 4, 5 and 1 more, but csv_file has 001: a spreadsheet",
        ),
        (stranger, "split.csv has 1 subject without images in any csv_file: LUNG1-128"),
        (no_training, "split.csv: no subject is in the set Training"),
        (no_validation, "is in the set Validation. Add some, or set validation_every_n = -1"),
        (twice, "split.csv has more than one line for 003: each subject must have one phase"),
        (phase, r"split.csv: 001 is in the set 'Trainig': did you mean 'Training'\?"),
        (empty_split, "split.csv is empty"),
        (
            key("SYSTEM", dataset_split_file="splt.csv"),
            r"splt.csv does not exist, and NiftyNet would",
        ),
        (
            lambda job: job.write("ct.csv", []),
            "ct.csv is empty; expected lines such as 'LUNG1-001,im",
        ),
        (
            lambda job: job.write(
                "ct.csv", [f"{subject};images/{subject}.nii.gz" for subject in IDS]
            ),
            "ct.csv: every line must be 'id,path'",
        ),
        (
            lambda job: job.write(
                "ct.csv", [f"{subject},images/{subject}.nii.gz" for subject in (*IDS, "002")]
            ),
            "ct.csv has more than one line for 002",
        ),
        (
            lambda job: job.write(
                "label.csv", [f"{int(subject)},labels/{subject}.nii.gz" for subject in IDS]
            ),
            r"\[LABEL\] csv_file has 1 where another list has 001: a spreadsheet",
        ),
        (
            lambda job: (job.folder / "images" / "003.nii.gz").unlink(),
            "subject 003: .*003.nii.gz does not exist",
        ),
        (cut_off, "labels/002.nii.gz cannot be read: .* may be truncated"),
        (
            key("INFERENCE", inference_windows="gausian"),
            "gausian does not exist: did you mean 'gauss",
        ),
        (
            key("NETWORK", mixed_precision="bfloat"),
            "bfloat does not exist: did you mean 'bfloat16'",
        ),
        (key("NETWORK", batch_size=0), "batch_size = 0: expected 1 or more"),
        (key("TRAINING", sample_per_volume=0), "sample_per_volume = 0: expected 1 or more"),
        (key("SEGMENTATION", label=""), "label is missing: a training needs"),
        (
            key("TRAINING", max_itr=2),
            r"'max_itr' is not a key of any section: did you mean 'max_iter'",
        ),
        (section, r"\[TRAINNING\] would be a section of input images; did you mean \[TRAINING\]\?"),
        (key("SEGMENTATION", label="LABLE"), r"has no section \[LABLE\]: did you mean 'LABEL'\?"),
        (key("CT", csv_file="ctt.csv"), r"\[CT\] csv_file = ctt.csv does not exist"),
        (key("NETWORK", name="densehighres3dnet_v3"), "did you mean 'densehighres3dnet_v[12]'"),
        (key("NETWORK", name="toynet.ToyNt"), "toynet has no 'ToyNt': did you mean 'ToyNet'"),
        (key("NETWORK", name="toyne.ToyNet"), "toyne.ToyNet cannot be imported: No module named"),
        (
            key("NETWORK", window_sampling="unifrom"),
            "unifrom does not exist: did you mean 'uniform'",
        ),
        (key("NETWORK", window_sampling="uniform_fst"), "did you mean 'uniform_fast'"),
        (key("TRAINING", foreground_share=1.5), "foreground_share = 1.5: expected a share"),
        (
            key("TRAINING", foreground_share=0.5),
            "has no effect with window_sampling = uniform: set",
        ),
        (key("TRAINING", volume_memory_gb=-1), "volume_memory_gb = -1: expected 0"),
        (key("NETWORK", mixed_precision="bfloat16"), "toynet.ToyNet computes in float32 only"),
        (key("NETWORK", activation_function="preluu"), "does not exist: did you mean 'prelu'"),
        (
            key("TRAINING", loss_type="DiceForground"),
            "DiceForground does not exist: did you mean 'D",
        ),
        (key("TRAINING", optimiser="adamm"), "adamm does not exist: did you mean 'adam'"),
        (key("SYSTEM", event_handler="model_savr"), "did you mean 'model_saver'"),
        (key("SYSTEM", model_dir="/proc/model"), "nothing can be written to /proc/model"),
        (key("SYSTEM", num_gpus=2), "num_gpus = 2, but TensorFlow .* sees no GPU"),
        (key("SYSTEM", num_gpus=1, cuda_devices="0,1"), "cuda_devices = 0,1, but TensorFlow"),
        (
            key("TRAINING", starting_iter=-1),
            "starting_iter = -1: .* has no complete checkpoint. Train",
        ),
        (
            old_network,
            "starting_iter = 7: .* no complete checkpoint of that iteration. Choose one of: 3",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_training_is_refused(main, job, mistake, line):
    mistake(job)
    with pytest.raises(SystemExit, match=line):
        main()


def test_one_line_without_a_traceback_and_exit_code_1(job):
    label_values(job)
    code, text = job.net_segment("train")
    assert code == 1 and "Traceback" not in text
    assert [line for line in text.splitlines() if line.startswith("error: ")] == [
        text.splitlines()[-1]
    ]


@pytest.mark.parametrize(
    "change, line",
    [
        (
            key("NETWORK", lr=0.1),
            "[check] [NETWORK] lr has no effect there: it is a key of TRAINING",
        ),
        (key("SYSTEM", num_gpus=1), "sees no GPU: this runs on the CPU"),
        (key("LABEL", interp_order=3), "[check] labels are interpolated (interp_order = 3)"),
        (
            lambda job: write_checkpoint(job.model, 4),
            "starting_iter = 0 starts again and overwrites",
        ),
        (
            lambda job: job.write("split.csv", ["001,Training", "002,Validation"]),
            "lacks 4 subjects with images, which will not be used: 003, 004, 005, 006",
        ),
        (
            lambda job: job.write(
                "label.csv",
                [f"{subject},labels/{subject}.nii.gz" for subject in IDS if subject != "002"],
            ),
            "[LABEL] csv_file lacks 1 subject, which will not be used: 002",
        ),
        (
            lambda job: job.save("labels", "003", np.zeros((20, 20, 16), np.uint8)),
            "no foreground in 1 of 5 labels: 003",
        ),
    ],
    ids=["place", "gpu", "interpolated", "restart", "left_out", "unlabelled", "some_background"],
)
def test_what_may_be_intended_is_a_warning(main, job, capsys, change, line):
    change(job)
    with pytest.raises(GraphReached):
        main()
    said = [text for text in capsys.readouterr().out.splitlines() if text.startswith("[check]")]
    assert any(line in text for text in said), said


def test_class_numbers_are_not_blended(main, job):
    write_checkpoint(job.model, 3)
    job.set("INFERENCE", inference_windows="gaussian")
    job.set("SEGMENTATION", output_prob=False)
    assert "output_prob = False gives class numbers" in refused(main, "inference")


def test_cuda_devices_is_set_before_gpus_are_listed(main, job, monkeypatch):
    from niftynet_ext.checks import preflight

    seen = []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(
        preflight, "check_gpus", lambda *_: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    )
    job.set("SYSTEM", cuda_devices="1")
    with pytest.raises(GraphReached):
        main()
    assert seen == ["1"]


@pytest.mark.parametrize("action", ["train", "inference"])
def test_a_correct_job_gives_no_messages(main, job, capsys, action):
    write_checkpoint(job.model, *([3] if action == "inference" else []))
    with pytest.raises(GraphReached):
        main(action)
    assert "[check]" not in capsys.readouterr().out


def test_turned_and_resampled_inputs_are_no_mistake(main, job):
    """A label stored back to front, with the affine that says so, lies on its image."""
    path = job.folder / "labels" / "001.nii.gz"
    turned = nibabel.load(path).as_reoriented([[0, -1], [2, 1], [1, 1]])
    nibabel.save(turned, job.folder / "turned.nii.gz")
    os.replace(job.folder / "turned.nii.gz", path)
    with pytest.raises(GraphReached):
        main()


def test_labels_are_read_once(main, job, monkeypatch):
    from niftynet_ext.checks import preflight_labels

    with pytest.raises(GraphReached):
        main()
    monkeypatch.setattr(preflight_labels, "label_values", lambda data: [int(data.max()), 7])
    with pytest.raises(GraphReached):
        main()
    label = np.ones((20, 20, 16), np.uint8)
    job.save("labels", "003", label)  # written again: read again
    assert "subject 003: the label has the values 7" in refused(main)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": 2, "labels": {}}'])
def test_a_cache_of_label_values_that_is_no_use_is_made_again(main, job, content):
    cache = job.model / "label_values.json"
    job.model.mkdir()
    cache.write_text(content)
    with pytest.raises(GraphReached):
        main()
    labels = json.loads(cache.read_text())["labels"]
    assert len(labels) == 5 and all(entry["values"] == [0, 1] for entry in labels.values())


@pytest.mark.parametrize("action", ["train", "inference"])
def test_a_broken_checkpoint_named_in_the_checkpoint_file_is_skipped(main, job, action):
    write_checkpoint(job.model, 3, 5, 7)
    (job.model / "models" / "model.ckpt-7.data-00000-of-00001").write_bytes(b"")
    (job.model / "models" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\n')
    with pytest.raises(GraphReached, match="^5$"):
        main(action, "--starting_iter", -1)


def test_inference_needs_a_checkpoint(main, job):
    job.model.mkdir()
    assert "inference_iter = -1: " in refused(main, "inference")
    write_checkpoint(job.model, 3)
    assert "Choose one of: 3" in refused(main, "inference", "--inference_iter", 4)


def test_inference_needs_its_set(main, job):
    write_checkpoint(job.model, 3)
    job.set("INFERENCE", dataset_to_infer="inference")
    job.write("split.csv", [f"{subject},Training" for subject in IDS])
    assert "no subject is in the set Inference" in refused(main, "inference")
