"""Values of the ini keys that this project adds, one definition each; imports nothing."""

UNIFORM_FAST = "uniform_fast"
"""This project's ``window_sampling`` in [NETWORK]."""

VOLUME_MEMORY_GB = 4.0
"""Default of ``volume_memory_gb`` in [TRAINING]."""

OFF, BFLOAT16 = PRECISIONS = ("off", "bfloat16")
"""Values of ``mixed_precision`` in [NETWORK]."""

GRID, GAUSSIAN, WHOLE = INFERENCE_WINDOWS = ("grid", "gaussian", "whole")
"""Values of ``inference_windows`` in [INFERENCE]."""
