"""The plan is worked out from the study alone: what will run, how often, and about how long."""

from __future__ import annotations

import pytest

from harness.record import Purpose
from harness.study.plan import confirmation, plan, predicted_seconds, replicate
from harness.study.study import SEARCH_SEEDS, load_study
from tests.studies import LABEL, TINY, TRIALS, study, tiny

STUDENTS = [{"name": "resnet", "depth": 8, "width": 2}, {"name": "resnet", "depth": 14, "width": 2}]
TEACHERS = [{"name": "resnet", "depth": 8, "width": 4}, {"name": "resnet", "depth": 14, "width": 4}]
TWO_BY_TWO = tiny(pairs=[{"teacher": teacher, "students": STUDENTS} for teacher in TEACHERS])


def test_a_plan_is_a_pure_consequence_of_its_study() -> None:
    first, second = plan(study()), plan(study())
    assert first.cells == second.cells
    assert first.teachers == second.teachers


def test_every_student_meets_every_arm() -> None:
    cells = plan(study(tiny(pairs=[{"teacher": TEACHERS[0], "students": STUDENTS}]))).cells
    assert [(cell.base.student.label, cell.arm.name) for cell in cells] == [
        ("resnet8-w2", "scratch"),
        ("resnet8-w2", LABEL),
        ("resnet14-w2", "scratch"),
        ("resnet14-w2", LABEL),
    ]


def test_a_method_without_a_teacher_is_searched_once_a_student_under_however_many_teachers() -> None:
    cells = plan(study(TWO_BY_TWO)).cells
    assert [cell.base.student.label for cell in cells if cell.arm.name == "scratch"] == ["resnet8-w2", "resnet14-w2"]
    assert len([cell for cell in cells if cell.arm.name == LABEL]) == 4


def test_every_teacher_is_trained_once() -> None:
    planned = plan(study(TWO_BY_TWO))
    assert [trial.student.label for trial in planned.teachers] == ["resnet8-w4", "resnet14-w4"]
    assert {trial.purpose for trial in planned.teachers} == {"teacher"}


def test_a_study_that_needs_no_teacher_trains_none() -> None:
    planned = plan(study(tiny(arms=[TINY["arms"][0]])))
    assert planned.teachers == ()
    assert [cell.teacher_trial for cell in planned.cells] == [None]


def test_the_trials_are_counted() -> None:
    assert plan(study()).trial_count == TRIALS == 1 + 2 * (2 * 2 + 1 * 2)
    assert plan(study(TWO_BY_TWO)).trial_count == 2 + 6 * (2 * 2 + 1 * 2)


def test_an_arm_without_a_space_tries_its_one_config() -> None:
    fixed = {key: value for key, value in TINY["arms"][0].items() if key != "space"}
    planned = plan(study(tiny(arms=[fixed], confirm__best=5)))
    (cell,) = planned.cells
    assert planned.budget(cell) == 1
    assert planned.runs(cell) == 2 + 2  # and no more finalists than configs


def test_every_cell_has_the_same_budget() -> None:
    planned = plan(study(TWO_BY_TWO))
    assert {(planned.budget(cell), planned.runs(cell)) for cell in planned.cells} == {(2, 6)}


@pytest.mark.parametrize("seed", [0, 1, 999_999])
def test_no_seed_serves_search_and_confirmation(seed: int) -> None:
    planned = plan(study(tiny(search__seed=seed, search__replicates=100)))
    assert len(set(planned.search_seeds)) == 100
    assert min(planned.search_seeds) >= SEARCH_SEEDS > max(planned.study.spec.confirm.seeds)


def test_a_replicate_differs_in_its_seeds_alone() -> None:
    base = plan(study()).cells[0].base
    other = replicate(base, 10_007)
    assert set(base.differences(other)) == {
        f"seeds.{name}" for name in ("student", "estimator", "discriminator", "data")
    }
    assert other.config_id == base.config_id
    assert other.id != base.id


def test_a_confirmation_is_another_trial_of_the_same_config() -> None:
    base = plan(study()).cells[0].base
    final = confirmation(base, base.seeds.student)
    purpose: Purpose = "confirmation"
    assert final.purpose == purpose
    assert final.config_id == base.config_id
    assert final.id != base.id  # even on the same seed


def test_cells_are_told_apart_and_known_again() -> None:
    ids = [cell.id for cell in plan(study(TWO_BY_TWO)).cells]
    assert len(set(ids)) == len(ids) == 6
    assert ids == [cell.id for cell in plan(study(TWO_BY_TWO)).cells]


@pytest.mark.parametrize(
    "harmless", [{"question": "Another?"}, {"search__failures": 0.5}, {"search__trials": 7}, {"confirm__best": 2}]
)
def test_what_changes_no_proposal_changes_no_cell(harmless: dict) -> None:
    assert [cell.id for cell in plan(study(tiny(**harmless))).cells] == [cell.id for cell in plan(study()).cells]


@pytest.mark.parametrize("change", [{"training__epochs": 3}, {"search__seed": 1}, {"data__split_seed": 1}])
def test_what_changes_the_trials_changes_every_cell(change: dict) -> None:
    known = {cell.id for cell in plan(study()).cells}
    assert not known & {cell.id for cell in plan(study(tiny(**change))).cells}


def test_the_order_of_the_words_changes_no_id() -> None:
    backwards = dict(reversed(TINY.items()))
    backwards["arms"] = [dict(reversed(arm.items())) for arm in TINY["arms"]]
    assert [cell.id for cell in plan(study(backwards)).cells] == [cell.id for cell in plan(study()).cells]


@pytest.mark.parametrize(
    ("domain", "varies"),
    [
        ({"student.width": {"int": [2, 4]}}, True),
        ({"student": {"choice": [{"name": "resnet", "depth": 8, "width": 2}]}}, True),
        ({"training.learning_rate": {"float": [0.1, 0.2]}}, False),
        ({}, False),
    ],
)
def test_a_search_over_the_student_has_size_as_an_objective(domain: dict, varies: bool) -> None:
    (cell,) = plan(study(tiny(arms=[{"method": {"name": "scratch"}, "space": domain}]))).cells
    assert cell.varies_size is varies


@pytest.mark.parametrize("name", ["digits_resnet", "cifar100_resnet"])
def test_the_shipped_studies_have_a_plan_with_a_predicted_cost(name: str) -> None:
    planned = plan(load_study(name))
    assert planned.trial_count > 20
    per_trial = planned.predicted_seconds / planned.trial_count
    assert per_trial > 0
    assert max(map(predicted_seconds, planned.teachers)) > per_trial  # a teacher is the larger network


def test_two_arms_that_come_to_one_config_keep_trials_of_their_own() -> None:
    arms = [{**TINY["arms"][0], "label": "tuned"}, {"method": {"name": "scratch"}}]
    tuned, fixed = plan(study(tiny(arms=arms))).cells
    assert tuned.base.method == fixed.base.method
    assert tuned.base.id != fixed.base.id
    assert tuned.base.config_id != fixed.base.config_id
