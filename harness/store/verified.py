"""What verification found: for each row of a published study the last time that each level was tried.

`verified.json` lies beside the record and is no part of its seal, for it is written later, often by others. Each
entry names the `Seal.id` of the record that it is about: another record is unverified.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.files import write_text_whole
from harness.store.published import VERIFIED, read_seal


@dataclass(frozen=True)
class Verification:
    """One row at one level: 0 its record was whole and consistent, 1 its students were scored, 2 it was retrained."""

    row: str
    level: int
    date: str
    """The day, as 2026-11-27."""
    holds: bool
    drift: float | None
    """Accuracy found minus the claimed one, a fraction: the largest of a student's at 1, of the means at 2."""
    seeds: list[int]
    """The confirmation seeds that were looked at."""
    said: str
    """What was found, in a few words."""
    machine: str
    record: str
    """`Seal.id` of the record that it is about."""


def read_verified(folder: Path) -> list[Verification]:
    """Every entry that is about the record as it stands; raises `ValueError` for a file that is none."""
    path = folder / VERIFIED
    if not path.exists():
        return []
    said = json.loads(path.read_text(encoding="utf-8"))
    try:
        entries = [Verification(**entry) for entry in said]
    except TypeError as error:
        raise ValueError(f"it holds no list of verifications ({error})") from error
    for entry in entries:
        _check(entry)
    current = read_seal(folder).id
    return [entry for entry in entries if entry.record == current]


_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("row", "date", "said", "machine", "record"), (str,)),
    "level": (int,),
    "holds": (bool,),
    "drift": (float, int, type(None)),
    "seeds": (list,),
}


def _check(entry: Verification) -> None:
    for name, kinds in _KINDS.items():
        if type(getattr(entry, name)) not in kinds:
            raise ValueError(f"an entry's `{name}` is of another type than it must be")
    if entry.drift is not None and not -1 <= entry.drift <= 1:
        raise ValueError("an entry's `drift` is no difference of accuracies")
    date.fromisoformat(entry.date)  # raises `ValueError`
    if entry.level not in (0, 1, 2) or any(type(seed) is not int for seed in entry.seeds):
        raise ValueError("an entry has a level that is not 0, 1 or 2, or a seed that is no whole number")


def note_verified(folder: Path, entries: Iterable[Verification]) -> None:
    """Adds entries; each takes the place of an earlier one of its row and level."""
    by_key = {(entry.row, entry.level): entry for entry in [*read_verified(folder), *entries]}
    rows = [dataclasses.asdict(by_key[key]) for key in sorted(by_key)]
    write_text_whole(folder / VERIFIED, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def last_verified(entries: Iterable[Verification]) -> dict[str, Verification]:
    """Row → its entry of the highest level; a refusal counts before what holds, whatever its level."""
    last: dict[str, Verification] = {}
    for entry in entries:
        known = last.get(entry.row)
        if known is None or (not entry.holds, entry.level) > (not known.holds, known.level):
            last[entry.row] = entry
    return last
