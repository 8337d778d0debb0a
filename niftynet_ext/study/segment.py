"""A new patient, from a folder of DICOM to DICOM SEG and RTSTRUCT, by one or several models."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from data_prep.cohort.job import Parameters
from data_prep.core import files, geometry, predictions, resample
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE
from data_prep.dicom_in.scan import CtSeries, scan
from data_prep.dicom_in.series import Volume, choose_series, read_volume
from data_prep.dicom_out.rtstruct import write_rtstruct
from data_prep.dicom_out.seg import write_seg
from data_prep.dicom_out.sources import DEFAULT_LABEL, Algorithm, read_sources
from data_prep.pictures import panels, planes
from niftynet_ext.core import choices
from niftynet_ext.study import ensemble, postprocess
from niftynet_ext.study.trained_model import Model, infer, open_model
from niftynet_ext.training import preparation

NIFTI, SEG, RTSTRUCT = "mask.nii.gz", "mask_seg.dcm", "mask_rtstruct.dcm"
OVERLAY, SUMMARY = "overlay.png", "summary.json"

_ID = "patient"
"""The id that NiftyNet sees; nothing that identifies the patient leaves the DICOM files."""


@dataclass(frozen=True)
class Options:
    """What the user may choose beside the folders.

    :param label: name of the ROI and of the segment
    :param series_uid: the CT series to take, where there are several
    :param given: ``reduce``, ``spacing_mm`` and ``method`` of
        :class:`data_prep.cohort.job.Parameters`, instead of those of the training
    :param steps: of :func:`niftynet_ext.study.postprocess.parse_plan`; none by default
    :param windows: one of :data:`niftynet_ext.core.choices.INFERENCE_WINDOWS`
    """

    label: str = DEFAULT_LABEL
    series_uid: str = ""
    given: dict = field(default_factory=dict)
    steps: str = ""
    windows: str = choices.GAUSSIAN


def segment(dicom_dir: Path, models: list[str], out_dir: Path, options: Options) -> dict:
    """Segment one patient's CT and write the mask in every format, with a summary.

    With several models the mean of their probabilities is cut at 0.5, as that of one model is.
    All files appear together at the end, or none.

    :param models: ``FOLDER`` or ``FOLDER@ITERATION`` each.
    :return: the summary, as in ``summary.json``.
    :raises DataError: the patient, a model or the output cannot be used.
    """
    if not re.fullmatch(r"[ -\[\]-~]{1,64}", options.label):
        raise DataError(
            f"--label '{options.label}': expected 1 to 64 printable ASCII characters other than a "
            "backslash, as every DICOM reader takes them."
        )
    if out_dir.resolve().is_relative_to(dicom_dir.resolve()):
        raise DataError(f"--out {out_dir} lies within --dicom {dicom_dir}. Choose one beside it.")
    plan = postprocess.parse_plan(options.steps) if options.steps else ()
    opened = [open_model(text) for text in models]
    parameters, warnings = _parameters(opened, options.given)
    series = _find_series(dicom_dir, options.series_uid)
    volume = read_volume(series)
    sources = read_sources(series, volume.sop_instance_uids)
    files.make_folder(out_dir)
    with tempfile.TemporaryDirectory(prefix=".segment-", dir=out_dir) as folder:
        work_dir, done_dir = Path(folder), Path(folder, "done")
        coarse, affine = _mean_probability(volume, opened, parameters, work_dir, options.windows)
        native = geometry.lps_to_ras(volume.affine_lps)
        mask = resample.to_native_mask(coarse, affine, volume.array.shape, native)
        mask, steps = _take(plan, mask, native, volume)
        algorithm = Algorithm(_name(opened), _joint_sha256(opened))
        files.write_nifti(done_dir / NIFTI, mask.astype(np.uint8), native, RESEARCH_USE)
        drawn = mask[:, :, volume.layout.nearest]  # an interpolated slice is none to refer to
        write_seg(done_dir / SEG, drawn, sources, options.label, algorithm)
        write_rtstruct(done_dir / RTSTRUCT, drawn, sources, options.label, algorithm)
        _draw(done_dir / OVERLAY, volume, mask, native)
        summary = _summary(volume, mask, float(coarse.max()), opened, options)
        summary |= {
            "prepared": {key: getattr(parameters, key) for key in preparation.KEYS},
            "windows": options.windows,
            "steps": steps,
            "warnings": warnings,
        }
        files.write_json(done_dir / SUMMARY, summary)
        for name in (NIFTI, SEG, RTSTRUCT, OVERLAY, SUMMARY):
            (done_dir / name).replace(out_dir / name)
    return summary


def _parameters(models: list[Model], given: dict) -> tuple[Parameters, list[str]]:
    """Return how to prepare the CT, as for the training unless told otherwise, and warnings.

    :raises DataError: the trainings differ, or a value makes no sense.
    """
    noted = [(model, model.preparation()) for model in models]
    known = [one for _, one in noted if one is not None]
    if not given and any(one != known[0] for one in known):
        told = "; ".join(f"{model.folder}: {_told(one)}" for model, one in noted if one)
        raise DataError(
            f"The models were trained on images prepared in different ways: {told}. Segment with "
            "one of them, or give --reduce or --spacing, and --method."
        )
    parameters = replace(Parameters(), **(known[0] if known else {}))
    if "reduce" in given:
        parameters = replace(parameters, spacing_mm=None)
    parameters = replace(parameters, **given)
    parameters.check()
    taken = {key: getattr(parameters, key) for key in preparation.KEYS}
    warnings = []
    for model, one in noted:
        if one is None:
            warnings.append(
                f"{model.folder} does not tell how the images of its training were prepared; "
                f"{_told(taken)} was taken."
            )
        elif one != taken:
            warnings.append(
                f"{model.folder} was trained on images of {_told(one)}, asked for was "
                f"{_told(taken)}: its probabilities may be wrong."
            )
    return parameters, warnings


def _told(one: dict) -> str:
    """Return a preparation as the options that ask for it."""
    spacing_mm = one["spacing_mm"]
    grid = f"--reduce {one['reduce']}"
    if spacing_mm is not None:
        grid = "--spacing " + " ".join(f"{mm:g}" for mm in spacing_mm)
    return f"{grid} --method {one['method']}"


def _take(
    plan: tuple[postprocess.Step, ...], mask: np.ndarray, affine_ras: np.ndarray, volume: Volume
) -> tuple[np.ndarray, list[dict]]:
    """Return the mask after the steps of a plan, and its volume after each."""
    voxel_ml, steps = geometry.voxel_volume_ml(affine_ras), []
    for step in plan:
        mask = postprocess.apply(mask, affine_ras, (step,), (volume.array, affine_ras))
        volume_ml = round(float(np.count_nonzero(mask)) * voxel_ml, 3)
        steps.append({"step": str(step), "volume_ml": volume_ml})
    return mask, steps


def _find_series(dicom_dir: Path, series_uid: str) -> CtSeries:
    """Return the one CT series to segment.

    :raises DataError: none or several patients, or no or several series that fit.
    """
    patients = [one for one in scan(dicom_dir)[0] if one.series]
    if len(patients) != 1:
        raise DataError(
            f"{dicom_dir}: expected the CT of one patient, found {len(patients)} patients with a "
            f"CT{': in ' if patients else ''}{', '.join(one.source for one in patients[:10])}. "
            "Give the folder of one patient."
        )
    series = patients[0].series
    if series_uid and series_uid not in series:
        raise DataError(f"--series {series_uid}: no such CT series; found {', '.join(series)}.")
    return choose_series([series[series_uid]] if series_uid else list(series.values()))


def _mean_probability(
    volume: Volume, models: list[Model], parameters: Parameters, work_dir: Path, windows: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the models' mean probability on the coarse grid, float32 (x, y, z), and its affine."""
    native = geometry.lps_to_ras(volume.affine_lps)
    grid = resample.coarse_grid(
        volume.array.shape, native, parameters.reduce, parameters.spacing_mm
    )
    image = work_dir / f"{_ID}.nii.gz"
    files.write_nifti(
        image, resample.resample_image(volume.array, grid, parameters.method), grid.affine
    )
    files.write_csv(work_dir / "ct.csv", [(_ID, image.resolve())])

    def probabilities() -> Iterator[np.ndarray]:
        for number, model in enumerate(models):
            path = infer(model, work_dir / "ct.csv", work_dir / str(number), windows)[_ID]
            probability = predictions.read_on_grid(
                path,
                grid.shape,
                grid.affine,
                f"It is of --model {model.folder}: was that trained with another pixdim?",
            )
            resample.check_probability(probability)
            shutil.rmtree(work_dir / str(number))
            yield probability

    return ensemble.combine(probabilities()), grid.affine


def _name(models: list[Model]) -> str:
    names = list(dict.fromkeys(model.network for model in models))
    return (f"mean of {len(models)}: " if len(models) > 1 else "") + " + ".join(names)


def _joint_sha256(models: list[Model]) -> str:
    """Return the one model's hash, or the hash over the hashes of several."""
    hashes = [model.sha256() for model in models]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _draw(path: Path, volume: Volume, mask: np.ndarray, affine_ras: np.ndarray) -> None:
    case = panels.PanelRow(
        f"CT series {volume.series_uid}",
        planes.ShownVolume(volume.array, affine_ras),
        planes.ShownVolume(mask, affine_ras),
    )
    files.write_bytes(path, panels.draw_panels([case], RESEARCH_USE))


def _summary(
    volume: Volume, mask: np.ndarray, highest: float, models: list[Model], options: Options
) -> dict:
    """Return what ``summary.json`` holds."""
    voxels = int(mask.sum())
    return {
        "notice": RESEARCH_USE,
        "label": options.label,
        "voxels": voxels,
        "volume_ml": round(voxels * geometry.voxel_volume_ml(volume.affine_lps), 3),
        "max_probability": round(highest, 6),
        "threshold": resample.MASK_THRESHOLD,
        "ct": {
            "series_uid": volume.series_uid,
            "frame_of_reference_uid": volume.frame_of_reference_uid,
            "shape": list(volume.array.shape),
            "spacing_mm": geometry.spacing_mm(volume.affine_lps).round(6).tolist(),
            "warnings": list(volume.warnings),
        },
        "models": [
            {"network": one.network, "iteration": one.iteration, "sha256": one.sha256()}
            for one in models
        ],
        "software": files.versions() | _niftynet_versions(),
        "files": [NIFTI, SEG, RTSTRUCT, OVERLAY],
    }


def _niftynet_versions() -> dict[str, str]:
    """Return the versions of what infers; TensorFlow's package has several names."""
    installed = {one.name.replace("_", "-"): one.version for one in metadata.distributions()}
    wanted = ("highdicom", "NiftyNet", "tensorflow", "tensorflow-cpu")
    return {name: installed[name] for name in wanted if name in installed}
