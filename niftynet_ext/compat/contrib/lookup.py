"""``tf.contrib.lookup.MutableDenseHashTable``, where the CRF layer keeps its lattice."""

import tensorflow as tf

MutableDenseHashTable = tf.lookup.experimental.DenseHashTable  # as TensorFlow 1.15 had it
