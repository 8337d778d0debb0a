"""Deal patients to NiftyNet's phases, the same way again on every later run."""

import numpy as np

PHASES = ("Training", "Validation", "Inference")
"""NiftyNet's words in a data split file."""

_WITHOUT = {
    "Training": "`net_segment train` then trains on all patients, those of the other sets too",
    "Validation": "training then stops at its start unless validation_every_n = -1",
    "Inference": "`net_segment inference` then takes all patients, those trained on too",
}
"""What NiftyNet 0.6.0 does where a phase has no patient (image_sets_partitioner.py)."""


def split_phases(
    ids: list[str], weights: tuple[int, int, int], seed: int, known: dict[str, str] | None = None
) -> dict[str, str]:
    """Deal patients to NiftyNet's phases by weight: seeded, largest remainder.

    Every phase with a weight gets a patient where there are enough. Patients dealt before keep
    their phase, so that nobody trained on turns up in a test; the new ones fill what is missing
    most, which brings the sizes as near to the weights as they can come.

    :param known: phase by id, dealt before; ids that are not in ``ids`` do not count.
    :return: phase by id, in the order of ``ids``.
    """
    phases = {one: known[one] for one in ids if one in known} if known else {}
    new = sorted(set(ids) - set(phases))
    kept = np.array([list(phases.values()).count(phase) for phase in PHASES])
    missing = _sizes(len(ids), weights) - kept
    sizes = np.zeros(len(PHASES), int)
    for _ in new:
        sizes[(missing - sizes).argmax()] += 1
    dealt = np.repeat(PHASES, sizes)
    order = np.random.default_rng(seed).permutation(len(new))
    phases |= dict(zip((new[k] for k in order), dealt.tolist(), strict=True))
    return {one: phases[one] for one in ids}


def _sizes(count: int, weights: tuple[int, int, int]) -> np.ndarray:
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


def dealt_before(manifest: dict, weights: tuple[int, int, int], seed: int) -> dict[str, str]:
    """Return whom an earlier run dealt, if it had the same weights and seed.

    :param manifest: the earlier run's; may be empty.
    :return: phase by id, also of patients that were gone or refused in that run.
    """
    parameters = manifest.get("parameters") or {}
    if (parameters.get("split"), parameters.get("seed")) != (list(weights), seed):
        return {}
    return {one: phase for one, phase in manifest.get("dealt", {}).items() if phase in PHASES}


def empty_phase_warnings(phases: list[str], weights: tuple[int, int, int]) -> list[str]:
    """Return a warning on each phase with a weight that no patient of a cohort is in."""
    return [
        f"No patient is for {phase}: {_WITHOUT[phase]}. The weights of --split "
        f"({' '.join(map(str, weights))}) decide who is for what; add patients or change them."
        for phase, weight in zip(PHASES, weights, strict=True)
        if phases and weight and phase not in phases
    ]
