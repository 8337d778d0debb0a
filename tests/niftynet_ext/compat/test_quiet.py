"""TensorFlow's start-up noise; everything else that goes to stderr stays."""

import os

import pytest

from niftynet_ext.compat.quiet import quiet_start

NOISE = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795430717.731515   14659 port.cc:153] oneDNN custom operations are on.",
    "2026-11-23 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:182] This binary",
    "2026-11-23 10:00:00.123456: W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT",
)
KEPT = (
    "E0000 00:00:1795430717.731515   14659 cuda_dnn.cc:8310] Unable to register cuDNN factory",
    "2026-11-23 10:00:00.123456: F tensorflow/core/lib.cc:1] died",
    "Traceback: mine",
)


@pytest.mark.parametrize("level, expected", [(None, KEPT), ("2", KEPT), ("0", NOISE + KEPT)])
def test_only_information_and_warnings_of_the_c_library_go(monkeypatch, capfd, level, expected):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    if level:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with pytest.raises(KeyError), quiet_start():
        os.write(2, "".join(f"{line}\n" for line in NOISE + KEPT).encode())
        raise KeyError
    assert tuple(capfd.readouterr().err.splitlines()) == expected
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (level or "2")
