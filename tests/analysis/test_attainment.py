"""Attainment surfaces: by hand, and moocore's empirical attainment function as the second route."""

from __future__ import annotations

from pathlib import Path

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.attainment import LEVELS, attained, attainment
from harness.analysis.confirmed import confirmed_rows
from harness.analysis.pareto import Direction
from harness.store.query import Run
from tests.records import confirmations, frame

AIMS: dict[str, Direction] = {"accuracy": "max", "params": "min"}


def test_a_surface_by_hand() -> None:
    # Four seeds of a small and a large student; half of them reach .8 with the small one and .9 with the large one.
    accuracies = np.array([[0.70, 0.75, 0.80, 0.85], [0.88, 0.92, 0.90, 0.60]])
    assert attained(np.array([100.0, 200.0]), accuracies, 0.5) == [(100.0, 0.80), (200.0, 0.90)]
    # In the fourth seed the large one is worse than the small one, which stands for it.
    assert attained(np.array([100.0, 200.0]), accuracies, 1.0) == [(100.0, 0.70), (200.0, 0.85)]


SAMPLES = st.integers(2, 6).flatmap(
    lambda seeds: st.lists(
        st.tuples(
            st.integers(1, 6).map(float),
            st.lists(st.integers(0, 20).map(lambda hits: hits / 20), min_size=seeds, max_size=seeds),
        ),
        min_size=1,
        max_size=5,
    )
)


@given(SAMPLES)
def test_surfaces_are_those_of_moocore(points: list[tuple[float, list[float]]]) -> None:
    sizes, accuracies = np.array([size for size, _ in points]), np.array([values for _, values in points])
    seeds = accuracies.shape[1]
    sets = sorted([seed, size, -value] for size, values in points for seed, value in enumerate(values))
    for level in LEVELS:
        # moocore rounds a level to the nearest number of sets, we up to the next: ask it for a whole one.
        whole = 100 * np.ceil(level * seeds - 1e-9) / seeds
        second = moocore.eaf(np.array(sets)[:, 1:], np.array(sets)[:, 0] + 1, percentiles=[whole])
        corners = sorted((x, -y) for x, y, _ in second.tolist())
        assert attained(sizes, accuracies, level) == corners


def test_every_arm_has_a_surface_that_rises_with_size_and_falls_with_the_level(sample: Run) -> None:
    table = attainment(confirmed_rows(sample.trials), AIMS)
    assert table.groupby("arm")["level"].unique().map(list).tolist() == [list(LEVELS)] * 4
    for _, steps in table.groupby(["arm", "level"]):
        assert steps["size"].is_monotonic_increasing
        assert steps["accuracy"].is_monotonic_increasing
    best = table.groupby(["arm", "level"])["accuracy"].max().unstack()
    assert (best[0.25] >= best[0.5]).all()
    assert (best[0.5] >= best[0.75]).all()
    assert set(table["n"]) == {5}


def test_only_seeds_that_all_rows_of_an_arm_have_count(tmp_path: Path) -> None:
    trials = [
        *confirmations({1: 0.8, 2: 0.9, 3: 0.1}, student="resnet8-w2"),
        *confirmations({1: 0.85, 2: 0.95}, student="resnet14-w4"),
    ]
    table = attainment(confirmed_rows(frame(trials, tmp_path)), AIMS, levels=[1.0])
    assert table[["accuracy", "n"]].values.tolist() == [[0.8, 2], [0.85, 2]]


def test_one_seed_has_no_surface(tmp_path: Path) -> None:
    assert attainment(confirmed_rows(frame(confirmations({1: 0.8}), tmp_path)), AIMS).empty


@pytest.mark.parametrize("level", LEVELS)
def test_equal_seeds_attain_their_front_at_every_level(level: float) -> None:
    assert attained(np.array([1.0, 2.0]), np.array([[0.5] * 4, [0.7] * 4]), level) == [(1.0, 0.5), (2.0, 0.7)]
