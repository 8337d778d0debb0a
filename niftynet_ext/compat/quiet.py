"""TensorFlow's start-up messages: a dozen lines about oneDNN, CUDA and deprecation at every start.

``TF_CPP_MIN_LOG_LEVEL=0`` (or 1) in the environment brings them back.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# information and warnings in the two styles of TensorFlow's C++ log; errors stay
NOISE = re.compile(
    rb"WARNING: All log messages before absl::|[IW]\d{4} \d\d:\d\d:|"
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |"
    rb"To enable the following instructions"
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Drop the messages that TensorFlow writes to the file descriptor of stderr; keep the rest.

    The environment variable alone is not enough: TensorFlow 2.16 and later log before they read it.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1"):
        yield
        return
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "disable_resource_variables is deprecated"
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            logger.setLevel(level)
            caught.seek(0)
            kept = b"".join(line for line in caught if not NOISE.match(line))
            if kept:
                os.write(2, kept)
