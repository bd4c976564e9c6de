"""Every sampler on one list: the same proposals after a kill, conditions, subsets, known points, constraints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from harness.search.sampling import Proposal, Sampling
from harness.source import SpecError
from harness.study.plan import Cell, plan
from tests.search.test_sampling import OF_SIZE, SAMPLERS, cell_of
from tests.studies import TINY, study, tiny

KSAN = TINY["arms"][1]["method"]
CLASS_HEAD = "method.discriminator.class_head"
CONDITIONAL = {
    "training.learning_rate": {"float": [0.03, 0.5], "log": True},
    "method.discriminator": {"choice": [{"class_head": True}, {"class_head": False, "widths": [16]}]},
    "method.discriminator.mu": {"float": [0.3, 1], "when": {CLASS_HEAD: True}},
    "method.attention.taps": {"subset": ["stage1", "stage2", "stage3"]},
}
BY_WIDTH = {
    "student.width": {"int": [2, 12]},
    "training.momentum": {"float": [0, 0.9]},
}
GRID = {
    "training.batch_size": {"int": [16, 48], "step": 16},
    "training.momentum": {"float": [0, 0.9], "step": 0.45},
    "training.schedule": {"choice": [{"name": "cosine"}, {"name": "steps"}]},
    "training.schedule.decay": {"choice": [0.1, 0.2], "when": {"training.schedule.name": "steps"}},
}


def result(proposal: Proposal, several: bool) -> tuple[list[float] | None, float]:
    """What becomes of a proposal, by its config alone: some diverge, and some are stopped."""
    number = int(proposal.spec.config_id, 16)
    values = [number % 97 / 97, *([2 + proposal.spec.student.model_dump()["width"] / 12] if several else [])]
    return (None if number % 7 == 0 else values), (0.5 if number % 5 == 0 else 1.0)


def walk(sampling: Sampling, batches: list[int]) -> list[Proposal]:
    """Proposals in batches, each told its result."""
    made: list[Proposal] = []
    for count in batches:
        batch = sampling.ask(count)
        for proposal in batch:
            sampling.tell(proposal.number, *result(proposal, sampling.cell.varies_size))
        made += batch
    return made


def cell_by_width(sampler: Any, constraints: list[str], known: Any = None, width: int = 2) -> Sampling:
    arm = {"method": {"name": "scratch"}, "space": BY_WIDTH, "known": known or []}
    pairs = [{**TINY["pairs"][0], "students": [{"name": "resnet", "depth": 8, "width": width}]}]
    content = tiny(arms=[arm], pairs=pairs, constraints=constraints, search={"trials": 16, "sampler": sampler})
    (cell,) = (planned := plan(study(content))).cells
    return Sampling(cell, planned.study.spec.search)


@pytest.mark.parametrize("sampler", [*SAMPLERS, "grid"])
def test_a_search_that_is_rebuilt_from_its_record_goes_on_as_if_it_had_not_been_killed(sampler: Any) -> None:
    space = GRID if sampler == "grid" else CONDITIONAL
    method = {"name": "scratch"} if sampler == "grid" else KSAN
    whole = walk(cell_of(space, method, sampler=sampler)[1], [4, 4, 4])
    for killed_after in (1, 2):
        _, again = cell_of(space, method, sampler=sampler)
        told_before = walk(again, [4] * killed_after)
        assert [*told_before, *walk(again, [4] * (3 - killed_after))] == whole
    assert len({proposal.spec.id for proposal in whole}) > 6


def test_another_process_proposes_the_same() -> None:
    """Sets of strings, which samplers use, are ordered by the process's hash seed."""
    says = "from tests.search.test_samplers import *; print(proposed_by_all())"
    here = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", says], env=here, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(proposed_by_all())


def proposed_by_all() -> str:
    """The ids that some samplers propose in a conditional space."""
    samplers = [sampler for sampler in SAMPLERS if "gp" not in str(sampler)]
    walks = (walk(cell_of(CONDITIONAL, KSAN, sampler=sampler)[1], [4, 4, 4]) for sampler in samplers)
    return json.dumps([[proposal.spec.id for proposal in made] for made in walks])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_not_searched_is_not_in_the_point_and_keeps_the_arms_value(sampler: Any) -> None:
    made = walk(cell_of(CONDITIONAL, KSAN, sampler=sampler)[1], [8, 8])
    for proposal in made:
        head = proposal.spec.value_at(CLASS_HEAD)
        assert ("method.discriminator.mu" in proposal.point) is head
        assert head or proposal.spec.value_at("method.discriminator.mu") == 1.0
    assert {proposal.spec.value_at(CLASS_HEAD) for proposal in made} == {True, False}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_subset_is_some_of_the_list_in_its_order(sampler: Any) -> None:
    made = walk(cell_of(CONDITIONAL, KSAN, sampler=sampler)[1], [8, 8])
    members = ["stage1", "stage2", "stage3"]
    for proposal in made[1:]:  # the defaults are `all`, which is no list
        taps = json.loads(proposal.point["method.attention.taps"])
        assert taps == [name for name in members if name in taps] != []
        assert list(proposal.spec.value_at("method.attention.taps")) == taps
    assert len({proposal.point["method.attention.taps"] for proposal in made}) > 3


@pytest.mark.parametrize("sampler", [*OF_SIZE, "grid"])
def test_what_violates_a_constraint_is_never_proposed_and_takes_no_number(sampler: Any) -> None:
    space = {"student.width": {"int": [2, 12]}, "training.momentum": {"float": [0, 0.9], "step": 0.1}}
    arm = {"method": {"name": "scratch"}, "space": space}
    content = tiny(arms=[arm], constraints=["params <= 5000"], search={"trials": 16, "sampler": sampler})
    (cell,) = (planned := plan(study(content))).cells
    sampling = Sampling(cell, planned.study.spec.search)
    made = walk(sampling, [4, 4, 4])
    assert [proposal.number for proposal in made] == list(range(12))
    (limit,) = cell.constraints
    assert all(limit.excess(proposal.spec) <= 0 for proposal in made)
    for trial in sampling._study.trials:
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        (excess,) = trial.constraints.values()  # the constraint is told of every one
        assert excess <= 0 or (trial.state, trial.values) == (TrialState.PRUNED, None)


def test_tpe_learns_from_what_it_may_not_propose() -> None:
    sampling = cell_by_width({"name": "tpe", "startup": 3}, ["params <= 5000"])
    walk(sampling, [8] * 6)
    refused = [max(trial.constraints.values()) > 0 for trial in sampling._study.trials]
    assert sum(refused[:16]) > sum(refused[-16:])


@pytest.mark.parametrize(
    ("settings", "space", "expected"),
    [
        ({}, "training.momentum", {"_multivariate": True, "_group": False, "_constant_liar": True}),
        ({}, "student.width", {"_multivariate": False, "_constant_liar": True}),
        ({"multivariate": True}, "student.width", {"_multivariate": True}),
        ({"multivariate": False}, "training.momentum", {"_multivariate": False}),
        (
            {"constant_liar": False, "startup": 3},
            "training.momentum",
            {"_constant_liar": False, "_n_startup_trials": 3},
        ),
    ],
)
def test_tpe_does_as_its_settings_say(settings: dict[str, Any], space: str, expected: dict[str, Any]) -> None:
    _, sampling = cell_of({space: BY_WIDTH[space]}, {"name": "scratch"}, sampler={"name": "tpe", **settings})
    made = sampling._study.sampler
    assert {name: getattr(made, name) for name in expected} == expected


def test_fields_with_conditions_are_modelled_in_groups_where_they_are_modelled_together() -> None:
    for together in (True, False):
        sampler = {"name": "tpe", "multivariate": together}
        assert cell_of(CONDITIONAL, KSAN, sampler=sampler)[1]._study.sampler._group is together


def test_defaults_that_violate_a_constraint_give_their_place_away() -> None:
    (first, *_) = cell_by_width("random", ["params <= 5000"], width=12).ask(2)
    assert first.number == 0
    assert first.spec.student.model_dump()["width"] < 4
    with pytest.raises(SpecError, match=r"100 proposals in a row that cannot be trained; the last for params <= 10"):
        cell_by_width("random", ["params <= 10"]).ask(1)


@pytest.mark.parametrize("sampler", OF_SIZE)
def test_known_points_follow_the_defaults_and_teach_the_sampler(sampler: Any) -> None:
    known = [{"student.width": 3}, {"student.width": 5, "training.momentum": 0.25}]
    sampling = cell_by_width(sampler, [], known)
    first, second, third = sampling.ask(3)
    assert first.spec == sampling.cell.base
    assert second.spec == sampling.cell.base.at("student.width", 3)
    assert json.loads(third.point["training.momentum"]) == third.spec.training.momentum == 0.25
    told = [(trial.params["student.width"], trial.params["training.momentum"]) for trial in sampling._study.trials]
    assert told == [(2, 0.9), (3, 0.9), (5, 0.25)]
    if "nsga" in str(sampler):  # they belong to a generation, so they have children
        assert all("generation" in str(trial.system_attrs) for trial in sampling._study.trials)


def test_a_known_point_that_equals_the_defaults_is_a_repeat_of_them() -> None:
    (first, second) = cell_by_width("tpe", [], [{"student.width": 2}]).ask(2)
    assert (second.spec, first.repeat, second.repeat) == (first.spec, 0, 1)


def test_a_grid_tries_every_point_once_and_then_ends() -> None:
    _, sampling = cell_of(GRID, sampler="grid", trials=100)
    made = walk(sampling, [5] * 8)
    assert len(made) == 3 * 3 * (1 + 2)
    assert len({proposal.spec.id for proposal in made}) == 27
    assert sampling.ask(1) == []
    assert Counter(proposal.spec.value_at("training.schedule.name") for proposal in made) == {"cosine": 9, "steps": 18}
    assert [proposal.repeat for proposal in made] == [0] * 27
    _, other = cell_of(GRID, sampler="grid", seed=1)
    assert [proposal.spec.config_id for proposal in walk(other, [9])] != [p.spec.config_id for p in made[:9]]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_two_cells_are_never_mixed(sampler: Any) -> None:
    """Optuna's searcher in Tune gives every search one default name; here each cell has a study of its own."""
    (_, first), (_, second) = (cell_of(CONDITIONAL, KSAN, sampler=sampler) for _ in range(2))
    walk(first, [4])
    assert second._study.trials == []
    assert first._study.study_name != second._study.study_name


def cells(**changes: Any) -> tuple[Cell, ...]:
    return plan(study(tiny(**changes))).cells


def test_known_points_and_constraints_are_part_of_what_a_cell_is() -> None:
    arm = {"method": {"name": "scratch"}, "space": BY_WIDTH}
    ids = {
        cell.id
        for changes in ({}, {"constraints": ["params <= 5000"]}, {"constraints": ["params <= 6000"]})
        for known in ([], [{"student.width": 3}])
        for cell in cells(arms=[{**arm, "known": known}], **changes)
    }
    assert len(ids) == 6


def test_a_condition_on_a_fixed_field_holds_for_some_students_alone() -> None:
    arm = {
        "method": {"name": "scratch"},
        "space": {
            "training.momentum": {"float": [0, 0.9]},
            "training.nesterov": {"choice": [True, False], "when": {"student.depth": 14}},
        },
    }
    students = [{"name": "resnet", "depth": depth, "width": 2} for depth in (8, 14)]
    planned = plan(study(tiny(arms=[arm], pairs=[{**TINY["pairs"][0], "students": students}])))
    points = [set(Sampling(cell, planned.study.spec.search).ask(2)[1].point) for cell in planned.cells]
    assert points == [{"training.momentum"}, {"training.momentum", "training.nesterov"}]


def test_a_condition_on_a_field_that_is_not_searched_beside_it_sees_the_arms_value() -> None:
    """`nesterov` hangs on `batch_size`, which hangs on `momentum`: where that is not searched it is the arm's 32."""
    space = {
        "training.nesterov": {"choice": [True, False], "when": {"training.batch_size": 32}},
        "training.batch_size": {"choice": [16, 32], "when": {"training.momentum": 0.5}},
        "training.momentum": {"choice": [0.5, 0.9]},
    }
    for proposal in walk(cell_of(space)[1], [16]):
        momentum, batch = proposal.spec.training.momentum, proposal.spec.training.batch_size
        expected = {"training.momentum"}
        expected |= {"training.batch_size"} if momentum == 0.5 else set()
        expected |= {"training.nesterov"} if batch == 32 else set()
        assert set(proposal.point) == expected
