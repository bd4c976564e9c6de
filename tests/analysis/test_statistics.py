"""Means, intervals, tests: numbers worked out by hand, and SciPy's own routines as the second route."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.statistics import (
    difference,
    estimate,
    holm,
    paired_difference,
    selection_gap,
    unpaired_difference,
)

FRACTIONS = st.integers(0, 1000).map(lambda hits: hits / 1000)
SAMPLES = st.lists(FRACTIONS, min_size=2, max_size=8)


def test_mean_sd_and_interval_by_hand() -> None:
    # Mean .92; squared deviations 4e-4 + 0 + 4e-4, over 2: sd .02; t(.975, 2) = 4.302653.
    of = estimate([0.90, 0.92, 0.94])
    assert of.mean == pytest.approx(0.92)
    assert of.sd == pytest.approx(0.02)
    assert of.low == pytest.approx(0.92 - 4.302653 * 0.02 / math.sqrt(3), abs=1e-7)
    assert of.high == pytest.approx(0.92 + 4.302653 * 0.02 / math.sqrt(3), abs=1e-7)
    assert of.n == 3


def test_a_single_seed_has_no_interval() -> None:
    of = estimate([0.9])
    assert (of.mean, of.sd, of.low, of.high, of.n) == (0.9, None, None, None, 1)


def test_equal_values_have_no_spread_and_so_no_interval() -> None:
    of = estimate([0.1] * 3)
    assert (of.sd, of.low, of.high) == (0.0, None, None)


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="nothing"):
        estimate([])


def test_a_paired_difference_by_hand() -> None:
    # Differences .02, .01, .03: mean .02, sd .01, t = .02 / (.01 / √3) = 3.4641, p(2) = .0742.
    of = paired_difference({0: 0.92, 1: 0.91, 2: 0.96}, {0: 0.90, 1: 0.90, 2: 0.93})
    assert of is not None
    assert of.mean == pytest.approx(0.02)
    assert of.p == pytest.approx(0.0742, abs=5e-5)
    assert of.low == pytest.approx(0.02 - 4.302653 * 0.01 / math.sqrt(3), abs=1e-7)
    assert of.n == 3


def test_only_common_seeds_are_paired() -> None:
    of = paired_difference({0: 0.9, 1: 0.8, 7: 0.1}, {0: 0.8, 1: 0.6, 9: 1.0})
    assert of is not None
    assert (of.n, of.mean) == (2, pytest.approx(0.15))


def test_no_common_seed_is_no_paired_difference() -> None:
    assert paired_difference({0: 0.9}, {1: 0.8}) is None


def test_one_common_seed_has_a_difference_and_no_test() -> None:
    of = paired_difference({0: 0.9}, {0: 0.8})
    assert of is not None
    assert (of.n, of.low, of.high, of.p) == (1, None, None, None)


def test_differences_without_spread_have_no_test() -> None:
    of = paired_difference({0: 0.9, 1: 0.8}, {0: 0.7, 1: 0.6})
    assert of is not None
    assert of.p is None


def test_samples_without_common_seeds_are_compared_unpaired() -> None:
    ours, theirs = {0: 0.90, 1: 0.92, 2: 0.94}, {5: 0.80, 6: 0.83}
    assert difference(ours, theirs) == unpaired_difference(list(ours.values()), list(theirs.values()))


@given(SAMPLES, SAMPLES)
def test_the_paired_test_is_scipys(ours: list[float], theirs: list[float]) -> None:
    n = min(len(ours), len(theirs))
    of = paired_difference(dict(enumerate(ours[:n])), dict(enumerate(theirs[:n])))
    assert of is not None
    assume(of.p is not None)
    second = stats.ttest_rel(ours[:n], theirs[:n])
    assert of.p == pytest.approx(second.pvalue, abs=1e-9)
    interval = second.confidence_interval(0.95)
    assert (of.low, of.high) == (pytest.approx(interval.low, abs=1e-9), pytest.approx(interval.high, abs=1e-9))


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(SAMPLES, SAMPLES)
def test_the_unpaired_test_is_welchs(ours: list[float], theirs: list[float]) -> None:
    of = unpaired_difference(ours, theirs)
    assume(of.p is not None)
    assert of.p == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False).pvalue, abs=1e-9)


@given(SAMPLES)
def test_the_interval_is_scipys_and_holds_the_mean(values: list[float]) -> None:
    of = estimate(values)
    assume(of.low is not None and of.high is not None)
    second = stats.t.interval(0.95, len(values) - 1, loc=of.mean, scale=stats.sem(values))
    assert (of.low, of.high) == (pytest.approx(second[0], abs=1e-9), pytest.approx(second[1], abs=1e-9))


def test_holm_by_hand() -> None:
    # Sorted .01, .03, .04 times 3, 2, 1: .03, .06, .04, and never below the one before: .03, .06, .06.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_passes_over_tests_that_were_not_possible() -> None:
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values: list[float]) -> None:
    adjusted = [p for p in holm(p_values) if p is not None]
    assert all(raw <= p <= 1 for raw, p in zip(p_values, adjusted, strict=True))
    in_order = [p for _, p in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)


def test_the_gap_is_what_the_search_promised_too_much() -> None:
    gap = selection_gap([0.95, 0.93], [0.94, 0.90])
    assert gap is not None
    assert (gap.mean, gap.n) == (pytest.approx(0.02), 2)


def test_a_finalist_without_a_second_measurement_has_no_gap() -> None:
    assert selection_gap([0.95], [float("nan")]) is None
