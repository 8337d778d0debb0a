"""A new patient, from a folder of DICOM to DICOM SEG and RTSTRUCT, by one or several models."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from os import PathLike
from pathlib import Path

import numpy as np

from data_prep.cohort.job import Parameters
from data_prep.core import files, geometry, predictions, resample
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.core.identity import DEFAULT_LABEL, RESEARCH_USE
from data_prep.dicom_in.scan import CtSeries, scan
from data_prep.dicom_in.series import Volume, choose_series, read_volume
from data_prep.dicom_out.rtstruct import write_rtstruct
from data_prep.dicom_out.seg import write_seg
from data_prep.dicom_out.sources import Algorithm, read_sources
from data_prep.pictures import panels, planes
from niftynet_ext.core import choices
from niftynet_ext.study import ensemble, postprocess
from niftynet_ext.study.segment_summary import (
    SUMMARY,
    SegmentedCt,
    SegmentSummary,
    StepResult,
    UsedModel,
    write_summary,
)
from niftynet_ext.study.trained_model import TrainedModel, infer, open_model
from niftynet_ext.training.preparation import Preparation

NIFTI, SEG, RTSTRUCT = "mask.nii.gz", "mask_seg.dcm", "mask_rtstruct.dcm"
OVERLAY = "overlay.png"

_ID = "patient"
"""The id that NiftyNet sees; nothing that identifies the patient leaves the DICOM files."""

_LABEL = r"[ -\[\]-~]{1,64}"
"""Printable ASCII without the backslash, which separates values in DICOM; the length of an LO."""


@dataclass(frozen=True)
class SegmentOptions:
    """What the user may choose beside the folders.

    :param label: name of the ROI and of the segment.
    :param series_uid: the CT series to take, where there are several.
    :param reduce: of :class:`data_prep.cohort.job.Parameters`; None for that of the training.
    :param spacing_mm: as ``reduce``, in mm along x, y, z.
    :param method: as ``reduce``.
    :param steps: of :func:`niftynet_ext.study.postprocess.parse_plan`; none by default.
    :param windows: one of :data:`niftynet_ext.core.choices.INFERENCE_WINDOWS`.
    """

    label: str = DEFAULT_LABEL
    series_uid: str = ""
    reduce: int | None = None
    spacing_mm: tuple[float, float, float] | None = None
    method: str | None = None
    steps: str = ""
    windows: str = choices.GAUSSIAN


def segment(
    dicom_dir: str | PathLike[str],
    models: list[str],
    out_dir: str | PathLike[str],
    options: SegmentOptions = SegmentOptions(),
) -> SegmentSummary:
    """Segment one patient's CT and write the mask in every format, with a summary.

    With several models the mask is where the mean of their probabilities is above 0.5. All files
    appear together at the end, or none.

    :param dicom_dir: folder of the patient's files.
    :param models: ``FOLDER`` or ``FOLDER@ITERATION`` each.
    :param out_dir: folder to write.
    :param options: what the user chose.
    :return: the summary, as in ``summary.json``.
    :raises DataError: the patient, a model or the output cannot be used.
    """
    dicom_dir, out_dir = Path(dicom_dir), Path(out_dir)
    if not re.fullmatch(_LABEL, options.label):
        raise DataError(
            f"--label '{options.label}': expected 1 to 64 printable ASCII characters other than a "
            "backslash, as every DICOM reader takes them."
        )
    if out_dir.resolve().is_relative_to(dicom_dir.resolve()):
        raise DataError(f"--out {out_dir} lies within --dicom {dicom_dir}. Choose one beside it.")
    plan = postprocess.parse_plan(options.steps) if options.steps else ()
    opened = [open_model(text) for text in models]
    parameters, warnings = _parameters(opened, options)
    series = _find_series(dicom_dir, options.series_uid)
    volume = read_volume(series)
    sources = read_sources(series, volume.sop_instance_uids)
    files.make_folder(out_dir)
    with tempfile.TemporaryDirectory(prefix=".segment-", dir=out_dir) as folder:
        work_dir, done_dir = Path(folder), Path(folder, "done")
        coarse, affine = _mean_probability(volume, opened, parameters, work_dir, options.windows)
        native = geometry.lps_to_ras(volume.affine_lps)
        mask = resample.to_native_mask(coarse, affine, volume.array.shape, native)
        mask, steps = _postprocess(plan, mask, native, volume)
        algorithm = Algorithm(_name(opened), _joint_sha256(opened))
        files.write_nifti(done_dir / NIFTI, mask.astype(np.uint8), native, RESEARCH_USE)
        drawn = mask[:, :, volume.layout.nearest]  # DICOM objects refer to real slices only
        write_seg(done_dir / SEG, drawn, sources, options.label, algorithm)
        write_rtstruct(done_dir / RTSTRUCT, drawn, sources, options.label, algorithm)
        _draw(done_dir / OVERLAY, volume, mask, native)
        voxels = int(mask.sum())
        summary = SegmentSummary(
            notice=RESEARCH_USE,
            label=options.label,
            voxels=voxels,
            volume_ml=round(voxels * geometry.voxel_volume_ml(volume.affine_lps), 3),
            max_probability=round(float(coarse.max()), 6),
            threshold=resample.MASK_THRESHOLD,
            ct=_describe_ct(volume),
            models=_describe_models(opened),
            software=files.versions() | _niftynet_versions(),
            files=(NIFTI, SEG, RTSTRUCT, OVERLAY),
            prepared=Preparation.of(parameters),
            windows=options.windows,
            steps=steps,
            warnings=tuple(warnings),
        )
        write_summary(summary, done_dir)
        for name in (*summary.files, SUMMARY):
            (done_dir / name).replace(out_dir / name)
    return summary


def _parameters(
    models: list[TrainedModel],
    options: SegmentOptions = SegmentOptions(),
) -> tuple[Parameters, list[str]]:
    """Return how to prepare the CT, as for the training unless asked otherwise, and warnings.

    :raises DataError: the trainings differ, or a value makes no sense.
    """
    noted = [(model, model.preparation()) for model in models]
    known = [preparation for _, preparation in noted if preparation is not None]
    asked = (options.reduce, options.spacing_mm, options.method) != (None, None, None)
    if not asked and any(preparation != known[0] for preparation in known):
        listed = "; ".join(
            f"{model.folder}: {preparation.as_options()}"
            for model, preparation in noted
            if preparation
        )
        raise DataError(
            f"The models were trained on images prepared in different ways: {listed}. Segment with "
            "one of them, or give --reduce or --spacing, and --method."
        )
    parameters = _override(known[0] if known else Preparation.of(Parameters()), options)
    parameters.check()
    used = Preparation.of(parameters)
    warnings = []
    for model, preparation in noted:
        if preparation is None:
            warnings.append(
                f"{model.folder} does not say how the images of its training were prepared; "
                f"{used.as_options()} was used."
            )
        elif preparation != used:
            warnings.append(
                f"{model.folder} was trained on images prepared with {preparation.as_options()}, "
                f"but {used.as_options()} was requested: its probabilities may be wrong."
            )
    return parameters, warnings


def _override(trained: Preparation, options: SegmentOptions) -> Parameters:
    """Return the preparation of a training with what the user asked for instead."""
    parameters = Parameters(
        reduce=trained.reduce, spacing_mm=trained.spacing_mm, method=trained.method
    )
    if options.reduce is not None:
        parameters = replace(parameters, reduce=options.reduce, spacing_mm=None)
    if options.spacing_mm is not None:
        parameters = replace(parameters, spacing_mm=options.spacing_mm)
    if options.method is not None:
        parameters = replace(parameters, method=options.method)
    return parameters


def _postprocess(
    plan: tuple[postprocess.Step, ...], mask: np.ndarray, affine_ras: np.ndarray, volume: Volume
) -> tuple[np.ndarray, tuple[StepResult, ...]]:
    """Return the mask after the steps of a plan, and its volume after each."""
    voxel_ml, steps = geometry.voxel_volume_ml(affine_ras), []
    for step in plan:
        mask = postprocess.apply(mask, affine_ras, (step,), (volume.array, affine_ras))
        volume_ml = round(float(np.count_nonzero(mask)) * voxel_ml, 3)
        steps.append(StepResult(step=str(step), volume_ml=volume_ml))
    return mask, tuple(steps)


def _find_series(dicom_dir: Path, series_uid: str) -> CtSeries:
    """Return the one CT series to segment.

    :raises DataError: none or several patients, or no or several series that fit.
    """
    patients = [patient for patient in scan(dicom_dir)[0] if patient.series]
    if len(patients) != 1:
        folders = ", ".join(patient.source for patient in patients[:10])
        raise DataError(
            f"{dicom_dir}: expected the CT of one patient, found "
            f"{count_of(len(patients), 'patient')} with a CT{': in ' if patients else ''}{folders}."
            " Give the folder of one patient."
        )
    series = patients[0].series
    if series_uid and series_uid not in series:
        raise DataError(f"--series {series_uid}: no such CT series; found {', '.join(series)}.")
    return choose_series([series[series_uid]] if series_uid else list(series.values()))


def _mean_probability(
    volume: Volume,
    models: list[TrainedModel],
    parameters: Parameters,
    work_dir: Path,
    windows: str,
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
                f"It is from --model {model.folder}: was that trained with another pixdim?",
            )
            resample.check_probability(probability)
            shutil.rmtree(work_dir / str(number))
            yield probability

    return ensemble.combine(probabilities()), grid.affine


def _name(models: list[TrainedModel]) -> str:
    names = list(dict.fromkeys(model.network for model in models))
    return (f"mean of {len(models)}: " if len(models) > 1 else "") + " + ".join(names)


def _joint_sha256(models: list[TrainedModel]) -> str:
    """Return the hash of a single model, or the hash over the hashes of several."""
    hashes = [model.sha256() for model in models]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _draw(path: Path, volume: Volume, mask: np.ndarray, affine_ras: np.ndarray) -> None:
    case = panels.PanelRow(
        f"CT series {volume.series_uid}",
        planes.ShownVolume(volume.array, affine_ras),
        planes.ShownVolume(mask, affine_ras),
    )
    files.write_bytes(path, panels.draw_panels([case], RESEARCH_USE))


def _describe_ct(volume: Volume) -> SegmentedCt:
    x_mm, y_mm, z_mm = geometry.spacing_mm(volume.affine_lps).round(6).tolist()
    size_x, size_y, size_z = volume.array.shape
    return SegmentedCt(
        series_uid=volume.series_uid,
        frame_of_reference_uid=volume.frame_of_reference_uid,
        shape=(size_x, size_y, size_z),
        spacing_mm=(x_mm, y_mm, z_mm),
        warnings=volume.warnings,
    )


def _describe_models(models: list[TrainedModel]) -> tuple[UsedModel, ...]:
    return tuple(
        UsedModel(network=model.network, iteration=model.iteration, sha256=model.sha256())
        for model in models
    )


def _niftynet_versions() -> dict[str, str]:
    """Return the versions of the packages of the inference; TensorFlow's has several names."""
    installed = {
        package.name.replace("_", "-"): package.version for package in metadata.distributions()
    }
    wanted = ("highdicom", "NiftyNet", "tensorflow", "tensorflow-cpu")
    return {name: installed[name] for name in wanted if name in installed}
