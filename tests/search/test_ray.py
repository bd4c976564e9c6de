"""Ray's processes run the trials that one process would run, to the same bits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.record import EpochRecord
from harness.search.agenda import Agenda, Pack
from harness.search.ray_tune import RETRIES, RayRunner, WorkerSettings, _Source
from harness.store.parquet import Store
from harness.study.plan import plan
from harness.train.account import Assignment, Places
from tests.conftest import FinishedRun
from tests.faults.processes import HARNESS
from tests.faults.processes import finished as ended
from tests.search.inline import numbers
from tests.search.made_up import account, completed
from tests.studies import TINY, study, tiny


def test_ray_and_inline_come_to_the_same_numbers_and_weights(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are named from where the command was given: workers stay there, where Tune would send each to its own.
    Nothing is left of Tune's loggers, which would write five files a trial.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished.study, "tiny.yaml")
    places = ["--study", "tiny.yaml", "--runs", "mine", "--data-root", "data"]
    by_ray = ended([HARNESS, "search", *places, "--runner", "ray", "--workers", "2"])
    assert by_ray.returncode == 0, by_ray.stdout
    store = Store(Path("mine/tiny"))
    assert numbers(store) == numbers(finished.store)
    assert {trial.error_class for trial in store.trials()} == {None}
    assert {path.name for path in store.students.iterdir()} == {path.name for path in finished.store.students.iterdir()}
    there, known = ({path.name for path in root.iterdir()} for root in (store.root, finished.store.root))
    assert there - {"wall_seconds.txt"} == known - {"wall_seconds.txt"}
    assert {path.name for path in tmp_path.iterdir()} - {"data"} == {"tiny.yaml", "mine"}


def test_a_worker_without_a_pack_waits_for_one_and_is_woken_alone(tmp_path: Path) -> None:
    """Tune would end all idle workers but one; and of two that end at once the second."""
    source = _Source(Agenda(plan(study(tiny(arms=TINY["arms"][1:], resources__pack=1))), Store(tmp_path)))
    source.agenda.workers = 3
    (teacher,) = packs_of(source, "a")
    assert packs_of(source, "b") == packs_of(source, "c") == ()
    assert source.woken() == []  # there is nothing to do yet
    source.on_trial_result("a", {"news": [account(completed(teacher))]})
    assert source.woken() == ["b"]
    assert source.woken() == []
    source.on_trial_complete("b", {"done": True})
    (student,) = packs_of(source, "d")
    assert source.agenda.is_running(student)
    assert source.woken() == ["c"]


def test_who_waits_is_woken_when_nothing_comes(tmp_path: Path) -> None:
    source = _Source(Agenda(plan(study(tiny(arms=TINY["arms"][1:]))), Store(tmp_path)))
    packs_of(source, "a"), packs_of(source, "b")
    source.agenda.drain()
    assert source.woken() == ["b"]


def packs_of(source: _Source, tune_id: str) -> Pack:
    """What one of Tune's trials is given to carry out."""
    suggested = source.suggest(tune_id)
    assert suggested
    pack: Pack = suggested["parcel"].pack
    return pack


def test_what_tune_is_told_of_workers(finished: FinishedRun, tmp_path: Path) -> None:
    """A new process a trial costs three seconds, and without a limit Tune asks for trials for ever."""
    settings = WorkerSettings(tmp_path, tmp_path, Places(tmp_path, tmp_path), "cpu", 1, 0)
    source = _Source(Agenda(plan(study()), Store(tmp_path)))
    told = RayRunner(settings, 3, 0.0)._tuner(source, tmp_path, None)._local_tuner._tune_config
    assert (told.reuse_actors, told.max_concurrent_trials, told.scheduler) == (True, 3, None)


def test_a_worker_that_is_lost_again_and_again_fails_no_trial_that_comes_further(tmp_path: Path) -> None:
    agenda = Agenda(plan(study(tiny(resources__pack=1))), Store(tmp_path))
    source = _Source(agenda)
    for epoch in range(1, RETRIES + 4):
        tune_id = str(epoch)
        suggested = source.suggest(tune_id)
        assert suggested is not None
        (assignment,) = suggested["parcel"].pack
        news = [replace(epoch_of(assignment), epoch=epoch, epochs=20)]
        source.on_trial_result(tune_id, {"news": news})
        source.on_trial_complete(tune_id, error=True)
    assert agenda.is_running(assignment)
    for again in range(RETRIES):
        assert agenda.is_running(assignment)
        assert source.suggest(f"still {again}") is not None
        source.on_trial_complete(f"still {again}", error=True)
    assert not agenda.is_running(assignment)  # it came no further


def epoch_of(assignment: Assignment) -> EpochRecord:
    (first, *_) = account(completed(assignment)).epochs
    return first
