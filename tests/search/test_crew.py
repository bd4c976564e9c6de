"""Whoever joins, dies or leaves: each pack has one worker that stands, and the run comes to its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.record import EpochRecord
from harness.search.agenda import Agenda, TooManyFailuresError
from harness.search.crew import RETRIES, Crew, Refusal
from harness.source import MissingError
from harness.store.parquet import Store
from harness.study.plan import plan
from harness.train.account import Account, Assignment
from tests.search.made_up import account, broken, completed, diverged
from tests.studies import TINY, TRIALS, study, tiny


def crew_of(folder: Path, workers: int = 2, **changes: Any) -> Crew:
    """A crew of so many before its first worker, for the tiny study with trials by themselves."""
    crew = Crew(Agenda(plan(study(tiny(**{"resources__pack": 1, **changes}))), Store(folder)))
    crew.agenda.workers = workers
    return crew


def standing(crew: Crew, *workers: str) -> Crew:
    """The crew with some workers that have started and have nothing to do."""
    for worker in workers:
        assert crew.joins(worker)
        crew.hear(worker, (), wants_work=True)
    return crew


def first_epoch(assignment: Assignment) -> EpochRecord:
    (first, *_) = account(completed(assignment)).epochs
    return first


def test_a_worker_that_has_not_started_holds_nothing_up(tmp_path: Path) -> None:
    crew = crew_of(tmp_path)
    assert crew.joins("slow")
    assert crew.joins("quick")
    assert list(crew.orders()) == []
    crew.hear("quick", (), wants_work=True)
    ((worker, pack),) = crew.orders()
    assert worker == "quick"
    assert all(map(crew.agenda.is_running, pack))


def test_each_free_worker_gets_a_pack_and_none_two(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path), "a", "b")
    packs = dict(crew.orders())
    assert set(packs) == {"a", "b"}
    assert packs["a"] != packs["b"]
    assert list(crew.orders()) == []


def test_who_finds_nothing_to_do_stays_until_there_is_something(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, arms=TINY["arms"][1:]), "a", "b")
    ((worker, (teacher,)),) = crew.orders()  # everything waits for it
    crew.hear(worker, [account(completed(teacher))], wants_work=True)
    assert {who for who, pack in crew.orders() if pack} == {"a", "b"}


def test_a_run_carried_out_by_two_comes_to_its_end(tmp_path: Path) -> None:
    crew, ended = standing(crew_of(tmp_path), "a", "b"), []
    while not crew.is_over:
        for worker, pack in list(crew.orders()):
            ended += pack
            crew.hear(worker, [account(completed(one)) for one in pack], wants_work=True)
    assert len({one.id for one in ended}) == len(ended) == TRIALS
    assert not any(pack for _, pack in crew.orders())
    assert not crew.joins("late")


def test_no_more_join_than_trials_are_left_or_workers_are_asked_for(tmp_path: Path) -> None:
    few, many = crew_of(tmp_path, workers=3), crew_of(tmp_path, workers=64)
    assert [few.joins(str(number)) for number in range(5)] == [True] * 3 + [False] * 2
    assert sum(many.joins(str(number)) for number in range(64)) == TRIALS


def test_where_memory_is_short_who_is_too_many_goes_home(tmp_path: Path) -> None:
    """A worker that waits keeps what it has loaded."""
    crew = standing(crew_of(tmp_path, workers=4), "a", "b", "c", "d")
    packs = dict(crew.orders())
    crew.agenda.slots = 2
    for worker in ("c", "d"):
        crew.hear(worker, [account(completed(one)) for one in packs[worker]], wants_work=True)
    assert list(crew.orders()) == [("d", ()), ("c", ())]
    crew.left("c"), crew.left("d")
    assert not crew.joins("e")


def test_what_a_lost_worker_had_goes_to_another_and_what_it_had_told_does_not(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, workers=1, resources__pack=8, arms=TINY["arms"][:1]), "a")
    ((_, (first, *rest)),) = crew.orders()
    assert rest
    crew.hear("a", [account(completed(first))], wants_work=False)
    crew.lost("a")
    ((_, pack),) = standing(crew, "b").orders()
    assert list(pack) == rest


def test_a_worker_that_dies_while_it_waits_costs_nothing(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, arms=TINY["arms"][1:]), "a", "b")
    ((busy, (teacher,)),) = crew.orders()
    (idle,) = {"a", "b"} - {busy}
    crew.lost(idle)
    crew.hear(busy, [account(completed(teacher))], wants_work=True)
    assert [who for who, _ in crew.orders()] == [busy]
    assert crew.joins("c")


def test_a_worker_that_is_lost_again_and_again_fails_no_trial_that_comes_further(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, workers=1)
    for epoch in range(1, RETRIES + 4):
        ((worker, (assignment,)),) = standing(crew, str(epoch)).orders()
        crew.hear(worker, [replace(first_epoch(assignment), epoch=epoch, epochs=20)], wants_work=False)
        crew.lost(worker)
    assert crew.agenda.is_running(assignment)
    for again in range(RETRIES):
        assert crew.agenda.is_running(assignment)
        ((worker, _),) = standing(crew, f"still {again}").orders()
        crew.lost(worker)
    assert not crew.agenda.is_running(assignment)  # it came no further


def test_workers_that_die_while_they_start_end_the_run_where_none_stands(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, workers=1)
    crew.cause = "No module named 'nets'"
    fail_to_start(crew)
    assert crew.is_over
    assert isinstance(crew.stopped_by, MissingError)
    assert "died while they started (No module named 'nets')" in str(crew.stopped_by)


def test_where_one_stands_it_goes_on_alone_and_is_replaced_when_it_is_lost(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path), "a")
    fail_to_start(crew)
    assert not crew.joins("one more")
    assert not crew.is_over
    crew.lost("a")
    assert not crew.is_over
    assert crew.joins("another")


def test_a_node_that_is_lost_while_all_its_workers_start_ends_no_run(tmp_path: Path) -> None:
    crew, names = crew_of(tmp_path, workers=8), [str(number) for number in range(8)]
    assert all(map(crew.joins, names))
    for name in names:
        crew.lost(name)
    assert not crew.is_over
    assert crew.joins("again")


def test_who_stands_is_not_sent_home_for_those_that_only_start(tmp_path: Path) -> None:
    """They may have no room: then nobody would be left."""
    crew = standing(crew_of(tmp_path, workers=4), "a")
    assert all(map(crew.joins, ("b", "c", "d")))
    crew.agenda.slots = 1
    ((worker, pack),) = crew.orders()
    assert (worker, bool(pack)) == ("a", True)
    crew.hear("b", (), wants_work=True)
    assert list(crew.orders()) == [("b", ())]


def test_what_a_worker_leaves_untold_at_its_pack_s_end_is_done_by_the_next(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, workers=1), "a")
    ((_, pack),) = crew.orders()
    crew.hear("a", (), wants_work=True)
    assert list(crew.orders()) == [("a", pack)]


def fail_to_start(crew: Crew) -> None:
    """Lets workers die while they start until no more are asked for."""
    for number in range(RETRIES + crew.wanted + 1):
        assert crew.joins(str(number))
        crew.lost(str(number))


def test_what_the_agenda_raises_ends_the_run_and_what_ended_meanwhile_is_on_disk(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path), "a", "b")
    packs = dict(crew.orders())
    ((teacher, theirs), (other, ours)) = sorted(packs.items(), key=lambda of: of[1][0].spec.purpose != "teacher")
    crew.hear(teacher, [account(diverged(theirs[0]))], wants_work=True)
    assert isinstance(crew.stopped_by, TooManyFailuresError)
    assert crew.is_over
    assert list(crew.orders()) == []
    crew.hear(other, [account(completed(ours[0]))], wants_work=True)
    assert ours[0].id in {trial.trial_id for trial in Store(tmp_path).trials()}
    assert isinstance(crew.stopped_by, TooManyFailuresError)


def test_so_does_what_its_watchers_raise(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, workers=1), "a")
    ((_, (assignment,)),) = crew.orders()
    full = OSError(28, "No space left on device")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew.agenda.meter, "tick", raising(full))
        crew.hear("a", [first_epoch(assignment)], wants_work=False)
    assert crew.stopped_by is full


def raising(error: Exception) -> Any:
    """A function of nothing that raises."""

    def fails() -> None:
        raise error

    return fails


def test_in_a_drain_who_waits_is_sent_home_and_who_works_is_waited_for(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, arms=TINY["arms"][1:]), "a", "b")
    ((busy, _),) = crew.orders()
    (idle,) = {"a", "b"} - {busy}
    crew.agenda.drain()
    assert list(crew.orders()) == [(idle, ())]
    assert not crew.is_over
    assert not crew.joins("c")
    crew.left(busy)
    assert crew.is_over


def test_what_a_node_refused_is_no_longer_that_worker_s(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, workers=2, resources__pack=8, arms=TINY["arms"][:1]), "a", "b")
    (worker, (first, *rest)), *_ = crew.orders()
    assert rest
    crew.hear(worker, [Refusal(first, RuntimeError("the network"))], wants_work=False)
    assert [one.id for one in crew.left(worker)] == [one.id for one in rest]


@pytest.mark.parametrize("error", [RuntimeError("the network"), MissingError("no disk")])
def test_what_a_node_could_not_carry_out_is_tried_again_or_ends_the_run(error: Exception, tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, workers=1), "a")
    ((_, (assignment,)),) = crew.orders()
    crew.hear("a", [Refusal(assignment, error)], wants_work=True)
    assert crew.stopped_by is None or isinstance(error, MissingError)
    assert crew.is_over == isinstance(error, MissingError)
    assert bool(list(crew.orders())) != crew.is_over


def test_a_late_word_of_a_lost_worker_changes_nothing(tmp_path: Path) -> None:
    crew = standing(crew_of(tmp_path, workers=1), "a")
    ((_, (assignment,)),) = crew.orders()
    crew.lost("a")
    ((_, again),) = standing(crew, "b").orders()
    assert again == (assignment,)
    crew.hear("b", [Account(broken(assignment), ())], wants_work=True)
    assert assignment.id not in crew.agenda.known
