"""The penalties of a network's variables, collected as one tensor."""

import tensorflow as tf


class Decay:
    """Collects the penalties of variables where TensorFlow would collect each by itself.

    NiftyNet adds to the loss the mean over the collection ``REGULARIZATION_LOSSES`` of the mean of
    each entry. The mean of one vector of all penalties is the same for the only network of a graph,
    in a fraction of the operations (with 99 variables, a fifth of what TensorFlow's Python needs to
    build a network).

    :param regularizer: function of a variable -> scalar or None; None for no penalty at all
    """

    def __init__(self, regularizer):
        self.regularizer = regularizer
        self.penalties = []

    def collect(self, variable):
        """The regulariser to give to layers.

        :return: None: nothing for TensorFlow to collect
        """
        penalty = self.regularizer(variable) if self.regularizer else None
        if penalty is not None:
            self.penalties.append(penalty)

    def register(self, scope):
        """Add what was collected since the last time to the graph's collection, as (n,).

        :param scope: of the network's variables; NiftyNet looks for penalties by it
        """
        if self.penalties:
            with tf.name_scope(scope + "/"):
                penalties = tf.stack(self.penalties, name="decay")
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, penalties)
            self.penalties = []
