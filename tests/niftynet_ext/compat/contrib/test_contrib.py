"""``tf.contrib`` as a package: its names, and what it says of those it lacks."""

import pytest

from niftynet_ext.compat import contrib


def test_every_part_is_there(tf):
    for path, parts in contrib.PARTS.items():
        module = tf.contrib
        for name in path.split("."):
            module = getattr(module, name)
        assert all(callable(getattr(module, name)) for name in parts), path


def test_import_by_dotted_name(tf):
    from tensorflow.contrib.framework import list_variables
    from tensorflow.contrib.layers.python.layers import regularizers

    assert list_variables is tf.train.list_variables
    assert regularizers.l2_regularizer is tf.contrib.layers.l2_regularizer


def test_what_it_lacks_is_named(tf):
    with pytest.raises(AttributeError, match=r"tensorflow\.contrib\.slim.*1\.15"):
        tf.contrib.slim  # noqa: B018


def test_confusion_matrix(tf, evaluate):
    matrix = evaluate(tf.contrib.metrics.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 3))
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_local_variable_is_in_no_checkpoint_and_may_grow(tf):
    variable = tf.contrib.framework.local_variable(tf.constant(0.0), validate_shape=False, name="v")
    assert variable in tf.local_variables() and variable not in tf.global_variables()
    grow = tf.assign(variable, tf.ones((2, 3)), validate_shape=False)
    with tf.Session() as session:
        assert session.run(grow).shape == (2, 3)


def test_hash_table_holds_vectors(tf):
    table = tf.contrib.lookup.MutableDenseHashTable(
        tf.int64,
        tf.int64,
        default_value=tf.constant([-1, -1], tf.int64),
        empty_key=-3,
        deleted_key=-2,
    )
    insert = table.insert(tf.constant([5, 7], tf.int64), tf.constant([[1, 2], [3, 4]], tf.int64))
    with tf.Session() as session:
        session.run(insert)
        found = session.run(table.lookup(tf.constant([7, 6], tf.int64)))
    assert found.tolist() == [[3, 4], [-1, -1]]
