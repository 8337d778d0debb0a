"""Which ROIs become the label: a rule of classes, each an exact name or a regular expression."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import StrictInt

from data_prep.core.contracts import Contract, Part
from data_prep.core.errors import DataError

POLICIES = ("one", "first", "union")
"""What to do if several ROIs match a class: refuse the patient, take the first, or take all as one
region. The first is the first by the path of its file, then by its place in the file."""

SOURCES = ("RTSTRUCT", "SEG")
"""Kinds of files that hold ROIs. The first kind in which a class has a match decides."""

MAX_LABEL = 255
"""Largest label value: labels are stored as uint8."""

_RULE_ADVICE = (
    "Expected an ROI rule such as "
    '{"classes": [{"value": 1, "names": ["GTV-1"], "policy": "first"}]}.'
)


class EmptyRoiError(DataError):
    """An ROI encloses no voxel of the CT; if others were chosen with it, the patient is usable."""


@dataclass(frozen=True)
class Candidate:
    """One ROI of an RTSTRUCT or one segment of a DICOM SEG.

    :param source: one of :data:`SOURCES`.
    :param path: the file that holds it.
    :param number: its ROI Number or Segment Number.
    :param name: its ROI Name or Segment Label.
    :param aliases: more names by which a rule may find it (a segment's property type and
        description).
    :param empty: True if it has no closed contour.
    """

    source: str
    path: Path
    number: int
    name: str
    aliases: tuple[str, ...] = ()
    empty: bool = False


@dataclass(frozen=True)
class RoiClass:
    """One label value and the ROIs that get it.

    Names come before patterns; the first of all these that matches anything decides.

    :param value: label value, 1 to 255.
    :param names: exact names.
    :param patterns: regular expressions for the whole name, in upper or lower case.
    :param policy: one of :data:`POLICIES`.
    :raises DataError: a value is not valid.
    """

    value: int = 1
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    policy: str = "one"

    def __post_init__(self) -> None:
        where = f"ROI rule, class {self.value!r}"
        if not (isinstance(self.value, int) and 1 <= self.value <= MAX_LABEL):
            raise DataError(f"{where}: value is {self.value!r}, expected 1 to {MAX_LABEL}.")
        if self.policy not in POLICIES:
            raise DataError(f"{where}: policy is {self.policy!r}, expected {', '.join(POLICIES)}.")
        if not self.names + self.patterns or not all(self.names + self.patterns):
            raise DataError(f"{where}: no name and no pattern, or an empty one; expected text.")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise DataError(
                    f"{where}: '{pattern}' is not a regular expression: {error}."
                ) from error

    def matches(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the candidates of the first name or pattern that any of them has."""
        tests: list[Callable[[str], bool]] = [
            *(partial(_is_name, name) for name in self.names),
            *(partial(_fits, pattern) for pattern in self.patterns),
        ]
        for test in tests:
            found = [roi for roi in candidates if any(map(test, (roi.name, *roi.aliases)))]
            if found:
                return found
        return []

    @property
    def wanted(self) -> str:
        """The names and patterns that are looked for, for a message."""
        return " or ".join(f"'{text}'" for text in self.names + self.patterns)


def _is_name(name: str, text: str) -> bool:
    return text == name


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.IGNORECASE) is not None


@dataclass(frozen=True)
class RoiRule:
    """The classes of a label. Where classes overlap, the later one wins.

    :param classes: one or more, each with its own value.
    :param sources: those of :data:`SOURCES` that are used, in order of preference.
    :raises DataError: a value is not valid.
    """

    classes: tuple[RoiClass, ...]
    sources: tuple[str, ...] = SOURCES

    def __post_init__(self) -> None:
        values = [roi_class.value for roi_class in self.classes]
        if not values or len(set(values)) < len(values):
            raise DataError(
                f"ROI rule: values of the classes are {values}, expected at least one, each once."
            )
        if not self.sources or not set(self.sources) <= set(SOURCES):
            raise DataError(
                f"ROI rule: sources are {', '.join(self.sources) or 'none'}, expected one or more "
                f"of {', '.join(SOURCES)}."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON values, for the manifest."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content


class _ClassEntry(Part):
    """One class in a rule file; the defaults are those of :class:`RoiClass`."""

    value: StrictInt = RoiClass.value
    names: tuple[str, ...] = RoiClass.names
    patterns: tuple[str, ...] = RoiClass.patterns
    policy: str = RoiClass.policy


class _RuleFile(Contract):
    """A rule file. People write it by hand, so it may leave its schema number out."""

    IMPLIED_SCHEMA: ClassVar[int | None] = 1

    classes: tuple[_ClassEntry, ...]
    sources: tuple[str, ...] = RoiRule.sources


DEFAULT_RULE = RoiRule((RoiClass(1, patterns=(r"gtv[\s_.-]*0*1", r"neoplasm,?[\s_-]*primary")),))
"""The paper's target: GTV-1 in every spelling (GTV-1, gtv1, GTV_1, gtv 1), or the name that it has
in the DICOM SEG of NSCLC-Radiomics."""


def parse_rule(text: str, policy: str = "one") -> RoiRule:
    """Return the rule that an option states.

    :param text: empty for :data:`DEFAULT_RULE`; the path of a JSON file (it ends in ``.json``); or
        else a regular expression for the whole name of one ROI, in upper or lower case.
    :param policy: one of :data:`POLICIES`; not used for a file, which has its own.
    :raises DataError: it is not a rule; the message says where.
    """
    if text.lower().endswith(".json"):
        return read_rule(Path(text))
    patterns = (text,) if text else DEFAULT_RULE.classes[0].patterns
    return RoiRule((RoiClass(1, patterns=patterns, policy=policy),))


def read_rule(path: Path) -> RoiRule:
    """Read a rule file.

    .. code-block:: json

       {"schema_version": 1,
        "classes": [{"value": 1, "names": ["GTV-1", "gtv1"]},
                    {"value": 2, "patterns": ["lung.*"], "policy": "union"}],
        "sources": ["RTSTRUCT", "SEG"]}

    ``schema_version`` and ``sources`` may be left out.

    :raises DataError: the file cannot be read, is not an ROI rule, or is of a newer schema.
    """
    content = _RuleFile.read(path, _RULE_ADVICE)
    try:
        classes = tuple(RoiClass(**entry.model_dump()) for entry in content.classes)
        return RoiRule(classes, content.sources)
    except DataError as error:
        raise DataError(f"{path}: {error} {_RULE_ADVICE}") from error


def choose(
    rule: RoiRule, candidates: list[Candidate]
) -> tuple[dict[int, list[Candidate]], list[str]]:
    """Choose the ROIs of each class.

    ROIs without closed contours are ignored if others match. A class without a match is a warning
    if another class has one.

    :return: the chosen ROIs by label value, and warnings.
    :raises DataError: no class has a match, or one has several under the policy ``one``; the
        message lists all names found.
    """
    chosen: dict[int, list[Candidate]] = {}
    absent, warnings = [], []
    for roi_class in rule.classes:
        matches = _matches(roi_class, rule.sources, candidates)
        filled = [roi for roi in matches if not roi.empty]
        if filled and len(filled) < len(matches):
            empty = ", ".join(roi.name for roi in matches if roi.empty)
            warnings.append(f"Ignored ROIs without closed contours: {empty}.")
        matches = filled or matches
        if len(matches) > 1 and roi_class.policy == "one":
            several = ", ".join(f"{roi.name} ({roi.path.name})" for roi in matches)
            raise DataError(
                f"{len(matches)} ROIs match {roi_class.wanted}: {several}, expected one. ROIs "
                f"found: {listing(candidates)}. Give --roi a narrower pattern, use --policy first "
                "or union, or move the unwanted structure set out of the folder."
            )
        if matches:
            chosen[roi_class.value] = matches if roi_class.policy == "union" else matches[:1]
        else:
            absent.append(roi_class.wanted)
    if not chosen:
        raise DataError(
            f"No ROI matches {'; '.join(absent)}, expected one. ROIs found: "
            f"{listing(candidates)}. Give --roi a pattern that matches the name you want."
        )
    return chosen, warnings + [f"No ROI matches {wanted}." for wanted in absent]


def _matches(
    roi_class: RoiClass, sources: Sequence[str], candidates: list[Candidate]
) -> list[Candidate]:
    """Return the ROIs that match a class, of the first source that has any."""
    for source in sources:
        found = roi_class.matches([roi for roi in candidates if roi.source == source])
        if found:
            return found
    return []


def listing(candidates: list[Candidate]) -> str:
    """Return all names by file, for a message."""
    by_path: dict[Path, list[str]] = {}
    for roi in candidates:
        names = [roi.name, *(alias for alias in roi.aliases if alias != roi.name)]
        by_path.setdefault(roi.path, []).append(" / ".join(names))
    found = "; ".join(f"{path}: {', '.join(names)}" for path, names in by_path.items())
    return found or "none"
