"""Write ``tensorflow_1.npz``: the numbers of all cases on NiftyNet's own stack.

Run once, under Python 3.7 with TensorFlow 1.15.5 and NiftyNet 0.6.0, and commit the file:

    python -m tests.support.make_fixture
"""

from __future__ import annotations

import json
import os

import niftynet  # noqa: F401  (before TensorFlow, as everywhere)
import numpy as np
import tensorflow as tf

FOLDER = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(FOLDER, "tensorflow_1.npz")
FIELDS = ("output", "gradient", "norms")


def main() -> None:
    """Compute all cases; a case that fails on this stack stops the script."""
    from tests.support import array_cases
    from tests.support import tensorflow_cases as cases

    if not tf.__version__.startswith("1.15"):
        raise SystemExit(f"expected TensorFlow 1.15, found {tf.__version__}")
    sizes: dict[str, list[int]] = {}
    variables: dict[str, str] = {}
    numbers: list[np.ndarray] = []
    for name, case in cases.CASES.items():
        print(name)
        result = cases.compute(case)
        sizes[name] = [len(result[field]) for field in FIELDS]
        variables[name] = result["variables"]
        numbers.extend(result[field] for field in FIELDS)
    for name, function in array_cases.CASES.items():
        print(name)
        value = cases.summary(function())
        sizes[name] = [len(value)]
        numbers.append(value)
    np.savez_compressed(
        FIXTURE,
        numbers=np.concatenate(numbers).astype(np.float32),
        sizes=json.dumps(list(sizes.items())),
        variables=json.dumps(variables),
    )


if __name__ == "__main__":
    main()
