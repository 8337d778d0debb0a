"""What ``check`` found, as types: ``check.json``, which is read and written here only."""

from enum import Enum
from pathlib import Path
from typing import Any

from data_prep.cohort.fingerprint import Fingerprint
from data_prep.cohort.manifest import RoiRuleRecord, Vector
from data_prep.core.contracts import KEY, Contract, Part

REPORT = "check.json"
"""The file of a :class:`CheckReport`, in the folder that ``--out`` names."""

_ADVICE = "Run check again."


class Verdict(str, Enum):
    """What to do with a patient: nothing, look at the findings, or fix what is refused."""

    OK = "ok"
    WARN = "warn"
    REFUSED = "refused"


class SeriesFound(Part):
    """A CT series and the number of its slices."""

    series_uid: str
    files: int


class CheckedPatient(Part):
    """One patient: what was found and measured.

    ``found`` and ``expected`` are numbers of series by kind (CT, RTSTRUCT, SEG). What could not be
    measured has no key in the file: all of the CT for a refused patient, all of the label (from
    ``volume_ml`` on) without one. ``gaps_mm`` are the positions of the slices before and after
    each gap; ``in_lung_box`` is None where no lungs were found, ``dice_rtstruct_seg`` where the
    patient does not have both.
    """

    id: str
    source: str
    verdict: Verdict
    series_found: tuple[SeriesFound, ...]
    found: dict[str, int]
    findings: tuple[str, ...]
    series_uid: str | None = None
    spacing_mm: Vector | None = None
    shape: tuple[int, int, int] | None = None
    slices_found: int | None = None
    slices_expected: int | None = None
    gaps_mm: tuple[tuple[float, float], ...] = ()
    hu_range: tuple[int, int] | None = None
    roi: tuple[str, ...] = ()
    roi_others: tuple[str, ...] = ()
    lungs_ml: int | None = None
    volume_ml: float | None = None
    label_slices: int | None = None
    label_at_end: bool | None = None
    label_proportion: float | None = None
    centroid_ras_mm: Vector | None = None
    in_lung_box: bool | None = None
    dice_rtstruct_seg: float | None = None
    expected: dict[str, int] = {}

    def with_finding(self, text: str) -> "CheckedPatient":
        """Return the patient with one finding more; if it was ok, it is a warning now."""
        verdict = Verdict.WARN if self.verdict is Verdict.OK else self.verdict
        return self.model_copy(update={"findings": (*self.findings, text), "verdict": verdict})


class CheckReport(Contract):
    """All patients of a cohort in the order of their folders, and the cohort in numbers.

    ``verdicts`` are numbers of patients.
    """

    software: dict[str, str]
    roi_rule: RoiRuleRecord
    warnings: tuple[str, ...]
    other_files: int
    verdicts: dict[Verdict, int]
    fingerprint: Fingerprint
    patients: tuple[CheckedPatient, ...]

    @property
    def usable(self) -> tuple[CheckedPatient, ...]:
        """Return the patients that are not refused."""
        return tuple(item for item in self.patients if item.verdict is not Verdict.REFUSED)

    def as_json(self) -> dict[str, Any]:
        """Return the file's content, its schema number first, without what was not measured."""
        return {KEY: self.SCHEMA} | self.model_dump(mode="json", exclude_unset=True)


def read_report(out_dir: Path) -> CheckReport:
    """Read the report in a folder that ``check`` wrote.

    :raises DataError: it is absent, damaged, or of a newer schema.
    """
    return CheckReport.read(out_dir / REPORT, _ADVICE)


def write_report(report: CheckReport, out_dir: Path) -> None:
    """Write the report, whole or not at all."""
    report.write(out_dir / REPORT)
