"""A cell's search: its teacher, batches of proposals with their replicates, and its best, confirmed."""

from __future__ import annotations

from dataclasses import replace
from math import log10
from typing import Any

import pytest

from harness.record import TrialRecord
from harness.search.cell import News, Tried, Wish, finalists, objectives, search_cell
from harness.search.sampling import Proposal
from harness.study.plan import Cell, Plan, plan
from harness.train.account import Assignment
from tests.search.made_up import account, broken, completed, diverged
from tests.studies import TINY, study, tiny

SCRATCH, KSAN = TINY["arms"]
BY_SIZE = {"method": {"name": "scratch"}, "space": {"student.width": {"int": [2, 9]}}}


def planned(arm: dict[str, Any], **changes: Any) -> tuple[Plan, Cell]:
    """The plan of one arm alone, and its one cell."""
    of_arm = plan(study(tiny(arms=[arm], **changes)))
    return of_arm, of_arm.cells[0]


def requests(of_arm: Plan, cell: Cell) -> list[list[Assignment]]:
    """Everything that a search asks for, step by step."""
    return [list(wish.assignments) for wish in wishes(of_arm, cell)]


def wishes(of_arm: Plan, cell: Cell, allowed: int = 10_000) -> list[Wish]:
    """Everything that a search wishes for, step by step, where the budget allows so many steps of it."""
    steps = search_cell(cell, of_arm)
    asked = [next(steps)]
    try:
        while True:
            is_allowed = len(asked) <= allowed
            asked.append(steps.send([news(assignment) if is_allowed else None for assignment in asked[-1].assignments]))
    except StopIteration:
        return asked


def news(assignment: Assignment) -> News:
    """What comes of an assignment, as far as it is asked to go."""
    told = account(completed(assignment), assignment.until)
    return News(told.trial, {epoch.epoch: epoch.accuracy for epoch in told.epochs if epoch.accuracy is not None})


def test_a_search_goes_from_teacher_to_confirmation() -> None:
    of_arm, cell = planned(KSAN, search={"trials": 5, "batch": 2, "replicates": 3, "sampler": "random"})
    asked = requests(of_arm, cell)
    assert [[a.spec.purpose for a in step] for step in asked] == [
        ["teacher"],
        ["search"] * 6,
        ["search"] * 6,
        ["search"] * 3,  # the batch that is left of 5
        ["confirmation"] * 2,
    ]


def test_replicates_of_a_config_differ_in_their_seeds_alone() -> None:
    of_arm, cell = planned(SCRATCH)
    (batch, _) = requests(of_arm, cell)
    assert [(a.proposal, a.spec.seeds.student) for a in batch] == [(0, 10_000), (0, 10_001), (1, 10_000), (1, 10_001)]
    assert len({a.spec.config_id for a in batch}) == 2


def test_the_finalist_is_the_best_by_its_mean_and_trains_on_fresh_seeds() -> None:
    of_arm, cell = planned(SCRATCH, search__trials=4, search__batch=4)
    (batch, last) = requests(of_arm, cell)
    mean = {a.proposal: completed(a).validation_accuracy for a in batch}
    best = max(mean, key=lambda number: mean[number] or 0)
    assert [a.proposal for a in last] == [best, best]
    assert [a.spec.seeds.student for a in last] == [0, 1]
    assert {a.spec.config_id for a in last} == {a.spec.config_id for a in batch if a.proposal == best}
    assert {tuple(a.point) for a in last} == {("training.learning_rate",)}


# What became of a config.


def tried(cell: Cell, number: int, *accuracies: float | None, size: int = 1000, **values: Any) -> Tried:
    """A config with its replicates: an accuracy each, None for one that gave none."""
    spec = cell.base.with_values({"training.learning_rate": 0.01 * (number + 1), **values})
    assignment = Assignment(spec, "tiny", "scratch", number)
    records: list[TrialRecord] = [
        diverged(assignment) if accuracy is None else completed(assignment, accuracy) for accuracy in accuracies
    ]
    return Tried(Proposal(number, {}, spec), tuple(replace(one, params=size, macs=7 * size) for one in records))


def test_a_configs_error_is_its_mean_over_the_replicates() -> None:
    _, cell = planned(SCRATCH)
    assert tried(cell, 0, 0.5, 0.75).error == 0.375


@pytest.mark.parametrize("accuracies", [(None,), (0.9, None), (None, None)])
def test_a_config_of_which_one_replicate_gave_nothing_has_no_value(accuracies: tuple[float | None, ...]) -> None:
    of_arm, cell = planned(SCRATCH)
    result = tried(cell, 0, *accuracies)
    assert result.error is None
    assert objectives(result, cell, of_arm) is None
    assert finalists([result], 3, cell, of_arm) == []


def test_a_replicate_that_failed_takes_the_value_too() -> None:
    of_arm, cell = planned(SCRATCH)
    assignment = Assignment(cell.base, "tiny", "scratch", 0)
    result = Tried(Proposal(0, {}, cell.base), (completed(assignment), broken(assignment)))
    assert objectives(result, cell, of_arm) is None


def test_a_search_of_which_nothing_completed_confirms_nothing() -> None:
    of_arm, cell = planned(SCRATCH)
    steps = search_cell(cell, of_arm)
    batch = next(steps)
    with pytest.raises(StopIteration):
        steps.send([News(diverged(assignment), {}) for assignment in batch.assignments])


@pytest.mark.parametrize(("size", "second"), [("params", 3.0), ("macs", log10(7000))])
def test_size_is_an_objective_where_the_student_varies(size: str, second: float) -> None:
    of_arm, cell = planned(BY_SIZE, objectives={"accuracy": "max", size: "min"})
    assert objectives(tried(cell, 0, 0.75), cell, of_arm) == pytest.approx([0.25, second])
    of_arm, cell = planned(SCRATCH, objectives={"accuracy": "max", size: "min"})
    assert objectives(tried(cell, 0, 0.75), cell, of_arm) == [0.25]


# Which are confirmed.


def chosen(results: list[Tried], best: int, arm: dict[str, Any]) -> list[int]:
    of_arm, cell = planned(arm)
    return [result.proposal.number for result in finalists(results, best, cell, of_arm)]


def test_the_most_accurate_are_confirmed_and_the_earlier_of_equals_first() -> None:
    _, cell = planned(SCRATCH)
    results = [tried(cell, 0, 0.7), tried(cell, 1, 0.9), tried(cell, 2, None), tried(cell, 3, 0.9), tried(cell, 4, 0.8)]
    assert chosen(results, 1, SCRATCH) == [1]
    assert chosen(results, 3, SCRATCH) == [1, 3, 4]
    assert chosen(results, 9, SCRATCH) == [1, 3, 4, 0]


def test_a_config_that_was_proposed_twice_is_confirmed_once_under_its_first_number() -> None:
    _, cell = planned(SCRATCH)
    first = tried(cell, 0, 0.9)
    again = replace(tried(cell, 0, 0.9, 0.1), proposal=replace(first.proposal, number=2, repeat=1))
    assert chosen([first, tried(cell, 1, 0.6), again], 2, SCRATCH) == [1, 0]  # by the mean over all of its seeds


# Early stopping: rungs, dropped replicates and budgets.

STOPPING = {
    "trials": 6,
    "batch": 6,
    "replicates": 3,
    "sampler": "random",
    "stopping": {"name": "halving", "rungs": [0.5, 1], "least": 2},
}


def stopping(**changes: Any) -> tuple[Plan, Cell]:
    return planned(SCRATCH, search=STOPPING | changes, training={"epochs": 4, "batch_size": 32})


def test_configs_pause_at_the_rungs_on_their_first_seed_and_the_best_half_goes_on() -> None:
    of_arm, cell = stopping()
    first, second, others, confirmation = wishes(of_arm, cell)
    assert [(a.proposal, a.spec.seeds.student, a.until) for a in first.assignments] == [
        (number, 10_000, 2) for number in range(6)
    ]
    assert {a.until for a in second.assignments} == {4}
    going_on = {a.proposal for a in second.assignments}
    by_accuracy = sorted(range(6), key=lambda n: -news(first.assignments[n]).accuracies[2])
    assert going_on == {*by_accuracy[:3], 0}  # the defaults always go on
    assert set(second.given_up) == {a.spec.id for a in first.assignments if a.proposal not in going_on}
    assert {a.until for a in others.assignments} == {None}
    dropped = going_on - {a.proposal for a in others.assignments}
    assert len(dropped) in (1, 2)
    assert [a.spec.seeds.student for a in others.assignments] == [10_000, 10_001, 10_002] * (
        len(going_on) - len(dropped)
    )
    assert {a.spec.purpose for a in confirmation.assignments} == {"confirmation"}


def test_the_reason_says_where_and_among_how_many() -> None:
    reason = next(iter(wishes(*stopping())[1].given_up.values()))
    assert reason.startswith("at epoch 2 of 4 its accuracy of 0.")
    assert reason.endswith("was not among the best 50% of the 6 configs so far that it is compared with")


def test_a_config_that_was_given_up_is_told_with_its_fidelity_and_never_confirmed() -> None:
    of_arm, cell = planned(SCRATCH)
    result = replace(tried(cell, 1, 0.99), replicates=4, error_when_given_up=0.01)
    assert result.error is None
    assert objectives(result, cell, of_arm) == [0.01]
    assert result.fidelity == 0.25  # one whole seed of four
    assert [one.proposal.number for one in finalists([result, tried(cell, 0, 0.5)], 3, cell, of_arm)] == [0]


def test_later_batches_are_compared_with_earlier_ones() -> None:
    of_arm, cell = stopping(batch=2, replicates=1, stopping={"name": "halving", "rungs": [0.5], "least": 4})
    asked = wishes(of_arm, cell)
    assert not asked[1].given_up  # two are too few
    assert len({id for wish in asked for id in wish.given_up}) >= 1


def test_an_epoch_budget_counts_what_was_trained_and_lets_stopping_buy_more_configs() -> None:
    budget: dict[str, Any] = {"trials": 100, "batch": 2, "replicates": 1, "budget": {"epochs": 40}}
    of_arm, cell = stopping(**budget)
    with_rungs = {a.proposal for wish in wishes(of_arm, cell)[:-1] for a in wish.assignments}
    of_arm, cell = stopping(**budget, stopping=None)
    without = {a.proposal for wish in wishes(of_arm, cell)[:-1] for a in wish.assignments}
    assert len(without) == 10
    assert len(with_rungs) >= 12


def test_once_the_budget_is_spent_what_has_not_begun_is_left_out_and_the_best_so_far_is_confirmed() -> None:
    of_arm, cell = planned(SCRATCH, search={"trials": 8, "batch": 2, "sampler": "random"})
    asked = wishes(of_arm, cell, allowed=2)
    assert [wish.assignments[0].spec.purpose for wish in asked] == ["search"] * 3 + ["confirmation"]
    assert {a.proposal for a in asked[-1].assignments} <= {0, 1, 2, 3}


def test_what_pauses_when_the_budget_is_spent_is_given_up() -> None:
    asked = wishes(*stopping(), allowed=1)
    last = {id: why for wish in asked for id, why in wish.given_up.items()}
    assert set(last) == {a.spec.id for a in asked[0].assignments}
    assert list(last.values()).count("the budget was spent") >= 3


def test_a_config_that_is_proposed_again_trains_on_seeds_of_its_own() -> None:
    few = {"method": {"name": "scratch"}, "space": {"training.batch_size": {"choice": [16, 32]}}}
    of_arm, cell = planned(few, search={"trials": 6, "replicates": 2, "batch": 6, "sampler": "random"})
    (batch, confirmed) = requests(of_arm, cell)
    assert len({a.spec.id for a in batch}) == 12
    seeds: dict[str, list[int]] = {}
    for a in batch:
        seeds.setdefault(a.spec.config_id, []).append(a.spec.seeds.student)
    assert all(found == list(range(10_000, 10_000 + len(found))) for found in seeds.values())
    assert {a.spec.config_id for a in confirmed} <= set(seeds)


def test_where_size_varies_the_finalists_are_a_spread_of_the_front() -> None:
    _, cell = planned(BY_SIZE)
    front = [tried(cell, n, 0.5 + 0.1 * n, size=1000 * (n + 1)) for n in range(5)]  # larger is better
    dominated = [tried(cell, 7, 0.55, size=9000), tried(cell, 8, 0.7, size=3500)]
    assert chosen(front + dominated, 9, BY_SIZE) == [4, 3, 2, 1, 0]
    assert chosen(front + dominated, 3, BY_SIZE) == [4, 2, 0]  # both ends and the middle
    assert chosen(front + dominated, 2, BY_SIZE) == [4, 0]
    assert chosen(front + dominated, 1, BY_SIZE) == [4]
