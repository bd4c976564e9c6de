"""Every arm against every other: by hand, with SciPy's test and statsmodels' Holm as the second route."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.analysis.confirmed import confirmed_rows
from harness.analysis.pairwise import pairwise
from harness.analysis.statistics import holm
from harness.store.query import Run
from tests.records import confirmations, frame


def test_every_two_arms_are_compared_once_over_seeds_and_students(sample: Run) -> None:
    confirmed = confirmed_rows(sample.trials)
    table = pairwise(confirmed)
    arms = ["scratch", "kd", "anc", "ksan"]
    assert list(zip(table["arm"], table["other"], strict=True)) == list(combinations(arms, 2))
    seeds = sorted(confirmed["accuracies"].iloc[0])
    by_seed = {
        arm: np.mean([[sample[s] for s in seeds] for sample in rows["accuracies"]], axis=0)
        for arm, rows in confirmed.groupby("arm")
    }
    tests = [stats.ttest_rel(by_seed[a], by_seed[b]) for a, b in combinations(arms, 2)]
    assert table["p"].tolist() == pytest.approx([test.pvalue for test in tests], abs=1e-9)
    assert table["low"].tolist() == pytest.approx([test.confidence_interval().low for test in tests], abs=1e-9)
    second = multipletests([test.pvalue for test in tests], method="holm")[1]
    assert table["p_holm"].tolist() == pytest.approx(list(second), abs=1e-9)
    assert set(table["students"]) == {3}
    assert set(table["n"]) == {5}


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_statsmodels(seed: int) -> None:
    p_values = np.random.default_rng(seed).uniform(0, 0.2, 12).round(2).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_only_students_that_both_arms_confirmed_are_averaged(tmp_path: Path) -> None:
    trials = [
        *confirmations({0: 0.9, 1: 0.8}, arm="ksan", student="resnet8-w2"),
        *confirmations({0: 0.5, 1: 0.5}, arm="ksan", student="resnet14-w4"),
        *confirmations({0: 0.7, 1: 0.7}, arm="kd", student="resnet8-w2"),
    ]
    row = pairwise(confirmed_rows(frame(trials, tmp_path))).iloc[0]
    assert (row["arm"], row["other"], row["students"]) == ("kd", "ksan", 1)
    assert row["difference"] == pytest.approx(-0.15)


def test_arms_without_a_common_seed_or_student_are_not_compared(tmp_path: Path) -> None:
    trials = [
        *confirmations({0: 0.9, 1: 0.8}, arm="ksan"),
        *confirmations({5: 0.7, 6: 0.7}, arm="kd"),
        *confirmations({0: 0.9}, arm="anc", student="resnet8-w2"),
    ]
    assert pairwise(confirmed_rows(frame(trials, tmp_path))).empty


def test_one_common_seed_is_a_difference_without_a_test(tmp_path: Path) -> None:
    trials = [*confirmations({0: 0.9}, arm="ksan"), *confirmations({0: 0.7}, arm="kd")]
    row = pairwise(confirmed_rows(frame(trials, tmp_path))).iloc[0]
    assert row[["p", "p_holm", "low", "high", "smallest", "more_seeds"]].isna().all()
    assert row["verdict"] == "cannot be told apart"
