"""The noise floor and power: by hand, and statsmodels as the second route."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from harness.analysis.configs import search_configs
from harness.analysis.confirmed import confirmed_rows, ranks, standard_errors
from harness.analysis.noise import detectable, more_seeds, noise_floors, pooled_sd, power, seeds_needed
from harness.store.query import Run
from tests.records import confirmations, frame, trial


def test_the_pooled_sd_by_hand() -> None:
    # (2 × .01² + 4 × .02²) / 6 = 3e-4.
    assert pooled_sd([0.01, 0.02], [3, 5]) == (pytest.approx(math.sqrt(3e-4)), 6)


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=6), min_size=1, max_size=5))
def test_the_pooled_sd_is_that_of_the_residuals(samples: list[list[float]]) -> None:
    residuals = [value - np.mean(sample) for sample in samples for value in sample]
    freedom = len(residuals) - len(samples)
    sd, found = pooled_sd([float(np.std(sample, ddof=1)) for sample in samples], [len(sample) for sample in samples])
    assert found == freedom
    assert sd == pytest.approx(math.sqrt(np.square(residuals).sum() / freedom), abs=1e-12)


def test_a_study_s_floor_is_its_seed_spread(sample: Run) -> None:
    confirmed, configs = confirmed_rows(sample.trials), search_configs(sample.trials)
    table = noise_floors(confirmed, configs)
    test = table[(table["evidence"] == "test") & table["student"].isna()].iloc[0]
    assert (test["configs"], test["freedom"], test["n"]) == (12, 48, 5)
    assert test["sd"] == pytest.approx(math.sqrt((confirmed["sd"] ** 2).mean()))
    # The χ² interval by SciPy's distribution.
    assert test["low"] == pytest.approx(test["sd"] * math.sqrt(48 / stats.chi2.ppf(0.975, 48)))
    assert test["high"] == pytest.approx(test["sd"] * math.sqrt(48 / stats.chi2.ppf(0.025, 48)))
    assert set(table["evidence"]) == {"test", "validation"}
    assert set(table["student"].dropna()) == {"resnet8-w2", "resnet8-w4", "resnet14-w4"}


def test_single_seeds_have_no_floor(tmp_path: Path) -> None:
    trials = frame([trial(), *confirmations({0: 0.9})], tmp_path)
    assert noise_floors(confirmed_rows(trials), search_configs(trials)).empty


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_power_and_what_n_can_show_are_statsmodels(n: int) -> None:
    paired = TTestPower().solve_power(effect_size=None, nobs=n, alpha=0.05, power=0.8)
    unpaired = TTestIndPower().solve_power(effect_size=None, nobs1=n, alpha=0.05, power=0.8)
    assert detectable(0.01, n, is_paired=True) == pytest.approx(0.01 * paired, rel=1e-4)
    assert detectable(0.01, n) == pytest.approx(0.01 * unpaired, rel=1e-4)
    assert power(1.5, n - 1) == pytest.approx(TTestPower().power(1.5 / math.sqrt(n), n, 0.05), abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.3, 3.0))
def test_the_seeds_needed_are_statsmodels(effect: float) -> None:
    second = TTestPower().solve_power(effect_size=effect, nobs=None, alpha=0.05, power=0.8)
    needed = seeds_needed(effect * 0.01, 0.01)
    assert needed is not None
    assert needed == max(2, math.ceil(round(float(np.squeeze(second)), 6)))


def test_one_seed_can_show_nothing() -> None:
    assert math.isnan(detectable(0.01, 1))


def test_a_difference_that_nobody_would_train_for_is_not_told_in_seeds() -> None:
    assert seeds_needed(1e-6, 0.01) is None


def test_more_seeds_by_hand() -> None:
    # Differences .02, .01, −.01, .02, .00: mean .008, sd .01304, effect .614: 23 seeds show it, 18 more than 5.
    theirs = dict.fromkeys(range(5), 0.9)
    ours = {seed: 0.9 + by for seed, by in enumerate([0.02, 0.01, -0.01, 0.02, 0.0])}
    assert more_seeds(ours, theirs) == 18


def test_what_is_shown_needs_no_more_and_one_seed_says_nothing() -> None:
    theirs = dict.fromkeys(range(4), 0.9)
    assert more_seeds({seed: 0.95 + seed / 1e3 for seed in range(4)}, theirs) == 0
    assert more_seeds({0: 0.9}, {0: 0.8}) is None
    assert more_seeds(theirs, theirs) is None


def test_a_difference_within_the_noise_floor_shares_a_rank_however_small_its_own_spread(tmp_path: Path) -> None:
    # Between the first two every seed differs by .0010 ± .0001: significant, but far below the student's seed spread.
    base = {seed: 0.95 + by for seed, by in enumerate([0.01, -0.01, 0.005, -0.005, 0.0])}
    close = {seed: value - 0.001 + seed * 5e-5 for seed, value in base.items()}
    far = {seed: value - 0.02 + seed * 5e-5 for seed, value in base.items()}
    trials = [
        one for arm, values in zip("abc", (base, close, far), strict=True) for one in confirmations(values, arm=arm)
    ]
    rows = confirmed_rows(frame(trials, tmp_path))
    assert standard_errors(rows) == pytest.approx([0.0079 / math.sqrt(5)] * 3, rel=0.02)
    assert ranks(rows) == [1, 1, 3]
