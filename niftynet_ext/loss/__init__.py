"""Losses of the paper and of its release; plugins that also run on TensorFlow 1.15."""
