"""Whole and half-written checkpoints, against what TensorFlow itself writes and reads."""

import os

import pytest

from niftynet_ext.core import checkpoints
from tests.support.toy import DATA, INDEX, write_checkpoint


@pytest.fixture
def models(tmp_path):
    write_checkpoint(tmp_path, 2, 10, 9)
    return tmp_path / "models"


@pytest.mark.slow  # starts TensorFlow; the others read recorded files
def test_sizes_promised_to_tensorflows_own_files(tf, tmp_path):
    """Many tensors, so that keys share beginnings and the table has several blocks."""
    for number in range(300):
        tf.get_variable(f"a_long_scope_name/that_all_share/w_{number}", [number % 7 + 1, 3])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "models" / "model.ckpt"), global_step=7)
    index = tmp_path / "models" / "model.ckpt-7.index"
    data = index.with_suffix(".data-00000-of-00001")
    total = sum((number % 7 + 1) * 3 * 4 for number in range(300))
    assert checkpoints.promised_sizes(index.read_bytes()) == [data.stat().st_size] == [total]
    assert checkpoints.whole(tmp_path) == [7]


def test_no_beginning_of_an_index_is_an_index():
    for length in range(len(INDEX)):
        with pytest.raises(ValueError, match="not a whole index"):
            checkpoints.promised_sizes(INDEX[:length])


def test_numbers_in_order(models):
    assert checkpoints.whole(models.parent) == [2, 9, 10]


@pytest.mark.parametrize(
    "name, content",
    [
        ("model.ckpt-10.index", INDEX[:-1]),
        ("model.ckpt-10.index", b""),
        ("model.ckpt-10.data-00000-of-00001", DATA[:-1]),
        ("model.ckpt-10.data-00000-of-00001", None),
    ],
)
def test_a_broken_checkpoint_does_not_count(models, name, content):
    (models / name).unlink()
    if content is not None:
        (models / name).write_bytes(content)
    assert checkpoints.whole(models.parent) == [2, 9]


@pytest.mark.parametrize(
    "named, expected",
    [
        ('"model.ckpt-9"', 9),
        ('"/an/other/place/model.ckpt-2"', 2),
        ('"model.ckpt-11"', 10),
        (None, 10),
        ("", 10),
    ],
)
def test_the_latest_is_the_named_checkpoint_if_it_is_whole(models, named, expected):
    if named is not None:
        (models / "checkpoint").write_text(
            f'model_checkpoint_path: {named}\nall_model_checkpoint_paths: "model.ckpt-3"\n'
        )
    assert checkpoints.latest(models.parent) == expected


def test_the_latest_may_have_been_written_before_it_could_be_named(models):
    """Killed between two renames: the index of 10 is there, the text file still names 2."""
    text = models / "checkpoint"
    text.write_text('model_checkpoint_path: "model.ckpt-2"')
    index = models / "model.ckpt-10.index"
    os.utime(index, ns=(text.stat().st_mtime_ns + 1,) * 2)
    assert checkpoints.latest(models.parent) == 10
    index.write_bytes(INDEX[:-1])
    assert checkpoints.latest(models.parent) == 2


def test_an_earlier_training_that_went_further_is_not_resumed(tf, models):
    """A new training in the folder of an old one: TensorFlow's own names and times."""
    tf.get_variable("w", [2])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(max_to_keep=2)
        for iteration in (1, 2, 3):
            saver.save(session, str(models / "model.ckpt"), global_step=iteration)
    assert checkpoints.whole(models.parent) == [2, 3, 9, 10]
    assert checkpoints.latest(models.parent) == 3


def test_no_model_folder(tmp_path):
    assert checkpoints.whole(tmp_path / "no") == []
    assert checkpoints.latest(tmp_path / "no") is None
    assert checkpoints.tidy(tmp_path / "no") == []


def test_leftovers_of_a_killed_process(models):
    kept = {path.name for path in models.iterdir()} | {"notes.txt", "model.ckpt-9.meta"}
    for name in (
        "model.ckpt-11.data-00000-of-00001.tempstate97",
        "checkpoint.tmp75a25b490ac",
        "model.ckpt-11.meta.tmp9f8602",
        "model.ckpt-12.data-00000-of-00001",
        "notes.txt",
        "model.ckpt-9.meta",
    ):
        (models / name).touch()
    (models / "model.ckpt-13_temp_0a").mkdir()
    (models / "model.ckpt-13_temp_0a" / "part-00000-of-00001.data-00000-of-00001").touch()
    assert len(checkpoints.tidy(models.parent)) == 5
    assert {path.name for path in models.iterdir()} == kept
