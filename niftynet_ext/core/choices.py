"""Values of the ini keys that this project adds, one definition each; imports nothing."""

UNIFORM_FAST = "uniform_fast"  # window_sampling in [NETWORK]
VOLUME_MEMORY_GB = 4.0  # default of volume_memory_gb in [TRAINING]

OFF, BFLOAT16 = PRECISIONS = ("off", "bfloat16")  # mixed_precision in [NETWORK]

GRID, GAUSSIAN, WHOLE = INFERENCE_WINDOWS = ("grid", "gaussian", "whole")  # in [INFERENCE]
