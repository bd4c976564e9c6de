"""A forecast is worked out from real steps: of every teacher, and of every cell at the corners of its space."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.source import UserError
from harness.study.forecast import CellForecast, forecast
from harness.study.plan import Plan, plan
from harness.train.pilot import rehearsal
from tests.studies import LABEL, study, tiny
from tests.train.small import CPU


def forecasts(planned: Plan, folder: Path, workers: int = 1) -> list[CellForecast]:
    with rehearsal(folder, CPU) as workshop:
        return list(forecast(planned, workshop, workers))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[CellForecast]:
    return forecasts(plan(study()), tmp_path_factory.mktemp("data"))


def test_there_is_a_row_for_each_teacher_and_cell(found: list[CellForecast]) -> None:
    assert [(one.arm, one.teacher, one.student, one.runs) for one in found] == [
        ("teacher", None, "resnet8-w4", 1),
        ("scratch", None, "resnet8-w2", 2 * 2 + 2),
        (LABEL, "resnet8-w4", "resnet8-w2", 2 * 2 + 2),
    ]


def test_a_trial_takes_its_steps(found: list[CellForecast]) -> None:
    """Two epochs of two steps, at every corner: batches are of one size here."""
    for one in found:
        low, high = one.step_seconds
        assert 0 < low <= high
        assert 4 * low <= one.trial_seconds * 1.0001
        assert one.trial_seconds <= 4 * high * 1.0001
        assert one.seconds == one.runs * one.trial_seconds + one.asking_seconds


def test_packs_are_as_large_as_a_search_would_make_them(tmp_path: Path, found: list[CellForecast]) -> None:
    assert [one.together for one in found] == [1, 8, 8]  # two arms, two configs on two seeds
    halves = forecasts(plan(study(tiny(arms=tiny()["arms"][:1]))), tmp_path, workers=2)
    assert [one.together for one in halves] == [4]
    alone = forecasts(plan(study(tiny(arms=tiny()["arms"][:1], resources__pack=1))), tmp_path)
    assert [one.together for one in alone] == [1]


def test_a_student_that_varies_is_flown_at_its_smallest_and_at_its_largest(tmp_path: Path) -> None:
    arm = {"method": {"name": "scratch"}, "space": {"student.depth": {"int": [8, 14], "step": 6}}}
    (one,) = forecasts(plan(study(tiny(arms=[arm], search__sampler="nsga2"))), tmp_path)
    assert one.step_seconds[0] < one.step_seconds[1]


def test_a_cell_that_cannot_be_trained_says_so(tmp_path: Path) -> None:
    attention = {"pretraining": {"steps": 2, "least_spread": 1000}}
    with pytest.raises(UserError, match="one of resnet8-w2 by ksan failed"):
        forecasts(plan(study(tiny(arms=[{"method": {"name": "ksan", "attention": attention}}]))), tmp_path)
