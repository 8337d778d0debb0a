"""Read one patient: the CT, and the label that a ROI rule makes of its structures. No writing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep import DataError, rois, structures
from data_prep.rois import Candidate, RoiRule
from data_prep.scan import PatientFiles
from data_prep.series import Volume, choose_series, read_volume


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

    :raises DataError: the patient cannot be used; the message says why and what to do.
    """
    series = list(files.series.values())
    sets = structures.read_structure_sets(files.structure_paths)
    by_path = {one.path: one for one in sets}
    candidates = [candidate for one in sets for candidate in one.candidates]
    if not sets:
        if not options.allow_unlabelled:
            raise DataError(
                "No RTSTRUCT was found for this patient. Add it, or give --allow-unlabelled to "
                "prepare the CT for inference only."
            )
        volume = read_volume(choose_series(series))
        return PatientData(volume, None, warnings=volume.warnings, inputs=dict(volume.digests))
    chosen, warnings = rois.choose(rule, candidates)
    first = next(iter(chosen.values()))[0]
    volume = read_volume(choose_series(series, *by_path[first.path].references(first)))
    label = np.zeros(volume.array.shape[::-1], np.uint8).T  # x fastest, as the volume has it
    parts = []
    for value, members in chosen.items():
        for member in members:
            mask, notes = structures.build_mask(volume, by_path[member.path], member)
            warnings += notes
            overlap = int(np.count_nonzero(mask & (label != 0) & (label != value)))
            if overlap:
                warnings.append(
                    f"{overlap} voxels of earlier classes became {member.name}'s, class {value}."
                )
            label[mask] = value
            parts.append(
                Chosen(value, member.name, member.source, member.path, int(mask.sum()))
            )
    return PatientData(
        volume=volume,
        label=label,
        chosen=tuple(parts),
        others=_others(candidates, [one for members in chosen.values() for one in members]),
        warnings=(*warnings, *volume.warnings),
        inputs=dict(volume.digests) | {one.path: one.digest for one in sets},
    )


def _others(candidates: list[Candidate], chosen: list[Candidate]) -> tuple[str, ...]:
    return tuple(one.name for one in candidates if one not in chosen)
