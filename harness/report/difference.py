"""In what two specs differ, told in the terminal, with what each difference means for a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.comparability import Judged, judged
from harness.literal import printable
from harness.record import TrialRecord
from harness.source import MissingError, UserError, shown
from harness.store.parquet import Store

SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class Asked:
    """One of the two: what it was called, its spec, and for a trial its record."""

    name: str
    spec: Mapping[str, Any]
    trial: TrialRecord | None


def recorded(folders: Sequence[Path], name: str) -> Asked | None:
    """What a name means among runs and published studies: a study, or a trial's or row's id; None for neither.

    A row speaks by its confirmation with the smallest seed. Raises `MissingError` for digits that several have.
    """
    for folder in folders:
        if folder.name == name:
            return Asked(name, Store(folder).frozen_study() or {}, None)
    if not could_be_id(name):
        return None
    digits = name.rpartition("/")[2]
    within = [folder for folder in folders if folder.name == name.rpartition("/")[0]] or folders
    stores = [Store(folder) for folder in within]
    trials = [trial for store in stores for trial in store.trials()]
    refuse_unread(stores)
    exact = {trial.trial_id: trial for trial in trials if trial.trial_id.startswith(digits)}
    rows = {one.config_id for one in trials if one.config_id.startswith(digits) and one.purpose == "confirmation"}
    if len(exact) + len(rows) > 1:
        raise MissingError(f"{name} begins the ids of {len(exact) + len(rows)} trials and rows; give more digits")
    if rows:
        first = min(
            (one for one in trials if one.config_id in rows and one.purpose == "confirmation"),
            key=lambda trial: trial.seed,
        )
        return Asked(name, json.loads(first.spec), first)
    found = next(iter(exact.values()), None)
    return Asked(name, json.loads(found.spec), found) if found else None


def could_be_id(name: str) -> bool:
    """Whether a name is the beginning of an id, by its letters."""
    digits = name.rpartition("/")[2]
    return len(digits) >= SHORTEST_PREFIX and set(digits) <= set("0123456789abcdef")


def refuse_unread(stores: Sequence[Store]) -> None:
    """Raises `MissingError` where a record could not be read: what it held would be left out without a word."""
    for path in (path for store in stores for path in store.unread):
        raise MissingError(f"{path} cannot be read; `harness search` of its study sets it aside and repeats the trial")


def print_difference(ours: Asked, theirs: Asked, console: Console) -> bool:
    """Prints every difference; whether the two may be compared."""
    if (ours.trial is None) != (theirs.trial is None):
        raise UserError(f"one of {ours.name} and {theirs.name} is a study and the other is not; give two of a kind")
    found = judged(ours.spec, theirs.spec, _has_same_data(ours.trial, theirs.trial))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("field", ours.name, theirs.name, "", "why"):
        table.add_column(Text(printable(column)), overflow="fold")
    for one in found:
        table.add_row(*(Text(printable(cell)) for cell in _cells(one)))
    if found:
        console.print(table)
    breaking = sum(one.breaks for one in found)
    broken = _teachers(ours.trial, theirs.trial)
    for line in broken:
        console.print(Text(line))
    if breaking or broken:
        console.print(Text(f"not comparable: {breaking + len(broken)} differences break the comparison", "red"))
        return False
    harmless = f"{len(found)} differences do no harm" if found else "no difference"
    console.print(Text(f"comparable: {harmless}", "green"))
    return True


def _cells(one: Judged) -> list[str]:
    return [one.path, shown(one.here), shown(one.there), "breaks" if one.breaks else "harmless", one.why]


def _has_same_data(ours: TrialRecord | None, theirs: TrialRecord | None) -> bool:
    prints = [trial.provenance.data_fingerprint for trial in (ours, theirs) if trial and trial.provenance]
    return len(prints) == 2 and prints[0] == prints[1]


def _teachers(ours: TrialRecord | None, theirs: TrialRecord | None) -> list[str]:
    """The same settings can have made other weights, on another machine."""
    digests = [trial.teacher_digest for trial in (ours, theirs) if trial and trial.teacher_digest]
    if len(digests) == 2 and digests[0] != digests[1]:
        return [f"the teachers' weights differ: {digests[0][:16]} and {digests[1][:16]} (breaks)"]
    return []
