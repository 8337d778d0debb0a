"""Read one patient: the CT, and the label that an ROI rule makes of its structures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.core.overlap import dice
from data_prep.dicom_in import contours, rois, segmentation, structures
from data_prep.dicom_in.rois import Candidate, EmptyRoiError, RoiRule
from data_prep.dicom_in.scan import PatientFiles
from data_prep.dicom_in.series import Volume, choose_series, read_volume

StructureFile = structures.StructureSet | segmentation.Segmentation
"""A file that holds ROIs: an RTSTRUCT or a DICOM SEG."""


@dataclass(frozen=True)
class ReadOptions:
    """Which patients are accepted, and what else to compute."""

    allow_unlabelled: bool = False
    """Return a CT without structures, with the label None, instead of refusing it."""
    resample_oblique: bool = False
    """Resample a tilted or oblique CT to an upright grid instead of refusing it."""
    compare_sources: bool = False
    """Also compute the Dice of RTSTRUCT and DICOM SEG where both have the ROI."""


@dataclass(frozen=True)
class ChosenRoi:
    """One ROI that became part of the label.

    :param value: its label value.
    :param source: RTSTRUCT or SEG.
    :param voxels: number of voxels that it encloses; later classes may have taken some of them.
    """

    value: int
    name: str
    source: str
    path: Path
    voxels: int


@dataclass(frozen=True)
class PatientData:
    """One patient in memory.

    :param label: uint8 (x, y, z) on the volume's grid, x fastest in memory, 0 outside and the
        values of the rule inside; None for an unlabelled CT.
    :param chosen: the ROIs that make up the label.
    :param others: names of the ROIs that were found and not chosen.
    :param inputs: SHA-256 digests of all files that were read whole.
    :param dice_rtstruct_seg: None unless it was requested and both sources have the ROI.
    """

    volume: Volume
    label: np.ndarray | None
    chosen: tuple[ChosenRoi, ...] = ()
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    inputs: dict[Path, str] | None = None
    dice_rtstruct_seg: float | None = None


def read_patient(
    files: PatientFiles,
    rule: RoiRule = rois.DEFAULT_RULE,
    options: ReadOptions = ReadOptions(),
) -> PatientData:
    """Read a patient's CT in Hounsfield units and its label on the same grid.

    Where classes of the rule overlap, the later one wins, and a warning counts the voxels. A
    structure file that cannot be read is a warning if another file has the ROI.

    :param files: all files of the patient, from :func:`data_prep.dicom_in.scan.scan`.
    :param rule: which ROIs make up the label.
    :param options: which patients are accepted, and what else to compute.
    :raises DataError: the patient cannot be used; the message says why and what to do.
    """
    series = list(files.series.values())
    found, warnings = _read_structures(files)
    candidates = [roi for structure_file in found.values() for roi in structure_file.candidates]
    if not candidates:
        if warnings or not options.allow_unlabelled:
            raise DataError(
                "No RTSTRUCT and no DICOM SEG with an ROI was found for this patient. "
                f"{' '.join(warnings)}{' ' if warnings else ''}Add one, or give --allow-unlabelled "
                "to prepare the CT for inference only."
            )
        return _unlabelled(read_volume(choose_series(series), options.resample_oblique))
    try:
        chosen, notes = rois.choose(rule, candidates)
    except DataError as error:
        raise DataError(" ".join([str(error), *warnings])) from error
    warnings += notes
    first = next(iter(chosen.values()))[0]
    volume = read_volume(
        choose_series(series, *found[first.path].references(first)), options.resample_oblique
    )
    label, parts, notes = _label(volume, found, chosen)
    agreement = None
    if options.compare_sources:
        agreement, more = _compare(volume, found, candidates, rule, first.source, label)
        notes += more
    upright, upright_label = _upright(volume, label)
    drawn = {(part.path, part.name) for part in parts}
    return PatientData(
        volume=upright,
        label=upright_label,
        chosen=parts,
        others=tuple(roi.name for roi in candidates if (roi.path, roi.name) not in drawn),
        warnings=(*warnings, *notes, *upright.warnings),
        inputs=_digests(found, volume),
        dice_rtstruct_seg=agreement,
    )


def _unlabelled(volume: Volume) -> PatientData:
    """Return a patient who has a CT only."""
    upright, _ = _upright(volume, None)
    return PatientData(upright, None, warnings=upright.warnings, inputs=dict(volume.digests))


def _digests(found: dict[Path, StructureFile], volume: Volume) -> dict[Path, str]:
    """Return the SHA-256 digests of the files that were read whole."""
    # the content of a SEG is read, and cached as an attribute, only where it was needed
    read = (file for file in found.values() if "content" in vars(file))
    return {file.path: file.content[1] for file in read} | dict(volume.digests)


def _read_structures(files: PatientFiles) -> tuple[dict[Path, StructureFile], list[str]]:
    """Return the RTSTRUCT and SEG files of a patient by path, and warnings on damaged ones.

    Copies are left out: they have equal bytes or, for a SEG, which is not read whole here, the same
    UID and size.
    """
    found: dict[Path, StructureFile] = {}
    warnings: list[str] = []
    known: set[str | tuple[str, int]] = set()
    for path in (*files.structure_paths, *files.seg_paths):
        structure_file: StructureFile
        identity: str | tuple[str, int]
        try:
            if path in files.structure_paths:
                structure_file = structures.read_structure_set(path)
                identity = structure_file.content[1]
            else:
                structure_file = segmentation.list_segments(path)
                identity = (structure_file.sop_instance_uid, path.stat().st_size)
        except (DataError, OSError) as error:
            warnings.append(str(error))
            continue
        if identity not in known:
            found[path] = structure_file
        known.add(identity)
    return found, warnings


def _label(
    volume: Volume, found: dict[Path, StructureFile], chosen: dict[int, list[Candidate]]
) -> tuple[np.ndarray, tuple[ChosenRoi, ...], list[str]]:
    """Draw the chosen ROIs in their order; an ROI that encloses nothing is a warning beside others.

    :param found: the files that hold the ROIs, by path.
    :param chosen: ROIs by label value.
    :return: uint8 (x, y, z), what was drawn, and warnings.
    :raises DataError: an ROI cannot be used, or all together enclose nothing.
    """
    label = np.zeros(volume.array.shape[::-1], np.uint8).T  # x fastest, as in the volume
    parts: list[ChosenRoi] = []
    warnings: list[str] = []
    empty: EmptyRoiError | None = None
    for value, roi in ((value, roi) for value, rois_of in chosen.items() for roi in rois_of):
        try:
            mask, notes = _build_mask(volume, found[roi.path], roi)
        except EmptyRoiError as error:
            empty = error
            warnings.append(str(error))
            continue
        warnings += notes
        occupied = np.flatnonzero(mask.any(axis=(0, 1)))
        extent = slice(occupied[0], occupied[-1] + 1)
        mask, part = mask[:, :, extent], label[:, :, extent]
        shared = int(np.count_nonzero(mask & (part != 0) & (part != value)))
        if shared:
            voxels_shared = count_of(shared, "voxel")
            warnings.append(
                f"Class {value} ({roi.name}) took {voxels_shared} from earlier classes."
            )
        part[mask] = value
        voxels = int(np.count_nonzero(mask))
        parts.append(ChosenRoi(value, roi.name, roi.source, roi.path, voxels))
    if not parts and empty is not None:
        raise empty
    return label, tuple(parts), warnings


def _build_mask(
    volume: Volume, structure_file: StructureFile, roi: Candidate
) -> tuple[np.ndarray, list[str]]:
    """Draw one ROI, of either kind of file; see the two functions."""
    if isinstance(structure_file, segmentation.Segmentation):
        return segmentation.build_mask(volume, structure_file, roi)
    return contours.build_mask(volume, structure_file, roi)


def _compare(
    volume: Volume,
    found: dict[Path, StructureFile],
    candidates: list[Candidate],
    rule: RoiRule,
    used: str,
    label: np.ndarray,
) -> tuple[float | None, list[str]]:
    """Return the Dice of the label and the label of the other source, and warnings.

    :param used: the source of ``label``.
    """
    other = "SEG" if used == "RTSTRUCT" else "RTSTRUCT"
    if not any(roi.source == other for roi in candidates):
        return None, []
    try:
        chosen, _ = rois.choose(RoiRule(rule.classes, (other,)), candidates)
        other_label, _, _ = _label(volume, found, chosen)
    except DataError as error:
        return None, [f"RTSTRUCT and SEG were not compared: {error}"]
    return dice(label > 0, other_label > 0), []


def _upright(volume: Volume, label: np.ndarray | None) -> tuple[Volume, np.ndarray | None]:
    """Resample an oblique CT and its label; it was read only because the options accept it."""
    from data_prep.dicom_in import upright

    if upright.is_upright(volume.affine_lps):
        return volume, label
    return upright.resample_upright(volume, label)
