"""Score masks before post-processing and after each of its steps, and write the final masks."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from data_prep.core import files, predictions
from data_prep.core.errors import DataError
from niftynet_ext.study import cases, postprocess, scoring, tables
from niftynet_ext.study.evaluate import relative_path, tabulate
from niftynet_ext.study.evaluation_record import PostprocessingRecord
from niftynet_ext.study.scoring import ModelPredictions, ScoredModel
from niftynet_ext.study.tables import EvaluationTables

_SEED = 0  # of the bootstrap


def score_stages(
    predictions_dir: str | PathLike[str],
    steps: Sequence[postprocess.Step],
    references_dir: str | PathLike[str],
    out_dir: str | PathLike[str],
    only_set: str | None = None,
) -> EvaluationTables:
    """Take the steps of a post-processing one by one, and score the masks after each.

    The masks after the last step are written as ``<id>_mask.nii.gz``, and the tables as by
    ``evaluate``. Their models are ``0. as predicted``, ``1. + components:0.5`` and so on; the tests
    compare each with the first.

    :param predictions_dir: masks or probabilities of one model
    :param steps: of :func:`~.postprocess.parse_plan`
    :param references_dir: folder that ``preprocess`` wrote, or one of NIfTI masks
    :param out_dir: folder to write
    :param only_set: the set to score; by default those of which the model predicted a patient
    :return: the tables
    :raises DataError: patients or files do not match, or cannot be used
    """
    folder, references_dir, out_dir = Path(predictions_dir), Path(references_dir), Path(out_dir)
    steps = tuple(steps)
    references, unlabelled = cases.find_references(references_dir, only_set)
    if out_dir.resolve() == folder.resolve():
        raise DataError(f"--out {out_dir} is the folder of the predictions. Name another folder.")
    files.make_folder(out_dir)

    def score_stage(count: int) -> ScoredModel:
        """Score the masks after the first ``count`` steps."""
        taken = steps[:count]

        def alter(mask: np.ndarray, affine: np.ndarray, patient_id: str) -> np.ndarray:
            """Take the steps; after the last one, write the mask."""
            ct = _read_ct(references[patient_id]) if postprocess.needs_ct(taken) else None
            altered = postprocess.apply(mask, affine, taken, ct)
            if taken == steps:
                path = out_dir / f"{patient_id}_mask.nii.gz"
                files.write_nifti(path, altered.astype(np.uint8), affine)
            return altered

        name = f"+ {taken[-1]}" if taken else "as predicted"
        model = ModelPredictions(f"{count}. {name}", None, folder)
        return scoring.score_model(model, references, only_set, unlabelled, alter)

    scored = [score_stage(count) for count in range(len(steps) + 1)]
    found = tabulate(scored, _SEED, against=scored[0].patients["model"][0])
    tables.write(
        out_dir,
        found,
        seed=_SEED,
        references=relative_path(references_dir, out_dir),
        predictions={},
        postprocessing=PostprocessingRecord(
            predictions=relative_path(folder, out_dir), steps=[str(step) for step in steps]
        ),
    )
    return found


def _read_ct(reference: cases.Reference) -> tuple[np.ndarray, np.ndarray]:
    """Read the CT of a patient: HU (x, y, z) and its affine, RAS mm.

    :raises DataError: there is no CT, or it cannot be read
    """
    if reference.image is None:
        raise DataError(
            "A box is found in the CT: give --references the folder that preprocess wrote."
        )
    array, affine = predictions.read_foreground(reference.image)
    return array, affine
