"""Print the report of :mod:`data_prep.cohort.check` for a person."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_prep.cohort.check_report import CheckedPatient, CheckReport, Verdict
from data_prep.cohort.fingerprint import PERCENTILES, Fingerprint, Spread
from data_prep.core.console import PLAIN

_SHOWN = tuple(PERCENTILES.index(percent) for percent in (5, 50, 95))


def print_check(report: CheckReport, console: Console) -> None:
    """Print a row for each patient, every finding in full, and the cohort in a few lines."""
    columns = ("id", "CT", "RS", "SEG", "slices", "spacing mm", "gaps", "HU", "ROI", "mL")
    table = Table(*columns, "label %", "in lungs", "RS/SEG", "verdict", box=None)
    for patient in report.patients:
        table.add_row(*(escape(cell) for cell in _cells(patient)))
    console.print(table)
    for text in report.warnings:
        console.print(f"warning: {text}", **PLAIN)
    for patient in report.patients:
        for text in patient.findings:
            console.print(f"{patient.id} {patient.verdict.value}: {text}", **PLAIN)
    for line in _cohort_lines(report.fingerprint):
        console.print(line, **PLAIN)
    counts = (f"{report.verdicts[verdict]} {verdict.value}" for verdict in Verdict)
    console.print(", ".join(counts), **PLAIN)


def _cohort_lines(cohort: Fingerprint) -> list[str]:
    """Return one line per number that the cohort has: median, 5 and 95 %."""
    spreads: dict[str, tuple[Spread, ...]] = {}
    for name in ("spacing_mm", "shape"):
        spreads[name] = getattr(cohort, name) or ()
    for name in ("volume_ml", "label_proportion", "label_hu"):
        spread = getattr(cohort, name)
        spreads[name] = (spread,) if spread is not None else ()
    return [
        f"{name}, median (5 to 95 %): {' x '.join(map(_spread_text, several))}"
        for name, several in spreads.items()
        if several
    ]


def _spread_text(spread: Spread) -> str:
    low, median, high = (spread[index] for index in _SHOWN)
    return f"{median:g} ({low:g} to {high:g})"


def _of(found: int | None, expected: int | None) -> str:
    return str(found) if found == expected else f"{found} of {expected}"


def _cells(patient: CheckedPatient) -> list[str]:
    """Return a patient's row; what was not measured is a dash."""
    cells = [patient.id]
    for kind, count in patient.found.items():
        cells.append(_of(count, patient.expected.get(kind, count)))
    if patient.spacing_mm is not None and patient.hu_range is not None:
        cells += [
            _of(patient.slices_found, patient.slices_expected),
            "x".join(f"{mm:.3g}" for mm in patient.spacing_mm),
            str(len(patient.gaps_mm)),
            "{}..{}".format(*patient.hu_range),
            ", ".join(patient.roi) or "-",
        ]
    else:
        cells += ["-"] * 5
    percent = None if patient.label_proportion is None else 100 * patient.label_proportion
    in_lungs = "-" if patient.in_lung_box is None else "yes" if patient.in_lung_box else "NO"
    return cells + [
        _number(patient.volume_ml, ".1f"),
        _number(percent, ".3f"),
        in_lungs,
        _number(patient.dice_rtstruct_seg, ".3f"),
        patient.verdict.value,
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
