"""Which ROIs become the label: a rule of classes, each an exact name or a regular expression."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from data_prep.core.errors import DataError

POLICIES = ("one", "first", "union")
"""Of several ROIs that match a class: refuse, take the first, or take all as one region. First is
the order of the files' paths, then that within the file."""

SOURCES = ("RTSTRUCT", "SEG")
"""Where ROIs are sought. The first kind in which a class has a match decides."""

MAX_LABEL = 255
"""Largest label value: labels are stored as uint8."""


class EmptyRoiError(DataError):
    """An ROI encloses nothing of the CT; where others were chosen with it, that is no refusal."""


@dataclass(frozen=True)
class Candidate:
    """One ROI of an RTSTRUCT or one segment of a DICOM SEG.

    ``number`` is its ROI Number or Segment Number; ``aliases`` are further names by which a rule
    may find it (a segment's property type and description); ``empty`` has nothing to fill.
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

    ``names`` match exactly, ``patterns`` are regular expressions for the whole name in any case;
    the first of all these that matches anything decides.
    """

    value: int = 1
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    policy: str = "one"

    def __post_init__(self):
        if not (isinstance(self.value, int) and 1 <= self.value <= MAX_LABEL):
            raise DataError(f"ROI rule: value is {self.value!r}, expected 1 to {MAX_LABEL}.")
        if self.policy not in POLICIES:
            raise DataError(f"ROI rule: policy is {self.policy!r}, expected {', '.join(POLICIES)}.")
        if not self.names + self.patterns or not all(
            isinstance(text, str) and text for text in self.names + self.patterns
        ):
            raise DataError(f"ROI rule: class {self.value} has no name and no regex.")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise DataError(
                    f"ROI rule: '{pattern}' is not a regular expression: {error}."
                ) from error

    def matches(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the candidates of the first name or pattern that any of them has."""
        tests = [lambda text, name=name: text == name for name in self.names]
        tests += [
            lambda text, pattern=pattern: re.fullmatch(pattern, text, re.IGNORECASE) is not None
            for pattern in self.patterns
        ]
        for test in tests:
            found = [one for one in candidates if any(map(test, (one.name, *one.aliases)))]
            if found:
                return found
        return []

    @property
    def wanted(self) -> str:
        """Name what is sought, for a message."""
        return " or ".join(f"'{text}'" for text in self.names + self.patterns)


@dataclass(frozen=True)
class RoiRule:
    """The classes of a label map. Where classes overlap, the later one wins."""

    classes: tuple[RoiClass, ...]
    sources: tuple[str, ...] = SOURCES

    def __post_init__(self):
        values = [one.value for one in self.classes]
        if not values or len(set(values)) < len(values):
            raise DataError(f"ROI rule: values are {values}, expected one or more, each once.")
        if not self.sources or not set(self.sources) <= set(SOURCES):
            raise DataError(f"ROI rule: sources are {self.sources}, expected of {SOURCES}.")

    def as_dict(self) -> dict:
        """Return the rule as JSON has it, for the manifest."""
        return json.loads(json.dumps(asdict(self)))


DEFAULT_RULE = RoiRule((RoiClass(1, patterns=(r"gtv[\s_.-]*0*1", r"neoplasm,?[\s_-]*primary")),))
"""The paper's target: GTV-1 in every spelling (GTV-1, gtv1, GTV_1, gtv 1), or the name that the
collection's DICOM SEG gives it."""


def parse_rule(text: str, policy: str = "one") -> RoiRule:
    """Return the rule that an option names.

    :param text: empty for :data:`DEFAULT_RULE`; the path of a JSON file (it ends in ``.json``); or
        else a regular expression for the whole name of one ROI, in any case.
    :param policy: of :data:`POLICIES`; a file has its own.
    :raises DataError: not a rule; the message says where.
    """
    if text.lower().endswith(".json"):
        return read_rule(Path(text))
    patterns = (text,) if text else DEFAULT_RULE.classes[0].patterns
    return RoiRule((RoiClass(1, patterns=patterns, policy=policy),))


def read_rule(path: Path) -> RoiRule:
    """Read a rule file.

    .. code-block:: json

       {"classes": [{"value": 1, "names": ["GTV-1", "gtv1"]},
                    {"value": 2, "patterns": ["lung.*"], "policy": "union"}],
        "sources": ["RTSTRUCT", "SEG"]}

    :raises DataError: it cannot be read, or says something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        classes = tuple(
            RoiClass(**{key: _tuple(value) for key, value in one.items()})
            for one in content["classes"]
        )
        rest = {key: _tuple(value) for key, value in content.items() if key != "classes"}
        return RoiRule(classes, **rest)
    except OSError as error:
        raise DataError(f"ROI rule {path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a ROI rule ({error}). Expected JSON such as "
            '{"classes": [{"value": 1, "names": ["GTV-1"], "policy": "first"}]}.'
        ) from error


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


def choose(
    rule: RoiRule, candidates: list[Candidate]
) -> tuple[dict[int, list[Candidate]], list[str]]:
    """Return the ROIs of each class, and warnings.

    ROIs that have nothing to fill give way to those that have; a class without a match is a
    warning where another class has one.

    :raises DataError: no class has a match, or one has several under the policy ``one``; the
        message lists all names found.
    """
    chosen, absent, warnings = {}, [], []
    for one in rule.classes:
        matches = []
        for source in rule.sources:
            matches = matches or one.matches([c for c in candidates if c.source == source])
        filled = [candidate for candidate in matches if not candidate.empty]
        if filled and len(filled) < len(matches):
            empty = ", ".join(candidate.name for candidate in matches if candidate.empty)
            warnings.append(f"ROIs without closed contours were passed over: {empty}.")
        matches = filled or matches
        if len(matches) > 1 and one.policy == "one":
            several = ", ".join(f"{c.name} ({c.path.name})" for c in matches)
            raise DataError(
                f"{len(matches)} ROIs match {one.wanted}: {several}, expected one. ROIs found: "
                f"{listing(candidates)}. Give --roi a narrower pattern, choose the policy first or "
                "union, or move the structure set not wanted out of the folder."
            )
        if matches:
            chosen[one.value] = matches if one.policy == "union" else matches[:1]
        else:
            absent.append(one.wanted)
    if not chosen:
        raise DataError(
            f"No ROI matches {'; '.join(absent)}, expected one. ROIs found: "
            f"{listing(candidates)}. Give --roi a pattern that matches the name wanted."
        )
    return chosen, warnings + [f"No ROI matches {wanted}." for wanted in absent]


def listing(candidates: list[Candidate]) -> str:
    """Return all names by file, for a message."""
    by_path: dict[Path, list[str]] = {}
    for one in candidates:
        names = [one.name, *(alias for alias in one.aliases if alias != one.name)]
        by_path.setdefault(one.path, []).append(" / ".join(names))
    found = "; ".join(f"{path}: {', '.join(names)}" for path, names in by_path.items())
    return found or "none"
