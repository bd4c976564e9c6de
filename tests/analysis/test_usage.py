"""Use of a machine over time, against sums worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.usage import usage, usage_over_time
from harness.store.query import Run
from tests.records import confirmations, frame, trial


def test_a_run_in_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    """0 to 10, 5 to 15, then nothing until 20 to 30: busy 25 of 30 s, 30 s of workers, two at most."""
    trials = frame([trial(seed=n, after=end, seconds=10.0) for n, end in enumerate((10, 15, 30))], tmp_path)
    of = usage(trials)
    assert of is not None
    assert (of.seconds, of.busy_seconds, of.peak) == (30.0, 25.0, 2)
    assert of.mean == pytest.approx(30 / 25)
    assert of.train_share == pytest.approx(1.0)


def test_a_trial_that_begins_as_another_ends_is_not_beside_it(tmp_path: Path) -> None:
    of = usage(frame([trial(seed=n, after=end, seconds=10.0) for n, end in enumerate((10, 20))], tmp_path))
    assert of is not None
    assert of.peak == 1


def test_bins_hold_what_ran_in_them_by_purpose(tmp_path: Path) -> None:
    trials = [trial(after=10, seconds=10.0), *confirmations({100: 0.9}, after=20, seconds=5.0)]
    over = usage_over_time(frame(trials, tmp_path), bins=4)
    search, confirmation = (over[over["purpose"] == purpose] for purpose in ("search", "confirmation"))
    assert search["seconds"].tolist() == [5.0, 10.0, 15.0, 20.0]
    assert search["running"].tolist() == pytest.approx([1, 1, 0, 0])
    assert confirmation["running"].tolist() == pytest.approx([0, 0, 0, 1])
    assert search["spent"].tolist() == pytest.approx([5, 10, 10, 10])


def test_what_is_spent_is_what_workers_were_held(sample: Run) -> None:
    over = usage_over_time(sample.trials)
    held = (sample.trials["finished_at"] - sample.trials["started_at"]).dt.total_seconds().sum()
    assert over.groupby("purpose")["spent"].max().sum() == pytest.approx(held)


def test_a_run_without_trials_has_no_use(tmp_path: Path) -> None:
    nothing = frame([], tmp_path)
    assert usage(nothing) is None
    assert usage_over_time(nothing).empty
