"""The winner's curse: what the search promised, what fresh seeds gave, and what the test images gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.comparison import gap
from harness.analysis.confirmed import confirmed_rows
from harness.analysis.curse import winners_curse, winners_curse_summary
from harness.store.query import Run
from tests.records import confirmations, frame, trial


def test_search_minus_fresh_is_flattery_and_fresh_minus_test_the_gap(tmp_path: Path) -> None:
    trials = [trial(seed=900, validation=0.97), *confirmations({0: 0.91, 1: 0.93}, validation=0.94)]
    row = winners_curse(confirmed_rows(frame(trials, tmp_path))).iloc[0]
    assert row[["searched", "fresh", "test"]].tolist() == pytest.approx([0.97, 0.94, 0.92])
    assert row[["flattery", "gap"]].tolist() == pytest.approx([0.03, 0.02])
    assert row["n"] == 2


def test_the_summary_is_the_mean_over_the_finalists(sample: Run) -> None:
    confirmed = confirmed_rows(sample.trials)
    summary = winners_curse_summary(winners_curse(confirmed))
    everywhere = summary[summary["arm"].isna() & (summary["kind"] == "flattery")].iloc[0]
    of = gap(confirmed)
    assert of is not None
    assert everywhere[["mean", "low", "high", "n"]].tolist() == pytest.approx([of.mean, of.low, of.high, of.n])
    assert set(summary["arm"].dropna()) == {"scratch", "kd", "anc", "ksan"}


def test_what_was_never_searched_has_a_gap_and_no_flattery(tmp_path: Path) -> None:
    summary = winners_curse_summary(winners_curse(confirmed_rows(frame(confirmations({0: 0.9, 1: 0.8}), tmp_path))))
    assert summary["kind"].tolist() == ["gap", "gap"]
