"""Reproduction: trains a recorded trial again and holds every number against its record."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

import harness
from harness.record import LookRecord, TrialRecord
from harness.source import MissingError, UserError
from harness.store.parquet import Store, now
from harness.train.account import Account, Assignment, carry_out_pack, recorded_spec
from harness.train.seeds import make_repeatable
from harness.train.workshop import Workshop

SHORTEST_PREFIX = 4


def find_trial(folders: Sequence[Path], trial_id: str) -> TrialRecord:
    """The record of a trial, by its id or the first digits of it, in any run below some folders; the first speaks.

    Raises `MissingError` where there is none, or more than one, and `UserError` for too few digits.
    """
    if len(trial_id) < SHORTEST_PREFIX:
        raise UserError(f"{trial_id or 'nothing'} is too short to name a trial; give at least {SHORTEST_PREFIX} digits")
    stores = [Store(path.parent) for folder in folders for path in sorted(folder.glob("*/study.json"))]
    found: dict[str, TrialRecord] = {}
    for store in stores:
        for trial in store.trials():
            if trial.trial_id.startswith(trial_id):
                found.setdefault(trial.trial_id, trial)
    if not found:
        unread = ", ".join(str(path) for store in stores for path in store.unread)
        raise MissingError(
            f"no trial {trial_id} in {', '.join(map(str, folders))}; `harness leaderboard` lists ids"
            + (f" (could not be read: {unread}; `harness search` sets them aside and repeats them)" if unread else "")
        )
    if len(found) > 1:
        raise MissingError(f"{trial_id} begins the ids of {len(found)} trials: {', '.join(sorted(found)[:5])}")
    return next(iter(found.values()))


def train_again(record: TrialRecord, cache: Path, data_root: Path, fresh: bool) -> TrialRecord:
    """Runs a record's trial in this process, as it was run; `fresh` trains its teacher anew too.

    Raises `MissingError` for a record whose spec is another trial's, and for one of a GPU where there is none.
    """
    spec = recorded_spec(record)
    if spec is None:
        raise MissingError(
            f"the spec in the record {record.trial_id} is not the one that its ids name: the record was altered, "
            f"code that it names has changed, or another version of the harness wrote it "
            f"(ours is {harness.__version__}); run its study again"
        )
    device, threads = "cpu", 1
    if record.provenance:
        device, threads = "cpu" if record.provenance.device == "cpu" else "cuda", record.provenance.threads
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError("the trial ran on a GPU, and torch sees none here")
    make_repeatable(threads)
    assignment = Assignment(
        spec,
        record.study,
        record.arm,
        record.proposal,
        record.point,
        record.attempt,
        packs=bool(record.provenance and record.provenance.packed),
    )
    with tempfile.TemporaryDirectory() as scratch:
        workshop = Workshop(
            data_root, Path(scratch) if fresh or spec.purpose == "teacher" else cache, torch.device(device)
        )
        (account,) = (item for item in carry_out_pack([assignment], workshop) if isinstance(item, Account))
        return account.trial


def note_look(again: TrialRecord, store: Store) -> None:
    """Keeps that a trial which ran again read the test split, where it did, in the ledger of its run's store.

    A published run is not added to: `store` is then that of the run's name among one's own.
    """
    if again.test_accuracy is None:
        return
    store.note_look(
        LookRecord(
            study=again.study,
            trial_id=again.trial_id,
            config_id=again.config_id,
            seed=again.seed,
            reason="reproduction",
            looked_at=now(),
            test_accuracy=again.test_accuracy,
            test_images=again.test_images,
            provenance=again.provenance,
        )
    )


def compare(record: TrialRecord, again: TrialRecord, console: Console) -> bool:
    """Prints the two side by side; whether every number and the trained weights are the same, bit for bit."""
    table = Table("", "recorded", "again", "", box=None, padding=(0, 2))
    same = record.status != "failed"  # a failure has no number to repeat
    for name in ("status", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss", "student_digest"):
        old, new = getattr(record, name), getattr(again, name)
        same &= old == new
        table.add_row(name.replace("_", " "), *(_short(value) for value in (old, new)), "=" if old == new else "≠")
    console.print(table)
    if same:
        console.print(Text("reproduced, bit for bit", "green"))
        return True
    if again.error_class:
        console.print(Text(f"it failed: {again.error_class}: {again.error_message}", "red"))
    differences = _surroundings(record, again)
    console.print(
        Text("not reproduced; " + (f"what differs: {differences}" if differences else "same surroundings"), "red")
    )
    return False


def _short(value: object) -> Text:
    return Text(value[:16] if isinstance(value, str) else repr(value))


def _surroundings(record: TrialRecord, again: TrialRecord) -> str:
    """What of the two provenances differs, and the teacher if it does."""
    old, new = ({} if r.provenance is None else dataclasses.asdict(r.provenance) for r in (record, again))
    differing = [f"{name} {old.get(name)} → {new.get(name)}" for name in old if old.get(name) != new.get(name)]
    if record.teacher_digest != again.teacher_digest:
        differing.append("the teacher's weights")
    return ", ".join(differing)
