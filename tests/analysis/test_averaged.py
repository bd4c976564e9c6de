"""Averages over students: one number a seed, then the same paired test as for a single student."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.averaged import averaged, mean_by_seed
from harness.analysis.comparison import answer, differences
from harness.analysis.confirmed import confirmed_rows
from tests.records import confirmations, frame


def rows(tmp_path: Path, **arms: dict[str, dict[int, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Confirmed rows and their differences, from arm → student → seed → accuracy."""
    trials = [
        one
        for arm, students in arms.items()
        for student, values in students.items()
        for one in confirmations(values, arm=arm, student=student, teacher=None if arm == "scratch" else "big")
    ]
    confirmed = confirmed_rows(frame(trials, tmp_path))
    return confirmed, differences(confirmed)


def test_the_mean_is_over_students_and_keeps_only_common_seeds() -> None:
    assert mean_by_seed([{0: 0.9, 1: 0.8, 2: 0.1}, {0: 0.7, 1: 0.6}]) == pytest.approx({0: 0.8, 1: 0.7})


def test_the_difference_is_paired_over_seeds_of_the_means(tmp_path: Path) -> None:
    confirmed, compared = rows(
        tmp_path,
        scratch={"small": {0: 0.90, 1: 0.91, 2: 0.92}, "large": {0: 0.94, 1: 0.95, 2: 0.96}},
        kd={"small": {0: 0.92, 1: 0.92, 2: 0.95}, "large": {0: 0.94, 1: 0.97, 2: 0.98}},
    )
    (row,) = averaged(confirmed, compared).to_dict("records")
    # Seed by seed: (2 + 0) / 2, (1 + 2) / 2, (3 + 2) / 2 points; mean 5/3, sd √(7/12), t = 5/3 / (sd/√3) = 3.78.
    assert row["difference"] == pytest.approx(0.05 / 3)
    assert row["n"] == 3
    assert row["p"] == pytest.approx(0.0634, abs=1e-3)
    assert row["student"] == "mean of 2 students"


def test_a_single_student_is_not_averaged(tmp_path: Path) -> None:
    confirmed, compared = rows(tmp_path, scratch={"a": {0: 0.9, 1: 0.8}}, kd={"a": {0: 0.92, 1: 0.9}})
    assert averaged(confirmed, compared).empty


def test_the_answer_begins_with_the_mean_over_students(tmp_path: Path) -> None:
    spread = {seed: 0.9 + seed / 1000 for seed in range(5)}
    better = {seed: value + 0.02 + seed % 2 / 1000 for seed, value in spread.items()}
    confirmed, compared = rows(
        tmp_path, scratch={"small": spread, "large": spread}, kd={"small": better, "large": better}
    )
    first = answer(confirmed, compared, averaged(confirmed, compared))[0]
    assert first.startswith("kd on digits, mean of 2 students – better than scratch: +2.04 points")
    assert "5 common seeds" in first


def test_many_arms_are_listed_by_verdict_the_best_first(tmp_path: Path) -> None:
    spread = {seed: 0.9 + seed / 1000 for seed in range(5)}

    def shifted(by: float) -> dict[str, dict[int, float]]:
        moved = {seed: value + by + seed % 2 / 1000 for seed, value in spread.items()}
        return {"small": moved, "large": moved}

    gains = {"kd": 0.01, "at": 0.0, "sp": 0.03, "dist": 0.02, "vid": -0.02}
    arms = {arm: shifted(by) for arm, by in gains.items()}
    confirmed, compared = rows(tmp_path, scratch={"small": spread, "large": spread}, **arms)
    said = answer(confirmed, compared, averaged(confirmed, compared))
    assert said[0].startswith(
        "On digits, mean of 2 students, better than scratch are sp +3.04 [+2.97, +3.11], dist +2.04"
    )
    assert said[0].endswith("(points; verdict after Holm over 5 arms, 5 common seeds).")
    assert said[1].startswith("On digits, mean of 2 students, worse than scratch is vid −1.96")
    assert said[2].startswith("On digits, mean of 2 students, not to be told apart from scratch is at +0.04")
