"""Networks of the paper; plugins that also run on Python 3.7 with TensorFlow 1.15."""
