"""Which subjects the windows of a batch come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def window_location(graph: tf.Graph) -> tf.Tensor | None:
    """Find the tensor that says where the windows of a batch come from.

    NiftyNet's applications do not expose the sampler's output. With a validation set it is the
    output of a ``tf.cond`` (a Merge), otherwise that of the data pipeline (an IteratorGetNext).

    :param graph: the graph of the training
    :return: int32 tensor (batch, 7): index of the subject, first voxel, end; None where the graph
        has no such tensor
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


def subject_ids(reader: Any, location: np.ndarray | None) -> str:
    """Name the subjects of a batch.

    :param reader: NiftyNet's image reader (untyped, as all of NiftyNet)
    :param location: value of :func:`window_location`, or None
    :return: ids, separated by commas
    """
    if location is None:
        return "unknown to this application"
    return ", ".join(str(reader.get_subject_id(int(row[0]))) for row in location)
