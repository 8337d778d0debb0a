"""Read one patient: the CT, and the label that a ROI rule makes of its structures. No writing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.core.dice import dice
from data_prep.core.errors import DataError
from data_prep.dicom_in import contours, rois, segmentation, structures
from data_prep.dicom_in.rois import Candidate, EmptyRoiError, RoiRule
from data_prep.dicom_in.scan import PatientFiles
from data_prep.dicom_in.series import Volume, choose_series, read_volume

Source = structures.StructureSet | segmentation.Segmentation


@dataclass(frozen=True)
class ReadOptions:
    """What is allowed beyond the plain case, and what more to find out."""

    allow_unlabelled: bool = False
    """Return a CT without structures, its label None, rather than refuse it."""
    resample_oblique: bool = False
    """Resample a tilted or oblique CT on to an upright grid rather than refuse it."""
    compare_sources: bool = False
    """Also compute the Dice of RTSTRUCT against DICOM SEG where both have the ROI."""


@dataclass(frozen=True)
class Chosen:
    """One ROI that became part of the label; ``voxels`` are its own, before later classes."""

    value: int
    name: str
    source: str
    path: Path
    voxels: int


@dataclass(frozen=True)
class PatientData:
    """One patient in memory.

    ``label`` is uint8 (x, y, z) on the volume's grid, x fastest in memory, 0 outside and the rule's
    values inside; None for an unlabelled CT. ``others`` are the names that were found and not
    chosen. ``inputs`` are the SHA-256 digests of all files that were read whole.
    ``dice_rtstruct_seg`` is None unless it was asked for and both are there.
    """

    volume: Volume
    label: np.ndarray | None
    chosen: tuple[Chosen, ...] = ()
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

    Where classes of the rule overlap, the later one wins and the voxels are counted in a warning.
    A structure file that cannot be read is a warning where another one has the ROI.

    :raises DataError: the patient cannot be used; the message says why and what to do.
    """
    series = list(files.series.values())
    found, warnings = _read_structures(files)
    candidates = [candidate for one in found.values() for candidate in one.candidates]
    if not candidates:
        if warnings or not options.allow_unlabelled:
            raise DataError(
                "No RTSTRUCT and no DICOM SEG with an ROI was found for this patient. "
                f"{' '.join(warnings)}{' ' if warnings else ''}Add it, or give --allow-unlabelled "
                "to prepare the CT for inference only."
            )
        volume = read_volume(choose_series(series), options.resample_oblique)
        digests = dict(volume.digests)
        volume, _ = _upright(volume, None)
        return PatientData(volume, None, warnings=volume.warnings, inputs=digests)
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
    upright, label = _upright(volume, label)
    drawn = {(part.path, part.name) for part in parts}
    digests = {one.path: one.content[1] for one in found.values() if "content" in vars(one)} | {
        path: digest for path, digest in volume.digests
    }
    return PatientData(
        volume=upright,
        label=label,
        chosen=parts,
        others=tuple(one.name for one in candidates if (one.path, one.name) not in drawn),
        warnings=(*warnings, *notes, *upright.warnings),
        inputs=digests,
        dice_rtstruct_seg=agreement,
    )


def _read_structures(files: PatientFiles) -> tuple[dict[Path, Source], list[str]]:
    """Return a patient's RTSTRUCT and SEG files by path, and warnings on those that are damaged."""
    found, warnings, known = {}, [], set()
    for read, paths in (
        (structures.read_structure_set, files.structure_paths),
        (segmentation.list_segments, files.seg_paths),
    ):
        for path in paths:
            try:
                one, size = read(path), path.stat().st_size
            except (DataError, OSError) as error:
                warnings.append(str(error))
                continue
            # a copy of a file: byte for byte, or, where the bytes are not read yet, by its UID
            is_set = isinstance(one, structures.StructureSet)
            identity = one.content[1] if is_set else (one.sop_instance_uid, size)
            if identity not in known:
                found[path] = one
            known.add(identity)
    return found, warnings


def _label(
    volume: Volume, found: dict[Path, Source], chosen: dict[int, list[Candidate]]
) -> tuple[np.ndarray, tuple[Chosen, ...], list[str]]:
    """Draw the chosen ROIs in their order; one that encloses nothing is a warning beside others.

    :return: uint8 (x, y, z), what was drawn, and warnings.
    :raises DataError: an ROI cannot be used, or all together enclose nothing.
    """
    label = np.zeros(volume.array.shape[::-1], np.uint8).T  # x fastest, as the volume has it
    parts, warnings, empty = [], [], None
    for value, members in chosen.items():
        for member in members:
            build = segmentation.build_mask if member.source == "SEG" else contours.build_mask
            try:
                mask, notes = build(volume, found[member.path], member)
            except EmptyRoiError as error:
                empty = error
                warnings.append(str(error))
                continue
            warnings += notes
            extent = np.flatnonzero(mask.any(axis=(0, 1)))
            extent = slice(extent[0], extent[-1] + 1)
            mask, part = mask[:, :, extent], label[:, :, extent]
            shared = int(np.count_nonzero(mask & (part != 0) & (part != value)))
            if shared:
                warnings.append(
                    f"{shared} voxels of earlier classes became {member.name}'s, class {value}."
                )
            part[mask] = value
            voxels = int(np.count_nonzero(mask))
            parts.append(Chosen(value, member.name, member.source, member.path, voxels))
    if not parts and empty is not None:
        raise empty
    return label, tuple(parts), warnings


def _compare(
    volume: Volume,
    found: dict[Path, Source],
    candidates: list[Candidate],
    rule: RoiRule,
    used: str,
    label: np.ndarray,
) -> tuple[float | None, list[str]]:
    """Return the Dice of the label against that of the other source, and warnings."""
    other = "SEG" if used == "RTSTRUCT" else "RTSTRUCT"
    if not any(one.source == other for one in candidates):
        return None, []
    try:
        chosen, _ = rois.choose(RoiRule(rule.classes, (other,)), candidates)
        theirs, _, _ = _label(volume, found, chosen)
    except DataError as error:
        return None, [f"RTSTRUCT and SEG were not compared: {error}"]
    return dice(label > 0, theirs > 0), []


def _upright(volume: Volume, label: np.ndarray | None) -> tuple[Volume, np.ndarray | None]:
    """Resample what is oblique, which was read only because the options accept it."""
    from data_prep.dicom_in import upright

    if upright.is_upright(volume.affine_lps):
        return volume, label
    return upright.resample_upright(volume, label)
