"""Which differences of two trials break their comparison, and which do no harm: one table, used by ranking and `diff`.

    lane   rows that are ranked together: the same images, cut and augmentation (by fingerprint), as many test
           images, the same length of training, and the same teacher's weights

What is compared (the student, the method, what its search chose) is no obstacle: it is the point. A row without a
teacher stands in the lane of every teacher of its data and schedule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from harness.analysis.cells import COMPARABLE
from harness.spec import content_id, differences

LANE = [*COMPARABLE, "test_images"]
"""The columns of a row that must be equal beside its teacher's weights."""


@dataclass(frozen=True)
class Rule:
    """What a difference at a dotted path, or below it, means; the longest path that fits is the one that counts."""

    path: str
    breaks: bool
    why: str


RULES = (
    Rule("purpose", True, "a value on validation that a search selected on is other evidence than a confirmed one"),
    Rule("data", True, "other images, another cut or another augmentation"),
    Rule("data.path", False, "where the files lie; what they hold is told by sha256"),
    Rule("data.folder", False, "where the files lie"),
    Rule("data.workers", False, "as many processes as one likes decode the same crops"),
    Rule("training.epochs", True, "another length of training"),
    Rule("training", False, "how the student trains; a search may choose it"),
    Rule("teacher", True, "another teacher"),
    Rule("teacher.checkpoint.path", False, "where the file lies; what it holds is told by sha256"),
    Rule("student", False, "what is compared; its size stands in the row"),
    Rule("method", False, "what is compared"),
    Rule("arm", False, "a name"),
    Rule("seeds", False, "another draw of the same config"),
    Rule("name", False, "a name"),
    Rule("id", False, "follows from the rest"),
    Rule("question", False, "words"),
    Rule("pairs", True, "another data set, teacher or length of training"),
    Rule("pairs.students", False, "what is compared; its size stands in the row"),
    Rule("pairs.training", False, "how the students of a pair train"),
    Rule("pairs.training.epochs", True, "another length of training"),
    Rule("arms", False, "what is compared"),
    Rule("space", False, "what a search may choose"),
    Rule("search", False, "another budget of tuning: rows say theirs"),
    Rule("search.seed", False, "another draw of the search"),
    Rule("constraints", False, "what a search may choose"),
    Rule("confirm", False, "other finalists or seeds; a test pairs over the common ones"),
    Rule("objectives", False, "which size stands beside accuracy"),
    Rule("reference", False, "what a network must beat to count; no trial depends on it"),
    Rule("resources", False, "where it runs; another number of threads rounds differently"),
    Rule("device", False, "where it runs; another kind of device rounds differently"),
    Rule("tracking", False, "who is told"),
)
"""Paths of a trial's spec, then those that only a study has; `[2]` is left out of a path."""


@dataclass(frozen=True)
class Judged:
    """One difference of two specs, and what it means for their comparison."""

    path: str
    here: object
    there: object
    breaks: bool
    why: str


def judged(ours: Mapping[str, object], theirs: Mapping[str, object], same_data: bool = False) -> list[Judged]:
    """Every difference of two specs (of trials, or of studies), those that break their comparison first.

    Where two settings have another `name` (another method, another network), that is the one difference of theirs.
    With `same_data` the fingerprints of what two trials saw are equal, so that no setting of the data matters. A
    trial without a teacher is compared with one of any teacher.
    """
    alone = "teacher" in ours and "teacher" in theirs and None in (ours["teacher"], theirs["teacher"])
    found = []
    for path, (here, there) in _without_details(differences(ours, theirs)).items():
        rule = rule_of(path)
        if alone and rule.path == "teacher":
            rule = Rule(path, False, "one of the two learns from no teacher")
        elif same_data and rule.path == "data":
            rule = Rule(path, False, "the images, their cut and their augmentation are the same by fingerprint")
        found.append(Judged(path, here, there, rule.breaks, rule.why))
    return sorted(found, key=lambda one: not one.breaks)


def _without_details(found: dict[str, tuple[object, object]]) -> dict[str, tuple[object, object]]:
    """Differences, without those of the fields of two settings that are not of one kind."""
    kinds = [path.removesuffix("name") for path in found if path.endswith(".name")]
    return {path: both for path, both in found.items() if not _is_below(path, kinds)}


def _is_below(path: str, places: Iterable[str]) -> bool:
    return any(path.startswith(place) and path != f"{place}name" for place in places)


def rule_of(path: str) -> Rule:
    """The rule for a path; what no rule speaks of breaks a comparison, for nobody has said that it does not."""
    plain = re.sub(r"\[\d+\]", "", path)
    fitting = [rule for rule in RULES if plain == rule.path or plain.startswith(f"{rule.path}.")]
    return max(fitting, key=lambda rule: len(rule.path), default=Rule(path, True, "a field that no rule knows"))


def obstacles(ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    """What keeps two rows out of one lane, in words; nothing where they may be ranked together."""
    found = [f"{name.replace('_', ' ')} {ours[name]} and {theirs[name]}" for name in LANE if ours[name] != theirs[name]]
    teachers = (ours["teacher_digest"], theirs["teacher_digest"])
    if all(teachers) and teachers[0] != teachers[1]:
        found.append(f"the teachers {str(teachers[0])[:12]} and {str(teachers[1])[:12]}")
    return found


@dataclass(frozen=True)
class Lane:
    """Rows that are ranked together."""

    id: str
    key: Mapping[str, object]
    """What they share: the columns of `LANE`, and `teacher` and `teacher_digest`, empty where none has one."""
    rows: pd.DataFrame


def lanes(rows: pd.DataFrame) -> list[Lane]:
    """The lanes of rows that have `teacher_digest` ("" for none); a row without a teacher is in several."""
    found = []
    for values, members in rows.groupby(LANE, sort=True):
        key = dict(zip(LANE, values, strict=True))
        teachers = members[members["teacher_digest"] != ""]
        for digest in sorted(teachers["teacher_digest"].unique()) or [""]:
            own = members[members["teacher_digest"].isin(["", digest])]
            labels = sorted(set(own["teacher"].dropna()))
            told = {**key, "teacher": " and ".join(labels), "teacher_digest": digest}
            found.append(Lane(content_id([*map(str, key.values()), digest])[:8], told, own))
    return sorted(found, key=_in_order)


def _in_order(lane: Lane) -> tuple[str, int, str, str]:
    return str(lane.key["dataset"]), int(str(lane.key["epochs"])), str(lane.key["teacher"]), lane.id


def lane_ids(rows: pd.DataFrame) -> pd.Series:
    """The lanes that each row stands in, as a list a row."""
    found: dict[object, list[str]] = {index: [] for index in rows.index}
    for lane in lanes(rows):
        for index in lane.rows.index:
            found[index].append(lane.id)
    return pd.Series(list(found.values()), index=rows.index, dtype="object")
