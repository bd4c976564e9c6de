"""A cell's search: its teacher, batches of proposals with their replicates, and its best, confirmed."""

from __future__ import annotations

from dataclasses import replace
from math import log10
from typing import Any

import pytest

from harness.record import TrialRecord
from harness.search.cell import Tried, finalists, objectives, search_cell
from harness.search.sampling import Proposal
from harness.study.plan import Cell, Plan, plan
from harness.train.account import Assignment
from tests.search.made_up import broken, completed, diverged
from tests.studies import TINY, study, tiny

SCRATCH, KSAN = TINY["arms"]
BY_SIZE = {"method": {"name": "scratch"}, "space": {"student.width": {"int": [2, 9]}}}


def planned(arm: dict[str, Any], **changes: Any) -> tuple[Plan, Cell]:
    """The plan of one arm alone, and its one cell."""
    of_arm = plan(study(tiny(arms=[arm], **changes)))
    return of_arm, of_arm.cells[0]


def requests(of_arm: Plan, cell: Cell) -> list[list[Assignment]]:
    """Everything that a search asks for, step by step."""
    steps = search_cell(cell, of_arm)
    asked = [next(steps)]
    try:
        while True:
            asked.append(steps.send([completed(assignment) for assignment in asked[-1]]))
    except StopIteration:
        return asked


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
        steps.send([diverged(assignment) for assignment in batch])


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
    again = replace(first, proposal=replace(first.proposal, number=2))
    assert chosen([first, tried(cell, 1, 0.5), again], 2, SCRATCH) == [0, 1]


def test_where_size_varies_the_finalists_are_a_spread_of_the_front() -> None:
    _, cell = planned(BY_SIZE)
    front = [tried(cell, n, 0.5 + 0.1 * n, size=1000 * (n + 1)) for n in range(5)]  # larger is better
    dominated = [tried(cell, 7, 0.55, size=9000), tried(cell, 8, 0.7, size=3500)]
    assert chosen(front + dominated, 9, BY_SIZE) == [4, 3, 2, 1, 0]
    assert chosen(front + dominated, 3, BY_SIZE) == [4, 2, 0]  # both ends and the middle
    assert chosen(front + dominated, 2, BY_SIZE) == [4, 0]
    assert chosen(front + dominated, 1, BY_SIZE) == [4]
