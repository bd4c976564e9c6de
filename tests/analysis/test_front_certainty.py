"""The front's certainty: a bootstrap held against its exact distribution and against the front of each draw."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.confirmed import confirmed_rows
from harness.analysis.front_certainty import front_share, resampled_means, with_front_probability
from harness.analysis.pareto import Direction, is_dominated
from harness.store.query import Run
from tests.records import confirmations, frame

AIMS: dict[str, Direction] = {"accuracy": "max", "params": "min"}


def test_the_probability_is_that_of_all_resamples(tmp_path: Path) -> None:
    # Two students of one size on three seeds: all 27 resamples can be counted.
    ours, theirs = {0: 0.90, 1: 0.95, 2: 0.91}, {0: 0.92, 1: 0.91, 2: 0.92}
    draws = list(product(range(3), repeat=3))
    wins = sum(sum(ours[s] for s in draw) >= sum(theirs[s] for s in draw) - 1e-12 for draw in draws)
    trials = [*confirmations(ours, arm="a"), *confirmations(theirs, arm="b")]
    table = with_front_probability(confirmed_rows(frame(trials, tmp_path)), AIMS, draws=20_000)
    assert table.set_index("arm")["on_front"]["a"] == pytest.approx(wins / 27, abs=0.012)


def test_equal_records_have_equal_probabilities(sample: Run) -> None:
    confirmed = confirmed_rows(sample.trials)
    first, second = (with_front_probability(confirmed, AIMS)["on_front"].tolist() for _ in range(2))
    assert first == second
    assert with_front_probability(confirmed, AIMS, seed=1)["on_front"].tolist() != first


def test_what_never_wins_is_never_on_the_front_and_the_smallest_s_best_always_is(tmp_path: Path) -> None:
    trials = [
        *confirmations({0: 0.90, 1: 0.91}, arm="a", student="resnet8-w2"),
        *confirmations({0: 0.80, 1: 0.81}, arm="a", student="resnet14-w4"),
    ]
    table = with_front_probability(confirmed_rows(frame(trials, tmp_path)), AIMS)
    assert dict(zip(table["student"], table["on_front"], strict=True)) == {"resnet8-w2": 1.0, "resnet14-w4": 0.0}


def test_one_seed_has_no_probability(tmp_path: Path) -> None:
    assert (
        with_front_probability(confirmed_rows(frame(confirmations({0: 0.9}), tmp_path)), AIMS)["on_front"].isna().all()
    )


POINTS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=8)


@given(st.lists(POINTS, min_size=1, max_size=3))
def test_a_share_counts_the_fronts_of_the_draws(draws: list[list[tuple[int, int]]]) -> None:
    sizes = np.array([float(size) for size, _ in draws[0]])
    means = np.array([[draw[i % len(draw)][1] / 4 for i in range(len(sizes))] for draw in draws])
    counted = np.mean([~is_dominated(np.column_stack([sizes, -row])) for row in means], axis=0)
    assert front_share(means, sizes).tolist() == pytest.approx(counted.tolist())


def test_common_seeds_are_drawn_together() -> None:
    sample = {seed: 0.5 + seed / 10 for seed in range(4)}
    shifted = {seed: value + 0.01 for seed, value in sample.items()}
    means = resampled_means([sample, shifted, {9: 0.1, 10: 0.2}], 50, seed=0)
    assert (means[:, 1] - means[:, 0]).tolist() == pytest.approx([0.01] * 50)
    assert len(set(means[:, 2].tolist())) > 1
