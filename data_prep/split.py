"""Deal patients to NiftyNet's phases, the same way again on every later run; compare lists."""

import csv
from pathlib import Path

import numpy as np

from data_prep import DataError

PHASES = ("Training", "Validation", "Inference")
"""NiftyNet's words in a data split file."""

_WITHOUT = {
    "Training": "`net_segment train` then trains on all patients, those of the other sets too",
    "Validation": "training then stops at its start unless validation_every_n = -1",
    "Inference": "`net_segment inference` then takes all patients, those trained on too",
}
"""What NiftyNet 0.6.0 does where a phase has no patient (image_sets_partitioner.py)."""


def split_phases(
    volumes_ml: dict[str, float],
    weights: tuple[float, float, float],
    seed: int,
    known: dict[str, str] | None = None,
) -> dict[str, str]:
    """Deal patients to NiftyNet's phases by weight: seeded, largest remainder, by tumour volume.

    Every phase with a weight gets a patient where there are enough. Patients dealt before keep
    their phase, so that nobody trained on turns up in a test; the new ones fill what is missing
    most, which brings the sizes as near to the weights as they can come. Among the new, ranked by
    volume, a phase that gets n takes about one from each n-th of the ranking, so that small and
    large tumours are everywhere.

    :param volumes_ml: tumour volume by id.
    :param known: phase by id, dealt before; ids that are not in ``volumes_ml`` do not count.
    :return: phase by id, in the order of ``volumes_ml``.
    """
    known = known or {}
    phases = {one: known[one] for one in volumes_ml if one in known}
    new = sorted(set(volumes_ml) - set(phases), key=lambda one: (volumes_ml[one], one))
    kept = np.array([list(phases.values()).count(phase) for phase in PHASES])
    missing = _sizes(len(volumes_ml), weights) - kept
    sizes = np.zeros(len(PHASES), int)
    for _ in new:
        sizes[(missing - sizes).argmax()] += 1
    rng = np.random.default_rng(seed)
    # the m-th of n members of a phase falls at random into the m-th of n equal parts of the ranking
    places = np.concatenate([(np.arange(n) + rng.random(n)) / n for n in sizes])
    dealt = np.repeat(PHASES, sizes)[np.argsort(places, kind="stable")]
    dealt = np.roll(dealt, rng.integers(max(len(new), 1)))  # same chance for the ends
    phases |= dict(zip(new, dealt.tolist(), strict=True))
    return {one: phases[one] for one in volumes_ml}


def _sizes(count: int, weights: tuple[float, float, float]) -> np.ndarray:
    """Return how many of ``count`` patients each phase should have, int (3,)."""
    shares = np.array(weights) * count / sum(weights)
    sizes = np.floor(shares).astype(int)
    for phase in np.argsort(sizes - shares, kind="stable")[: count - sizes.sum()]:
        sizes[phase] += 1
    wanted = np.array(weights) > 0
    if count >= wanted.sum():
        for phase in np.flatnonzero(wanted & (sizes == 0)):
            sizes[sizes.argmax()] -= 1
            sizes[phase] += 1
    return sizes


def dealt_before(manifest: dict, weights: tuple[float, float, float], seed: int) -> dict[str, str]:
    """Return whom an earlier run dealt, if it had the same weights and seed.

    :param manifest: the earlier run's; may be empty.
    :return: phase by id, also of patients that were gone or refused in that run.
    """
    parameters = manifest.get("parameters") or {}
    if (parameters.get("split"), parameters.get("seed")) != (list(weights), seed):
        return {}
    return {one: phase for one, phase in manifest.get("dealt", {}).items() if phase in PHASES}


def empty_phase_warnings(phases: list[str], weights: tuple[float, float, float]) -> list[str]:
    """Return a warning on each phase with a weight that no patient of a cohort is in."""
    given = " ".join(f"{weight:g}" for weight in weights)
    return [
        f"No patient is for {phase}: {_WITHOUT[phase]}. The weights of --split ({given}) decide "
        "who is for what; add patients or change them."
        for phase, weight in zip(PHASES, weights, strict=True)
        if phases and weight and phase not in phases
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
