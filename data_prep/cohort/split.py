"""Deal patients to NiftyNet's phases, the same way again on every later run; compare lists."""

import csv
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError

PHASES = ("Training", "Validation", "Inference")
"""NiftyNet's words in a data split file."""

UNUSED = "Unused"
"""The phase of a patient that the split leaves out: in the manifest, and in no list of NiftyNet."""

PAPER_SPLIT = (260, 40, 40)
"""The paper's numbers of patients (4.1); who was in which set is not public."""

PAPER_SHARES = (260 / 340, 40 / 340, 40 / 340)
""":data:`PAPER_SPLIT` as shares of a cohort of any size."""

_WITHOUT = {
    "Training": "`net_segment train` then trains on all patients, those of the other sets too",
    "Validation": "training then stops at its start unless validation_every_n = -1",
    "Inference": "`net_segment inference` then takes all patients, those trained on too",
}
"""What NiftyNet 0.6.0 does where a phase has no patient (image_sets_partitioner.py)."""


def split_phases(
    volumes_ml: dict[str, float],
    split: tuple[float, float, float],
    seed: int,
    known: dict[str, str] | None = None,
) -> dict[str, str]:
    """Deal patients to NiftyNet's phases: seeded, by tumour volume.

    Shares are of all patients (largest remainder), and every phase with a share gets a patient
    where there are enough. Numbers of patients are exact, and the rest is :data:`UNUSED`; where
    there are not so many patients, they are proportions.

    Patients dealt before keep their phase, so that nobody trained on turns up in a test; the new
    ones fill what is missing most, which brings the sizes as near to those wanted as they can come.
    Among the new, ranked by volume, a phase that gets n takes about one from each n-th of the
    ranking, so that small and large tumours are everywhere.

    :param volumes_ml: tumour volume by id.
    :param split: shares of the phases, which sum to 1, or numbers of patients.
    :param known: phase by id, dealt before; ids that are not in ``volumes_ml`` do not count.
    :return: phase by id, in the order of ``volumes_ml``.
    """
    known = known or {}
    phases = {one: known[one] for one in volumes_ml if one in known}
    new = sorted(set(volumes_ml) - set(phases), key=lambda one: (volumes_ml[one], one))
    kept = np.array([list(phases.values()).count(phase) for phase in PHASES])
    wanted = _sizes(len(volumes_ml), split)
    missing, sizes = wanted - kept, np.zeros(len(PHASES), int)
    left_out = len(volumes_ml) > wanted.sum()
    for _ in range(min(len(new), missing.clip(0).sum()) if left_out else len(new)):
        sizes[(missing - sizes).argmax()] += 1
    sizes = [*sizes, len(new) - sizes.sum()]
    rng = np.random.default_rng(seed)
    # the m-th of n members of a phase falls at random into the m-th of n equal parts of the ranking
    places = np.concatenate([(np.arange(n) + rng.random(n)) / n for n in sizes])
    dealt = np.repeat([*PHASES, UNUSED], sizes)[np.argsort(places, kind="stable")]
    dealt = np.roll(dealt, rng.integers(max(len(new), 1)))  # same chance for the ends
    phases |= dict(zip(new, dealt.tolist(), strict=True))
    return {one: phases[one] for one in volumes_ml}


def are_shares(split: tuple[float, float, float]) -> bool:
    """Tell whether a split is of shares, which sum to 1, and not of numbers of patients."""
    return abs(sum(split) - 1) < 1e-6


def _sizes(count: int, split: tuple[float, float, float]) -> np.ndarray:
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


def dealt_before(manifest: dict, split: tuple[float, float, float], seed: int) -> dict[str, str]:
    """Return whom an earlier run dealt, if it had the same split and seed.

    :param manifest: the earlier run's; may be empty.
    :return: phase by id, also of patients that were gone or refused in that run.
    """
    parameters = manifest.get("parameters") or {}
    if (parameters.get("split"), parameters.get("seed")) != (list(split), seed):
        return {}
    return {one: phase for one, phase in manifest.get("dealt", {}).items() if phase in PHASES}


def split_warnings(
    phases: list[str], labelled: int, split: tuple[float, float, float]
) -> list[str]:
    """Return what is to be said of a split: patients left out, too few, or none for a phase.

    :param phases: of all usable patients.
    :param labelled: how many of these have a label, and were dealt.
    """
    given = "--split " + " ".join(f"{one:.3g}" for one in split)
    texts, unused = [], phases.count(UNUSED)
    if unused:
        texts.append(
            f"{unused} of {labelled} patients are in no set and in no list: {given} are numbers of "
            "patients. For shares of all give numbers that sum to 1, such as 0.8 0.1 0.1."
        )
    elif labelled and not are_shares(split) and sum(split) > labelled:
        texts.append(
            f"{given} are {sum(split):g} patients, found {labelled} with a label: they were dealt "
            "in these proportions."
        )
    return texts + [
        f"No patient is for {phase}: {_WITHOUT[phase]}. {given} decides who is for what; add "
        "patients or change it."
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
        raise DataError(f"{path} cannot be read ({error}). Run preprocess again.") from error
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise DataError(
            f"{path} lists {len(twice)} ids more than once: {', '.join(twice[:10])}. Keep one line "
            "of each."
        )
    return ids


def missing_ids(split_path: Path, list_paths: list[Path]) -> dict[str, list[str]]:
    """Compare the ids of a split with those of NiftyNet's lists, both ways.

    NiftyNet passes over an id that only one side has, without a word.

    :return: ids by the file that lacks them; a file that lacks none is not in it.
    :raises DataError: see :func:`read_ids`.
    """
    ids = {path: read_ids(path) for path in [split_path, *list_paths]}
    everybody = list(dict.fromkeys(one for listed in ids.values() for one in listed))
    lacking = {
        path.name: [one for one in everybody if one not in set(listed)]
        for path, listed in ids.items()
    }
    return {name: absent for name, absent in lacking.items() if absent}
