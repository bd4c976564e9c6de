"""Parallel coordinates: where a config lies on each axis, and which configs stay where there are too many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.configs import search_configs
from harness.analysis.coordinates import ABSENT, coordinates
from harness.record import TrialRecord
from tests.records import diverged, frame, trial


def tried(proposal: int, validation: float, **point: str) -> TrialRecord:
    return replace(trial(proposal=proposal, validation=validation), point=dict(point))


def searched(trials: list[TrialRecord], folder: Path) -> pd.DataFrame:
    return search_configs(frame(trials, folder))


def test_numbers_lie_by_value_or_logarithm_and_choices_by_order(tmp_path: Path) -> None:
    points = [("0.1", '"b"', "1"), ("0.01", '"a"', "2"), ("1.0", '"b"', "3")]
    trials = [tried(n, 0.9 + n / 100, rate=r, kind=k, count=c) for n, (r, k, c) in enumerate(points)]
    of = coordinates(searched(trials, tmp_path))
    assert of is not None
    axes = {axis.path: axis for axis in of.axes}
    assert list(axes) == ["count", "kind", "rate", "points below the best"]
    assert axes["rate"].is_log
    assert axes["rate"].places == pytest.approx([0.5, 0.0, 1.0])  # the worst config first
    assert axes["count"].places == pytest.approx([0.0, 0.5, 1.0])
    assert axes["kind"].places == pytest.approx([1.0, 0.0, 1.0])
    assert of.loss == pytest.approx([0.02, 0.01, 0.0])
    assert axes["points below the best"].places[-1] == 1.0


def test_a_field_that_a_config_lacks_stands_last(tmp_path: Path) -> None:
    of = coordinates(searched([tried(0, 0.9, a="1.5"), tried(1, 0.8)], tmp_path))
    assert of is not None
    assert dict(of.axes[0].ticks) == {0.0: "1.5", 1.0: ABSENT}


def test_students_are_compared_with_their_own_best(tmp_path: Path) -> None:
    kinds = [("resnet8-w2", 0.7), ("resnet8-w2", 0.8), ("resnet14-w4", 0.95)]
    trials = [
        replace(tried(n, value, rate=f"0.{n + 1}"), student=student, config_id=f"{n}" * 16)
        for n, (student, value) in enumerate(kinds)
    ]
    of = coordinates(searched(trials, tmp_path))
    assert of is not None
    assert dict(zip(of.config_ids, of.loss, strict=True)) == pytest.approx({"0" * 16: 0.1, "1" * 16: 0, "2" * 16: 0})
    assert of.axes[-2].path == "student"


def test_of_too_many_the_best_half_stays(tmp_path: Path) -> None:
    of = coordinates(searched([tried(n, 0.5 + n / 100, rate=f"0.{n + 10}") for n in range(40)], tmp_path), most=10)
    assert of is not None
    assert (len(of.config_ids), of.left_out) == (10, 30)
    assert of.loss[-5:] == pytest.approx([0.04, 0.03, 0.02, 0.01, 0.0])
    assert of.loss[0] == pytest.approx(0.39)


def test_nothing_that_varies_is_nothing_to_show(tmp_path: Path) -> None:
    assert coordinates(searched([tried(0, 0.9, rate="1"), diverged(tried(1, 0.8, rate="2"))], tmp_path)) is None
