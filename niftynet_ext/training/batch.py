"""Whose windows are in a batch."""

import tensorflow as tf


def window_location(graph):
    """Where the windows of a batch come from.

    NiftyNet's applications keep the sampler's output to themselves. With a validation set it is
    what a ``tf.cond`` chose (a Merge), else what the data pipeline gives (an IteratorGetNext).

    :param graph: the graph of the training
    :return: int32 tensor (batch, 7): index of the subject, first and last corner; None if there is
        none
    """
    for kind in ("Merge", "IteratorGetNext"):
        for operation in graph.get_operations():
            if operation.type == kind:
                for tensor in operation.outputs:
                    if (
                        tensor.dtype == tf.int32
                        and tensor.shape.ndims == 2
                        and tensor.shape.as_list()[1] == 7
                    ):
                        return tensor
    return None


def subject_ids(reader, location):
    """
    :param reader: NiftyNet's image reader
    :param location: (batch, 7) array, subject's index first, or None
    :return: ids with commas between them
    """
    if location is None:
        return "unknown to this application"
    return ", ".join(str(reader.get_subject_id(int(row[0]))) for row in location)
