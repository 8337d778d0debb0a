"""Print the report of :mod:`data_prep.cohort.check` for a person."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_prep.cohort.check import VERDICTS
from data_prep.core.console import PLAIN


def report(result: dict, console: Console) -> None:
    """Print a row for each patient, every finding in full, and the cohort in a few lines."""
    columns = ("id", "CT", "RS", "SEG", "slices", "spacing mm", "gaps", "HU", "ROI", "mL")
    table = Table(*columns, "label %", "in lungs", "RS/SEG", "verdict", box=None)
    for entry in result["patients"]:
        table.add_row(*(escape(cell) for cell in _cells(entry)))
    console.print(table)
    for text in result["warnings"]:
        console.print(f"warning: {text}", **PLAIN)
    for entry in result["patients"]:
        for text in entry["findings"]:
            console.print(f"{entry['id']} {entry['verdict']}: {text}", **PLAIN)
    for key, value in result["fingerprint"].items():
        if key not in ("patients", "labelled", "percentiles"):
            spreads = value if isinstance(value[0], list) else [value]
            told = (f"{one[3]:g} ({one[1]:g} to {one[-2]:g})" for one in spreads)
            console.print(f"{key}, median (5 to 95 %): {' x '.join(told)}", **PLAIN)
    verdicts = result["verdicts"]
    console.print(", ".join(f"{verdicts[one]} {one}" for one in VERDICTS), **PLAIN)


def _of(found: int, expected: int) -> str:
    return str(found) if found == expected else f"{found} of {expected}"


def _cells(entry: dict) -> list[str]:
    """Return a patient's row; what a refused patient lacks is a dash."""
    in_lungs = {True: "yes", False: "NO"}.get(entry.get("in_lung_box"), "-")
    dice = entry.get("dice_rtstruct_seg")
    cells = [entry["id"]]
    for kind, count in entry["found"].items():
        cells.append(_of(count, entry["expected"].get(kind, count)))
    if "shape" in entry:
        cells += [
            _of(entry["slices_found"], entry["slices_expected"]),
            "x".join(f"{mm:.3g}" for mm in entry["spacing_mm"]),
            str(len(entry["gaps_mm"])),
            "{}..{}".format(*entry["hu_range"]),
            ", ".join(entry["roi"]) or "-",
        ]
    else:
        cells += ["-"] * 5
    labelled = "volume_ml" in entry
    return cells + [
        f"{entry['volume_ml']:.1f}" if labelled else "-",
        f"{100 * entry['label_proportion']:.3f}" if labelled else "-",
        in_lungs,
        f"{dice:.3f}" if dice is not None else "-",
        entry["verdict"],
    ]
