"""Assign patients to NiftyNet's phases, the same way on every later run; compare lists."""

import csv
from pathlib import Path

import numpy as np

from data_prep.cohort.manifest import Manifest, Phase
from data_prep.core.console import count_of
from data_prep.core.errors import DataError

Split = tuple[float, float, float]
"""For Training, Validation and Inference: shares that sum to 1, or numbers of patients."""

PHASES: tuple[Phase, ...] = ("Training", "Validation", "Inference")
"""NiftyNet's words in a data split file."""

UNUSED: Phase = "Unused"
"""The phase of a patient that the split leaves out: in the manifest, and in no list of NiftyNet."""

PAPER_SPLIT = (260, 40, 40)
"""The paper's numbers of patients (4.1); who was in which set is not public."""

PAPER_SHARES: Split = (
    PAPER_SPLIT[0] / sum(PAPER_SPLIT),
    PAPER_SPLIT[1] / sum(PAPER_SPLIT),
    PAPER_SPLIT[2] / sum(PAPER_SPLIT),
)
""":data:`PAPER_SPLIT` as shares of a cohort of any size."""

_WITHOUT = {
    "Training": "`net_segment train` then trains on all patients, also of the other sets",
    "Validation": "training then stops at the start unless validation_every_n = -1",
    "Inference": "`net_segment inference` then takes all patients, also those of the training",
}
"""What NiftyNet 0.6.0 does where a phase has no patient (image_sets_partitioner.py)."""


def split_phases(
    volumes_ml: dict[str, float],
    split: Split,
    seed: int,
    known: dict[str, Phase] | None = None,
) -> dict[str, Phase]:
    """Assign patients to NiftyNet's phases: seeded, by tumour volume.

    Shares are of all patients (largest remainder), and every phase with a share gets a patient
    where there are enough. Numbers of patients are exact, and the rest is :data:`UNUSED`; where
    there are not so many patients, they are proportions.

    Patients of an earlier run keep their phase, so that no patient trained on is tested later; the
    new ones fill the phases that lack most, which brings the sizes as close as possible to those
    wanted. Among the new ones, ranked by volume, a phase that gets n takes about one from each n-th
    of the ranking, so that small and large tumours are everywhere.

    :param volumes_ml: tumour volume by id.
    :param split: shares of the phases, which sum to 1, or numbers of patients.
    :param seed: of the random numbers.
    :param known: phase by id, from an earlier run; ids that are not in ``volumes_ml`` do not count.
    :return: phase by id, in the order of ``volumes_ml``.
    """
    known = known or {}
    phases = {patient_id: known[patient_id] for patient_id in volumes_ml if patient_id in known}
    new = sorted(set(volumes_ml) - set(phases), key=lambda name: (volumes_ml[name], name))
    kept = np.array([list(phases.values()).count(phase) for phase in PHASES])
    wanted = _sizes(len(volumes_ml), split)
    missing, added = wanted - kept, np.zeros(len(PHASES), int)
    left_out = len(volumes_ml) > wanted.sum()
    for _ in range(min(len(new), missing.clip(0).sum()) if left_out else len(new)):
        added[(missing - added).argmax()] += 1
    sizes = [*added.tolist(), len(new) - int(added.sum())]
    rng = np.random.default_rng(seed)
    # the m-th of n members of a phase falls at random into the m-th of n equal parts of the ranking
    places = np.concatenate([(np.arange(n) + rng.random(n)) / n for n in sizes])
    order = np.repeat(np.arange(len(sizes)), sizes)[np.argsort(places, kind="stable")]
    order = np.roll(order, rng.integers(max(len(new), 1)))  # same chance for the ends
    names = (*PHASES, UNUSED)
    phases |= {name: names[index] for name, index in zip(new, order.tolist(), strict=True)}
    return {patient_id: phases[patient_id] for patient_id in volumes_ml}


def are_shares(split: Split) -> bool:
    """Tell whether a split is of shares, which sum to 1, and not of numbers of patients."""
    return abs(sum(split) - 1) < 1e-6


def _sizes(count: int, split: Split) -> np.ndarray:
    """Return how many of ``count`` patients each phase should have, int (3,)."""
    if not are_shares(split) and sum(split) <= count:
        return np.array(split).astype(int)
    shares = np.array(split) * count / sum(split)
    sizes = np.floor(shares).astype(int)
    for phase in np.argsort(sizes - shares, kind="stable")[: count - sizes.sum()]:
        sizes[phase] += 1
    wanted = np.array(split) > 0
    if count >= wanted.sum():
        for phase in np.flatnonzero(wanted & (sizes == 0)):
            sizes[sizes.argmax()] -= 1
            sizes[phase] += 1
    return sizes


def dealt_before(earlier: Manifest | None, split: Split, seed: int) -> dict[str, Phase]:
    """Return the phases that an earlier run assigned, if it had the same split and seed.

    :param earlier: the manifest of the earlier run, if there was one.
    :param split: of this run.
    :param seed: of this run.
    :return: phase by id, also of patients that were gone or refused in that run.
    """
    if earlier is None or (earlier.parameters.split, earlier.parameters.seed) != (split, seed):
        return {}
    return {name: phase for name, phase in earlier.dealt.items() if phase in PHASES}


def split_warnings(phases: list[Phase], labelled: int, split: Split) -> list[str]:
    """Return warnings about a split: patients left out, too few, or none for a phase.

    :param phases: of all usable patients.
    :param labelled: how many of these have a label, and so take part in the split.
    :param split: shares or numbers of patients.
    """
    given = "--split " + " ".join(f"{number:.10g}" for number in split)
    if tuple(split) == PAPER_SHARES:
        given = f"the default split ({' : '.join(map(str, PAPER_SPLIT))})"
    texts, unused = [], phases.count(UNUSED)
    if unused:
        texts.append(
            f"{unused} of {count_of(labelled, 'patient')} are in no set and in no list: {given} "
            "are numbers of patients. For shares of all patients give numbers that sum to 1, such "
            "as 0.8 0.1 0.1."
        )
    elif labelled and not are_shares(split) and sum(split) > labelled:
        texts.append(
            f"{given} asks for {sum(split):g} patients, but only {labelled} have a label: they "
            "were split in the same proportions."
        )
    return texts + [
        f"No patient is for {phase}: {_WITHOUT[phase]}. Add patients, or change {given}."
        for phase, share in zip(PHASES, split, strict=True)
        if phases and share and phase not in phases
    ]


def read_ids(path: Path) -> list[str]:
    """Return the first column of one of NiftyNet's csv files: ids as text, ``007`` stays ``007``.

    :raises DataError: the file cannot be read, or lists an id twice.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            ids = [row[0].strip() for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Correct the path or the file."
        ) from error
    repeated = sorted({patient_id for patient_id in ids if ids.count(patient_id) > 1})
    if repeated:
        raise DataError(
            f"{path} lists {count_of(len(repeated), 'id')} more than once: "
            f"{', '.join(repeated[:10])}. Keep one line for each id."
        )
    return ids


def missing_ids(split_path: Path, list_paths: list[Path]) -> dict[str, list[str]]:
    """Compare the ids of a split with those of NiftyNet's lists, both ways.

    NiftyNet ignores an id that only one side has, and says nothing.

    :param split_path: csv file of ids and phases.
    :param list_paths: csv files of ids and images or labels.
    :return: ids by the name of the file that lacks them; a complete file is not in it, nor an empty
        list, as of a cohort without labels.
    :raises DataError: see :func:`read_ids`.
    """
    ids = {path: read_ids(path) for path in [split_path, *list_paths]}
    ids = {path: listed for path, listed in ids.items() if listed or path == split_path}
    all_ids = list(dict.fromkeys(name for listed in ids.values() for name in listed))
    lacking = {
        path.name: [name for name in all_ids if name not in set(listed)]
        for path, listed in ids.items()
    }
    return {name: absent for name, absent in lacking.items() if absent}
