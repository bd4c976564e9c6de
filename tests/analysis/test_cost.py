"""What was spent and lost is counted whole, and where numbers come from is told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.cost import cost_summary, failures, origins, predicted_and_spent, seeds_by_purpose
from tests.records import PROVENANCE, confirmations, diverged, failed, frame, stopped, trial


def test_trials_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    trials = [trial(seed=0), stopped(trial(seed=1)), diverged(trial(seed=2)), failed(trial(seed=3))]
    row = cost_summary(frame(trials, tmp_path)).iloc[0]
    assert row[["completed", "stopped", "diverged", "failed"]].tolist() == [1, 1, 1, 1]
    assert (row["train_seconds"], row["lost_seconds"]) == (32.5, 20.0)


def test_a_purpose_that_does_not_occur_has_no_row(tmp_path: Path) -> None:
    assert cost_summary(frame(confirmations({1: 0.9}), tmp_path))["purpose"].tolist() == ["confirmation"]


def test_nothing_costs_nothing(tmp_path: Path) -> None:
    empty = frame([], tmp_path)
    assert cost_summary(empty).empty
    assert failures(empty).empty
    assert origins(empty) == {}
    assert seeds_by_purpose(empty) == {}


def test_the_costliest_failure_comes_first(tmp_path: Path) -> None:
    trials = [failed(trial(seed=0, seconds=5)), failed(trial(seed=1, seconds=50), message="disk is full")]
    table = failures(frame(trials, tmp_path))
    assert table["error_message"].tolist() == ["disk is full", "out of memory"]


def test_several_machines_are_told_apart(tmp_path: Path) -> None:
    elsewhere = replace(PROVENANCE, device="cuda", commit=None)
    trials = [trial(seed=0), replace(trial(seed=1), provenance=elsewhere), replace(trial(seed=2), provenance=None)]
    found = origins(frame(trials, tmp_path))
    assert found["device"] == {"cpu": 1, "cuda": 1}
    assert found["commit"] == {"0123456789ab": 1, "unknown": 1}


def test_seeds_are_listed_by_purpose(tmp_path: Path) -> None:
    trials = [trial(seed=1), trial(seed=0), *confirmations({100: 0.9})]
    assert seeds_by_purpose(frame(trials, tmp_path)) == {"search": [0, 1], "confirmation": [100]}


def predicted(**changes: object) -> pd.DataFrame:
    row = {"arm": "ksan", "teacher": "resnet20-w16", "student": "resnet8-w4", "dataset": "digits"}
    return pd.DataFrame([{**row, "is_varied": False, "trial_seconds": 4.0, **changes}])


@pytest.mark.parametrize("teacher", ["resnet20-w16", None])
def test_a_forecast_stands_beside_what_was_spent(teacher: str | None, tmp_path: Path) -> None:
    trials = [replace(trial(seed=seed, seconds=5 + seed), teacher=teacher) for seed in range(2)]
    named = replace(trials[0])
    told = predicted(arm=named.arm, teacher=teacher, student=named.student, dataset=named.dataset)
    (row,) = predicted_and_spent(frame(trials, tmp_path), told).to_dict("records")
    assert (row["predicted"], row["actual"], row["trials"]) == (4.0, 5.5, 2)
    assert row["ratio"] == 5.5 / 4
    assert row["teacher"] == teacher


def test_what_a_search_over_students_took_is_the_mean_over_its_trials_and_not_over_its_students(tmp_path: Path) -> None:
    widths = {"student.width": "2"}
    sizes = [("resnet8-w2", 3), ("resnet8-w2", 5), ("resnet8-w4", 10)]
    trials = [
        replace(trial(proposal=number, seconds=seconds), student=student, point=widths)
        for number, (student, seconds) in enumerate(sizes)
    ]
    (named, *_) = trials
    told = predicted(arm=named.arm, teacher=named.teacher, student="", dataset=named.dataset, is_varied=True)
    (row,) = predicted_and_spent(frame(trials, tmp_path), told).to_dict("records")
    assert (row["actual"], row["trials"]) == (6.0, 3)


def test_a_forecast_of_what_has_not_run_has_nothing_beside_it(tmp_path: Path) -> None:
    (row,) = predicted_and_spent(frame([], tmp_path), predicted()).to_dict("records")
    assert row["trials"] == 0
    assert math.isnan(row["actual"])
    assert predicted_and_spent(frame([trial()], tmp_path / "b"), predicted().head(0)).empty
