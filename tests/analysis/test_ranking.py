"""Ranks over many blocks: Demšar's own numbers, SciPy's test, and by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.analysis.confirmed import confirmed_rows
from harness.analysis.ranking import cliques, critical_difference, friedman, rankings
from harness.store.query import Run
from tests.records import confirmations, frame


@pytest.mark.parametrize(
    ("arms", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (10, 3.164)]
)
def test_the_critical_values_are_demsar_s(arms: int, q: float) -> None:
    # With six blocks times arms (arms + 1) / 36 the root is √(k (k + 1) / 36), so that q can be read off.
    assert critical_difference(arms, 6) == pytest.approx(q * math.sqrt(arms * (arms + 1) / 36), abs=2e-3)


def test_the_critical_difference_of_demsar_s_example() -> None:
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@pytest.mark.parametrize("seed", range(5))
def test_friedman_s_statistic_by_its_formula_with_ties(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 5, (9, 4)) / 5
    ranks = np.array([[(row > x).sum() + ((row == x).sum() + 1) / 2 for x in row] for row in table])
    tied = sum(n**3 - n for row in table for n in np.unique(row, return_counts=True)[1])
    by_hand = 12 * 9 / 20 * ((ranks.mean(axis=0) ** 2).sum() - 4 * 25 / 4) / (1 - tied / (9 * 4 * 15))
    statistic, p = friedman(table)
    assert statistic == pytest.approx(by_hand)
    assert p == pytest.approx(stats.chi2.sf(by_hand, 3))


def test_two_arms_or_equal_ones_have_no_test() -> None:
    assert friedman(np.eye(2)) == (None, None)
    assert friedman(np.full((4, 3), 0.9)) == (None, None)


def test_cliques_are_the_largest_sets_within_reach() -> None:
    names, ranks = ("a", "b", "c", "d"), (1.0, 1.8, 2.4, 4.0)
    assert list(cliques(names, ranks, reach=1.0)) == [("a", "b"), ("b", "c")]
    assert list(cliques(names, ranks, reach=1.5)) == [("a", "b", "c")]
    assert list(cliques(names, ranks, reach=0.1)) == []


def test_students_are_the_blocks(sample: Run) -> None:
    (of,) = rankings(confirmed_rows(sample.trials))
    confirmed = confirmed_rows(sample.trials)
    ranks = confirmed.pivot(index="student", columns="arm", values="accuracy").round(12).rank(axis=1, ascending=False)
    assert dict(zip(of.arms, of.ranks, strict=True)) == pytest.approx(ranks.mean().to_dict())
    assert (of.blocks, of.unit) == (3, "student")
    assert sorted(of.ranks) == list(of.ranks)


def test_one_student_s_seeds_are_the_blocks(tmp_path: Path) -> None:
    trials = [
        *confirmations({0: 0.9, 1: 0.8, 2: 0.7, 3: 0.9}, arm="ksan"),
        *confirmations({0: 0.8, 1: 0.7, 2: 0.6}, arm="kd"),
        *confirmations({0: 0.8, 1: 0.6, 2: 0.5}, arm="scratch", teacher=None),
    ]
    (of,) = rankings(confirmed_rows(frame(trials, tmp_path)))
    assert of.arms == ("ksan", "kd", "scratch")
    assert of.ranks == pytest.approx((1.0, 13 / 6, 17 / 6))
    assert (of.blocks, of.unit) == (3, "seed")


def test_a_block_that_an_arm_lacks_is_left_out(tmp_path: Path) -> None:
    trials = [
        one
        for student, arms in {"resnet8-w2": "abc", "resnet8-w4": "abc", "resnet14-w4": "ab"}.items()
        for place, arm in enumerate(arms)
        for one in confirmations({0: 0.9 - place / 10, 1: 0.91 - place / 10}, arm=arm, student=student)
    ]
    (of,) = rankings(confirmed_rows(frame(trials, tmp_path)))
    assert (of.arms, of.ranks, of.blocks) == (("a", "b", "c"), (1.0, 2.0, 3.0), 2)


def test_a_lone_arm_has_no_ranking(tmp_path: Path) -> None:
    assert rankings(confirmed_rows(frame(confirmations({0: 0.9, 1: 0.8}), tmp_path))) == []
