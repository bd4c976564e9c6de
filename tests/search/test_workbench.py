"""A worker's workbench gets ready while nothing else is to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.data.splits import cut
from harness.search.workbench import Workbench, WorkerSettings
from harness.source import MissingError
from harness.study.plan import plan
from harness.train.account import Account, Assignment, Places
from tests.studies import study


def bench(folder: Path) -> Workbench:
    places = Places(folder / "checkpoints", folder / "students")
    return Workbench(WorkerSettings(folder, folder / "cache", places, "cpu", 1, 0, study().spec.data), None)


def first_trial() -> Assignment:
    base = plan(study()).cells[0].base
    return Assignment(base, "tiny", base.arm)


def test_it_loads_the_data_once_and_before_its_first_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def watched(data: Any, root: Path) -> Any:
        loaded.append(data.id)
        return cut(data, root)

    monkeypatch.setattr("harness.train.workshop.cut", watched)
    idle = bench(tmp_path)
    idle.get_ready()
    idle.get_ready()
    assert len(loaded) == 1
    idle.begin((first_trial(),))
    assert [type(item) for item in idle.work(60)][-1] is Account
    assert len(loaded) == 1


def test_data_that_cannot_be_had_is_a_trials_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(data: Any, root: Path) -> Any:
        raise MissingError("no such file; fetch it")

    monkeypatch.setattr("harness.train.workshop.cut", missing)
    idle = bench(tmp_path)
    idle.get_ready()
    idle.begin((first_trial(),))
    (told,) = idle.work(60)
    assert isinstance(told, Account)
    assert told.trial.error_message == "no such file; fetch it"
