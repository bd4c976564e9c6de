"""A whole study in this process: what `harness search --runner inline` does, without the command line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from harness.record import TrialRecord
from harness.search.carry_out import carry_out
from harness.search.display import Display
from harness.search.runner import InlineRunner
from harness.store.parquet import Store
from harness.study.plan import plan
from harness.train.account import Places
from harness.train.workshop import Workshop
from tests.studies import study

NUMBERS = ("status", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss", "student_digest")


def search(
    folder: Path, content: dict[str, Any] | None = None, cache: Path | None = None
) -> tuple[Store, list[TrialRecord], str]:
    """Runs a study in a folder, or goes on with it: the store, this run's failures, and what was shown."""
    torch.set_num_threads(1)
    planned, store, screen = plan(study(content)), Store(folder), io.StringIO()
    workshop = Workshop(Path("unused"), cache or folder.parent / "cache", torch.device("cpu"))
    runner = InlineRunner(workshop, Places(folder / "checkpoints", store.students))
    failed = carry_out(planned, store, runner, Display(planned, Console(file=screen, width=200), 1), "cpu")
    return store, failed, screen.getvalue()


def numbers(store: Store) -> dict[str, list[object]]:
    """Trial → everything that two runs of it must share."""
    return {trial.trial_id: [getattr(trial, name) for name in NUMBERS] for trial in store.trials()}


def files(store: Store) -> dict[str, tuple[int, bytes]]:
    """Trial's file → when it was written, and its content."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in store.root.glob("trials/*.parquet")}
