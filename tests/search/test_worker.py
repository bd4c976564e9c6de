"""What a worker of Ray's does between Tune's calls, on a clock and a blackboard of the test's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle

from harness.record import EpochRecord
from harness.search import ray_tune
from harness.search.ray_tune import REPORTS, _Worker
from harness.search.workbench import WorkerSettings
from harness.train.account import Account, Places
from tests.records import epochs_of, trial

PATIENCE = 60
"""Seconds for a thread to be scheduled, on a machine however busy."""
EPOCH = epochs_of(trial())[0]
END = Account(trial(), ())


@dataclass
class Bench:
    """A workbench on which an epoch takes a twentieth of a second, and which gives what the test lays on it."""

    clock: float = 1000.0
    is_free: bool = True
    ends: bool = False
    """Whether a trial ends next."""
    cleared: int = 0
    board: dict[str, bytes] = field(default_factory=dict)

    def begin(self, pack: Any) -> None:
        self.is_free = False

    def work(self, seconds: float) -> list[EpochRecord | Account]:
        self.clock += seconds
        return [END] if self.ends else [EPOCH, EPOCH]

    def clear(self) -> None:
        self.cleared += 1
        self.is_free = True


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(ray_tune, "Workbench", lambda settings, far: bench)
    monkeypatch.setattr(ray_tune, "SLICE", 0.01)
    monkeypatch.setattr(ray_tune, "TURN", 0.125)  # which adds up without rounding
    monkeypatch.setattr(ray_tune, "time", SimpleNamespace(monotonic=lambda: bench.clock))
    monkeypatch.setattr(ray_tune, "_place", str)
    monkeypatch.setattr(ray_tune, "_internal_kv_get", bench.board.get)
    monkeypatch.setattr(ray_tune, "_internal_kv_del", bench.board.pop)
    monkeypatch.setattr(_Worker, "trial_id", "worker")
    return bench


@pytest.fixture
def worker(bench: Bench) -> Any:
    """One that has said that it stands, and has a pack."""
    worker = _Worker.__new__(_Worker)
    nowhere = Path("/nowhere")
    worker.setup({}, WorkerSettings(nowhere, nowhere, Places(nowhere, nowhere), "cpu", 1, 0))
    assert worker.step() == {"news": [], "wants_work": True, "done": False}
    bench.board["worker"] = cloudpickle.dumps(("a trial",))
    assert worker.step() == {"news": [], "wants_work": False, "done": False}
    yield worker
    worker.cleanup()


def test_it_reports_less_often_the_longer_its_pack_takes(worker: Any, bench: Bench) -> None:
    silences = []
    for _ in range(20):
        before = bench.clock
        assert all(item is EPOCH for item in worker.step()["news"])
        silences.append(bench.clock - before)
    assert silences == sorted(silences)
    assert (silences[0], silences[-1]) == REPORTS


def test_the_end_of_a_trial_is_reported_at_once(worker: Any, bench: Bench) -> None:
    bench.ends, before = True, bench.clock
    assert worker.step()["news"] == [END]
    assert bench.clock - before == pytest.approx(ray_tune.TURN)


def test_once_the_agenda_drains_it_trains_nothing_and_ends(worker: Any, bench: Bench) -> None:
    bench.board["drain"] = b"yes"
    assert worker._drains.wait(PATIENCE)
    before = bench.clock
    assert worker._worked() == []
    assert worker.step() == {"news": [], "wants_work": False, "done": True}
    assert (bench.cleared, bench.clock) == (1, before)


def test_a_blackboard_that_does_not_answer_is_asked_again(
    worker: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([ConnectionError("gone"), b"yes"])

    def get(place: str) -> bytes:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(ray_tune, "_internal_kv_get", get)
    assert worker._drains.wait(PATIENCE)


def test_nothing_of_it_goes_on_after_its_end(worker: Any, bench: Bench) -> None:
    worker.cleanup()
    worker._lookout.join(PATIENCE)
    assert not worker._lookout.is_alive()
    assert bench.cleared == 1
