"""The live file says what runs now, and at the end that nothing does."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.search.agenda import Agenda
from harness.search.display import Display
from harness.search.live import LiveFile
from harness.store.live import Live, read_live
from harness.store.parquet import Store
from harness.study.plan import plan
from tests.search.made_up import account, completed, walk
from tests.studies import TRIALS, study


def watched(folder: Path) -> tuple[Agenda, LiveFile]:
    planned, store = plan(study()), Store(folder)
    folder.mkdir(exist_ok=True)
    display = Display(planned, Console(file=io.StringIO()), 1)
    live = LiveFile(store, display)
    return Agenda(planned, store, [display, live]), live


def said(folder: Path) -> Live:
    found = read_live(folder)
    assert found is not None
    return found


def test_it_names_what_runs_with_its_epoch(tmp_path: Path) -> None:
    agenda, live = watched(tmp_path)
    with live.of(agenda):
        pack = agenda.next_pack()
        assert pack is not None
        told = account(completed(pack[0]))
        agenda.trained(told.epochs[0])
        live.write("running")
        (running,) = said(tmp_path).running
        assert (running.purpose, running.epoch, running.epochs) == ("teacher", 1, 2)
        agenda.ended(told)
        live.write("running")
        assert (said(tmp_path).running, said(tmp_path).total) == ((), TRIALS)
    assert said(tmp_path).state == "stopped"


def test_a_run_that_ends_says_so(tmp_path: Path) -> None:
    agenda, live = watched(tmp_path)
    with live.of(agenda):
        walk(agenda)
    assert (said(tmp_path).state, said(tmp_path).total) == ("finished", TRIALS)


def test_one_that_is_broken_off_does_not(tmp_path: Path) -> None:
    agenda, live = watched(tmp_path)
    with pytest.raises(KeyboardInterrupt), live.of(agenda):
        walk(agenda)
        raise KeyboardInterrupt
    assert said(tmp_path).state == "stopped"


def test_a_folder_that_refuses_it_stops_no_run(tmp_path: Path) -> None:
    agenda, live = watched(tmp_path)
    (tmp_path / "live.json").mkdir()
    with live.of(agenda):
        walk(agenda)
    assert agenda.is_finished
