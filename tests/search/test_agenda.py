"""The agenda is a pure consequence of the plan and of the trials that ended, in whatever order they did."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.record import EpochRecord, TrialRecord
from harness.search.agenda import Agenda, TooManyFailuresError, is_out_of_memory
from harness.search.budget import Meter
from harness.source import MissingError
from harness.store.parquet import Store
from harness.study.plan import Plan, plan
from harness.study.study import Budget, Resources
from harness.train.account import Assignment
from tests.search.made_up import account, broken, completed, diverged, walk
from tests.studies import TINY, TRIALS, study, tiny

SCRATCH = TINY["arms"][0]
WIDER = tiny(
    pairs=[{**TINY["pairs"][0], "students": [{"name": "resnet", "depth": depth, "width": 2} for depth in (8, 14)]}],
    search={"trials": 6, "replicates": 2, "batch": 2, "sampler": {"name": "tpe", "startup": 2}},
)

PATIENT = {**WIDER, "search": {**WIDER["search"], "failures": 1}}


def planned(content: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return plan(study(content or tiny(**changes)))


def ids(store: Store) -> list[str]:
    return sorted(trial.trial_id for trial in store.trials())


def test_every_trial_is_handed_out_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    handed_out = walk(Agenda(planned(), store), workers=3)
    assert len(handed_out) == len({assignment.spec.id for assignment in handed_out}) == TRIALS
    assert ids(store) == sorted(assignment.spec.id for assignment in handed_out)


def test_students_wait_for_their_teacher(tmp_path: Path) -> None:
    agenda = Agenda(planned(arms=TINY["arms"][1:]), Store(tmp_path))
    (teacher,) = agenda.next_pack() or ()
    assert teacher.spec.purpose == "teacher"
    assert agenda.next_pack() is None
    assert not agenda.is_finished  # it runs
    agenda.ended(account(completed(teacher)))
    assert agenda.next_pack() is not None


def test_a_teacher_that_two_arms_share_is_trained_once(tmp_path: Path) -> None:
    arms = [TINY["arms"][1], {"method": {"name": "kd"}}]
    handed_out = walk(Agenda(planned(arms=arms), Store(tmp_path)), workers=4)
    assert [assignment.spec.purpose for assignment in handed_out].count("teacher") == 1


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 5))
def test_who_ends_first_decides_nothing(seed: int, workers: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same trials and the same finalists, with one worker or five, however they overtake each other."""
    one, other = (Store(tmp_path_factory.mktemp("run")) for _ in range(2))
    walk(Agenda(planned(WIDER), one))
    walk(Agenda(planned(WIDER), other), workers=workers, order=random.Random(seed))
    assert ids(one) == ids(other)


def test_what_is_known_is_not_handed_out_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = walk(Agenda(planned(), store), stop_after=5)
    rest = Agenda(planned(), store)
    assert rest.resumed == 5
    more = walk(rest)
    known = {assignment.spec.id for assignment in whole[:5]}
    assert not known & {assignment.spec.id for assignment in more}
    assert len(store.trials()) == TRIALS


def test_a_finished_study_is_finished_at_once(tmp_path: Path) -> None:
    walk(Agenda(planned(), Store(tmp_path)))
    again = Agenda(planned(), Store(tmp_path))
    assert again.is_finished
    assert again.next_pack() is None


@pytest.mark.parametrize("ended", range(0, 4 + 48 + 8, 7))
def test_a_search_that_starts_again_walks_the_same_way(ended: int, tmp_path: Path) -> None:
    """A sampler's state is never the only copy: a search with TPE that is cut anywhere proposes the same."""
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    walk(Agenda(planned(WIDER), whole))
    walk(Agenda(planned(WIDER), cut), workers=3, stop_after=ended)
    walk(Agenda(planned(WIDER), cut), workers=2)
    assert ids(cut) == ids(whole)


def test_a_long_search_can_be_walked_through_again(tmp_path: Path) -> None:
    """Hundreds of proposals that are known already follow one another without an end of the stack."""
    few = {"method": {"name": "scratch"}, "space": {"training.batch_size": {"choice": [8, 16, 32]}}}
    store = Store(tmp_path)
    long = planned(
        arms=[few], search={"trials": 400, "batch": 1, "sampler": "random"}, confirm={"best": 3, "seeds": [0]}
    )
    assert len(walk(Agenda(long, store))) == 400 + 3  # a config that is proposed again is another seed
    assert Agenda(long, store).is_finished


# Rungs and budgets.

STOPPING = {
    **WIDER,
    "training": {"epochs": 4, "batch_size": 32},
    "search": {**WIDER["search"], "batch": 3, "stopping": {"name": "halving", "rungs": [0.5, 1], "least": 2}},
}


def told(store: Store) -> dict[str, tuple[object, ...]]:
    """Trial → how it ended, and after how many epochs."""
    return {trial.trial_id: (trial.status, trial.epochs_done, trial.stopped_because) for trial in store.trials()}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 5), ended=st.integers(0, 70))
def test_who_is_given_up_depends_on_neither_order_nor_restarts(
    seed: int, workers: int, ended: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, other = (Store(tmp_path_factory.mktemp("run")) for _ in range(2))
    walk(Agenda(planned(STOPPING), one))
    order = random.Random(seed)
    walk(Agenda(planned(STOPPING), other), workers=workers, order=order, stop_after=ended)
    walk(Agenda(planned(STOPPING), other), workers=workers, order=order)
    assert told(one) == told(other)
    assert "stopped" in {status for status, *_ in told(one).values()}


def test_a_stopped_trial_is_on_disk_with_its_epochs_and_without_its_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path)
    agenda = Agenda(planned(STOPPING), store)
    store.checkpoints.mkdir()
    for cell in agenda.plan.cells:
        (store.checkpoints / f"{cell.base.id}.pt").touch()
    walk(agenda)
    stopped = [trial for trial in store.trials() if trial.status == "stopped"]
    assert stopped
    for trial in stopped:
        assert (trial.epochs_done, trial.validation_accuracy, len(store.epochs(trial))) == (2, None, 2)
        assert (trial.stopped_because or "").startswith("at epoch 2 of 4")
        assert not (store.checkpoints / f"{trial.trial_id}.pt").exists()
    assert Agenda(planned(STOPPING), store).is_finished


def test_a_trial_at_its_rung_is_told_to_onlookers_and_its_time_adds_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    onlooker = Onlooker(store)
    walk(Agenda(planned(STOPPING), store, [onlooker]), lambda one: replace(completed(one), wall_seconds=1.0))
    legs = {
        trial.status: trial.wall_seconds
        for trial in store.trials()
        if trial.trial_id in onlooker.paused_ids and trial.epochs_done in (2, 4)
    }
    assert legs == {"completed": 2.0, "stopped": 1.0}


def spent_after(hours: float, **changes: Any) -> dict[str, Any]:
    return {**WIDER, "search": {**WIDER["search"], "failures": 1, "budget": {"device_hours": hours}, **changes}}


def test_what_failed_attempts_took_is_spent_after_a_restart_too(tmp_path: Path) -> None:
    def costly(assignment: Assignment) -> TrialRecord:
        return replace((broken if assignment.proposal == 1 else completed)(assignment), wall_seconds=360)

    agenda = Agenda(planned(spent_after(100)), Store(tmp_path))
    walk(agenda, costly)
    again = Agenda(planned(spent_after(100)), Store(tmp_path))
    assert again.meter.device_seconds == agenda.meter.device_seconds


@pytest.mark.parametrize("ended", [5, 12])
def test_when_the_device_hours_are_spent_what_runs_ends_and_confirmation_follows(ended: int, tmp_path: Path) -> None:
    store = Store(tmp_path)
    content = spent_after(10 * 360 / 3600)

    def costly(assignment: Assignment) -> TrialRecord:
        return replace(completed(assignment), wall_seconds=360)

    walk(Agenda(planned(content), store), costly, workers=3, stop_after=ended)
    agenda = Agenda(planned(content), store)
    walk(agenda, costly, workers=3)
    purposes = Counter(trial.purpose for trial in store.trials())
    assert 10 <= purposes["search"] <= 16  # what ran beside the tenth, and every arm's defaults on two seeds
    assert purposes["confirmation"] == 2 * 4
    assert {trial.student for trial in store.trials() if trial.purpose == "confirmation"} == {
        "resnet8-w2",
        "resnet14-w2",
    }
    before = ids(store)
    again = Agenda(planned(content), store)
    assert again.is_finished
    assert ids(store) == before


def test_hours_on_the_wall_survive_restarts_and_clocks_that_are_set(tmp_path: Path) -> None:
    store, clock = Store(tmp_path), itertools.count(0, 1800)
    budget, resources = Budget(wall_hours=2), Resources()
    first = Meter(budget, resources, store, [], lambda: float(next(clock)))
    first.tick()
    assert store.wall_seconds() >= 1800
    later = Meter(budget, resources, store, [], lambda: 1e9)  # another machine's clock, or one that was set
    assert later.wall_seconds == store.wall_seconds()
    assert not later.is_spent
    store.note_wall_seconds(7200)
    assert Meter(budget, resources, store, []).is_spent


def test_a_damaged_note_of_the_hours_counts_from_zero(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "wall_seconds.txt").write_bytes(b"\xff\x00")
    assert store.wall_seconds() == 0.0


# Memory and draining.


def test_a_trial_that_ran_out_of_memory_is_tried_again_alone_and_half_as_many_run_from_then_on(tmp_path: Path) -> None:
    agenda = Agenda(planned({**PATIENT, "arms": [SCRATCH], "resources": {"pack": 1}}), Store(tmp_path))
    running = [agenda.next_pack() for _ in range(4)]
    (victim,) = running.pop() or ()
    agenda.ended(account(broken(victim, torch.OutOfMemoryError("CUDA out of memory"))))
    assert agenda.slots == 2
    assert agenda.next_pack() is None  # it waits for the others
    for pack in running:
        agenda.ended(account(completed((pack or ())[0])))
    (again,) = agenda.next_pack() or ()
    assert (again.spec.id, again.attempt) == (victim.spec.id, 2)
    assert agenda.next_pack() is None  # alone
    agenda.ended(account(completed(again)))
    assert [bool(agenda.next_pack()) for _ in range(3)] == [True, True, False]


def test_memory_that_is_short_off_the_gpu_counts_too() -> None:
    assignment = Assignment(planned(arms=[SCRATCH]).cells[0].base, "tiny", "scratch")
    message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    assert is_out_of_memory(broken(assignment, RuntimeError(message)))
    assert is_out_of_memory(broken(assignment, MemoryError()))
    assert is_out_of_memory(broken(assignment, RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling …")))
    assert not is_out_of_memory(broken(assignment))


def test_a_draining_run_begins_nothing(tmp_path: Path) -> None:
    agenda = Agenda(planned(), Store(tmp_path))
    assert agenda.next_pack()
    agenda.drain()
    assert agenda.next_pack() is None
    assert not agenda.is_finished


# What does not go well.


def test_what_a_lost_worker_reports_twice_counts_once(tmp_path: Path) -> None:
    agenda = Agenda(planned(), Store(tmp_path))
    (first,) = agenda.next_pack() or ()
    agenda.ended(account(completed(first, 0.25)))
    agenda.ended(account(completed(first, 0.75)))
    (known,) = Store(tmp_path).trials()
    assert known.validation_accuracy == 0.25


def fails(*numbers: int, attempts: int = 1) -> Any:
    """A judge who lets the proposals of these numbers raise in so many first attempts."""

    def judge(assignment: Assignment) -> TrialRecord:
        is_due = assignment.spec.purpose == "search" and assignment.proposal in numbers
        return broken(assignment) if is_due and assignment.attempt <= attempts else completed(assignment)

    return judge


def test_a_failed_trial_is_tried_again_before_its_search_hears_of_it(tmp_path: Path) -> None:
    well, mended = Store(tmp_path / "well"), Store(tmp_path / "mended")
    walk(Agenda(planned(WIDER), well))
    agenda = Agenda(planned({**PATIENT, "resources": {"pack": 1}}), mended)
    handed_out = walk(agenda, judge=fails(1, 2))
    assert agenda.failed == []
    assert ids(mended) == ids(well)
    assert {trial.status for trial in mended.trials()} == {"completed"}
    assert {trial.attempt for trial in mended.attempts() if trial.status == "failed"} == {1}
    assert len(handed_out) == len(mended.attempts()) > len(mended.trials())  # both attempts stay on disk


def test_a_trial_that_failed_twice_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = Agenda(planned(search__failures=1), store)
    walk(first, judge=fails(1, attempts=2))
    assert {trial.attempt for trial in first.failed} == {2}
    second = Agenda(planned(), store)
    assert second.resumed == len(store.trials()) - len(first.failed)
    handed_out = walk(second)
    assert {(again.spec.id, again.attempt) for again in handed_out} == {(trial.trial_id, 3) for trial in first.failed}
    assert second.failed == []
    assert {trial.status for trial in store.trials()} == {"completed"}


@pytest.mark.parametrize("cut_after", [4, 25, 46])
def test_what_a_search_heard_it_hears_for_ever(cut_after: int, tmp_path: Path) -> None:
    """Proposals and finalists are the same after a failure, a kill anywhere, and a retry that goes well."""
    judge = fails(1, 2, attempts=2)
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    walk(Agenda(planned(PATIENT), whole), judge)
    walk(Agenda(planned(PATIENT), cut), judge, workers=3, stop_after=cut_after)
    walk(Agenda(planned(PATIENT), cut), judge)
    assert ids(cut) == ids(whole)
    walk(Agenda(planned(PATIENT), cut), judge)  # the third attempts go well
    assert ids(cut) == ids(whole)
    assert {trial.status for trial in cut.trials()} == {"completed"}
    assert Agenda(planned(PATIENT), cut).is_finished


def test_a_search_that_stops_for_its_failures_has_heard_of_none(tmp_path: Path) -> None:
    """What fails everywhere, such as a bug in one's own method, spoils no search once it is mended."""
    well, mended = Store(tmp_path / "well"), Store(tmp_path / "mended")
    walk(Agenda(planned(WIDER), well))
    with pytest.raises(TooManyFailuresError):
        walk(Agenda(planned(WIDER), mended), judge=fails(*range(6)))
    walk(Agenda(planned(WIDER), mended))
    assert ids(mended) == ids(well)


@pytest.mark.parametrize(("failures", "tolerated"), [(0.0, 0), (0.2, 2), (0.5, 5)])
def test_too_many_failures_stop_the_search(failures: float, tolerated: int, tmp_path: Path) -> None:
    agenda = Agenda(planned(WIDER | {"search": {**WIDER["search"], "failures": failures}}), Store(tmp_path))
    with pytest.raises(TooManyFailuresError, match=r"of \d+ trials failed; the last, .*RuntimeError: broken") as stop:
        walk(agenda, judge=lambda a: broken(a) if a.spec.purpose == "search" else completed(a))
    assert stop.value.exit_code == 4
    assert len(agenda.failed) == tolerated + 1
    assert [trial.status for trial in Store(tmp_path).trials()].count("failed") == tolerated + 1


def test_a_share_of_failures_that_is_tolerated_stops_nothing(tmp_path: Path) -> None:
    agenda = Agenda(planned(search__failures=1), Store(tmp_path))
    walk(agenda, judge=lambda a: broken(a) if a.spec.purpose == "search" else completed(a))
    assert agenda.is_finished
    assert len(agenda.failed) == 8


def test_diverged_trials_are_results_and_tried_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    walk(Agenda(planned(), store), judge=lambda a: diverged(a) if a.spec.purpose == "search" else completed(a))
    assert [trial.status for trial in store.trials()].count("diverged") == 8
    assert Agenda(planned(), store).is_finished


@pytest.mark.parametrize("end", [broken, diverged])
def test_without_its_teacher_a_study_stops_at_every_run(end: Any, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(TooManyFailuresError, match=r"the teacher resnet8-w4 (failed|diverged).*no student can"):
            walk(
                Agenda(planned(), Store(tmp_path)),
                judge=lambda a: end(a) if a.spec.purpose == "teacher" else completed(a),
            )


def test_a_teacher_that_failed_is_tried_again_before_the_study_stops(tmp_path: Path) -> None:
    store = Store(tmp_path)
    walk(
        Agenda(planned(), store),
        judge=lambda a: broken(a) if a.spec.purpose == "teacher" and a.attempt == 1 else completed(a),
    )
    assert len(store.trials()) == TRIALS
    assert {trial.status for trial in store.trials()} == {"completed"}


def test_what_the_machine_lacks_is_nobodys_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(MissingError, match="no such data here") as stop:
        walk(Agenda(planned(), store), judge=lambda a: broken(a, MissingError("no such data here")))
    assert stop.value.exit_code == 3
    assert store.trials() == []


class Onlooker:
    """Notes what it is told."""

    def __init__(self, store: Store) -> None:
        self.store, self.seen, self.paused_ids = store, list[str](), set[str]()

    def began(self, pack: tuple[Assignment, ...]) -> None:
        self.seen.extend(f"began {assignment.spec.id}" for assignment in pack)

    def trained(self, epoch: EpochRecord) -> None:
        self.seen.append(f"trained {epoch.trial_id}")

    def paused(self, assignment: Assignment) -> None:
        assert assignment.until is not None
        self.paused_ids.add(assignment.spec.id)

    def ended(self, trial: TrialRecord) -> None:
        assert trial.trial_id in ids(self.store)  # nothing is told before it is on disk
        self.seen.append(f"ended {trial.trial_id}")


def test_onlookers_are_told_of_every_epoch_and_of_every_trial_once_it_is_on_disk(tmp_path: Path) -> None:
    onlooker = Onlooker(Store(tmp_path))
    handed_out = walk(Agenda(planned(), Store(tmp_path), [onlooker]))
    for one in handed_out:
        told = [word for word, _, id in (said.partition(" ") for said in onlooker.seen) if id == one.id]
        assert told == ["began", *["trained"] * one.spec.training.epochs, "ended"]


def test_a_word_of_a_trial_that_has_ended_is_told_to_nobody(tmp_path: Path) -> None:
    onlooker = Onlooker(Store(tmp_path))
    agenda = Agenda(planned(), Store(tmp_path), [onlooker])
    walk(agenda)
    told = len(onlooker.seen)
    agenda.trained(Store(tmp_path).epochs(Store(tmp_path).trials()[0])[0])  # from a worker that was thought lost
    assert len(onlooker.seen) == told
