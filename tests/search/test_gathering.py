"""What the agenda hands out together: trials of one shape, shared out among the workers, in the list's order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.search.agenda import Agenda, TooManyFailuresError
from harness.store.parquet import Store
from harness.study.plan import plan
from tests.search.made_up import account, broken, completed, walk
from tests.studies import TINY, study, tiny

SCRATCH = TINY["arms"][0]
MANY: dict[str, Any] = tiny(search={"trials": 8, "replicates": 2, "batch": 8, "sampler": "random"})


def agenda(folder: Path, content: dict[str, Any], workers: int = 1) -> Agenda:
    made = Agenda(plan(study(content)), Store(folder))
    made.workers = workers
    return made


def without_teacher(content: dict[str, Any], folder: Path, workers: int = 1) -> Agenda:
    """An agenda of which the teacher has ended, so that all of its searches wait."""
    made = agenda(folder, content, workers)
    (teacher,) = made.next_pack() or ()
    assert teacher.spec.purpose == "teacher"
    made.ended(account(completed(teacher)))
    return made


def test_all_that_waits_of_one_shape_goes_to_one_worker(tmp_path: Path) -> None:
    pack = without_teacher(MANY, tmp_path).next_pack() or ()
    assert len(pack) == 2 * 8 * 2
    assert {assignment.arm for assignment in pack} == {arm.name for arm in study(MANY).spec.arms}
    assert all(assignment.packs for assignment in pack)


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_every_worker_has_a_share(workers: int, tmp_path: Path) -> None:
    made = without_teacher(MANY, tmp_path, workers)
    packs = [made.next_pack() or () for _ in range(workers)]
    assert all(len(pack) >= 4 for pack in packs)
    assert len(packs[0]) == -(-32 // workers)


def test_a_pack_has_one_students_shape(tmp_path: Path) -> None:
    students = [{"name": "resnet", "depth": 8, "width": width} for width in (2, 3)]
    made = without_teacher({**MANY, "pairs": [{**MANY["pairs"][0], "students": students}]}, tmp_path)
    for _ in range(2):
        assert len({assignment.spec.student.id for assignment in made.next_pack() or ()}) == 1


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (5, 5), (32, 32)])
def test_a_study_says_how_many_at_most(most: int, expected: int, tmp_path: Path) -> None:
    made = without_teacher({**MANY, "resources": {"pack": most}}, tmp_path)
    pack = made.next_pack() or ()
    assert len(pack) == expected
    assert all(assignment.packs == (most > 1) for assignment in pack)


def test_members_of_a_pack_that_broke_are_tried_by_themselves_and_only_then_fail(tmp_path: Path) -> None:
    """What ended the pack may be another member's doing."""
    made = agenda(tmp_path, {**MANY, "search": {**MANY["search"], "failures": 0}, "arms": [SCRATCH]})
    pack = made.next_pack() or ()
    assert len(pack) == 16
    for assignment in pack:
        made.ended(account(broken(assignment, ValueError("of one of them"))))
    assert not made.store.attempts()
    assert made.parted == {"ValueError: of one of them": 16}
    alone = [made.next_pack() for _ in pack]
    assert alone == [(assignment,) for assignment in pack]
    made.ended(account(completed(pack[0])))
    with pytest.raises(TooManyFailuresError):
        made.ended(account(broken(pack[1])))


def test_a_pack_that_ran_out_of_memory_runs_as_two_halves(tmp_path: Path) -> None:
    """It is no trial's failure: none is recorded."""
    made = agenda(tmp_path, {**MANY, "search": {**MANY["search"], "failures": 0}, "arms": [SCRATCH]})
    pack = made.next_pack() or ()
    for assignment in pack:
        made.ended(account(broken(assignment, torch.OutOfMemoryError("CUDA out of memory"))))
    halves = [made.next_pack() or () for _ in range(2)]
    assert [len(half) for half in halves] == [8, 8]
    assert [assignment for half in halves for assignment in half] == list(pack)
    assert not made.store.attempts()
    assert made.slots is None


def test_a_pack_that_breaks_after_a_rung_loses_no_leg_and_no_budget_takes_it_back(tmp_path: Path) -> None:
    rungs = {"stopping": {"name": "halving", "rungs": [0.5, 1], "least": 2}, "budget": {"device_hours": 1}}
    content = {**MANY, "search": {**MANY["search"], **rungs}, "arms": [SCRATCH]}
    made = agenda(tmp_path, {**content, "training": {**MANY["training"], "epochs": 4}})
    first_leg = made.next_pack() or ()
    for one in first_leg:
        made.ended(account(replace(completed(one), wall_seconds=400.0), one.until))
    second_leg = made.next_pack() or ()
    assert len(second_leg) > 1
    made.ended(account(broken(second_leg[0])))
    for one in second_leg[1:]:
        made.ended(account(replace(completed(one), wall_seconds=600.0)))
    assert made.meter.is_spent
    (again,) = made.next_pack() or ()
    assert again.id == second_leg[0].id
    made.ended(account(replace(completed(again), wall_seconds=600.0)))
    (record,) = [trial for trial in made.store.trials() if trial.trial_id == again.id]
    assert (record.status, record.wall_seconds) == ("completed", 1000.0)


def test_how_packs_come_to_be_changes_no_trial(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in ("one", "three")]
    for store, workers in zip(stores, (1, 3), strict=True):
        made = Agenda(plan(study(MANY)), store)
        made.workers = workers
        walk(made, workers=workers)
    first, second = ({trial.trial_id for trial in store.trials()} for store in stores)
    assert first == second
