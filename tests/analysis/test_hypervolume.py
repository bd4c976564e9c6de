"""Hypervolume: by hand, by properties, and by moocore and Optuna as second routes."""

from __future__ import annotations

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from harness.analysis.hypervolume import (
    Reference,
    hypervolume,
    hypervolume_history,
    hypervolume_share,
    reference_of,
)
from harness.analysis.pareto import Costs, Direction

GRID = st.integers(0, 8).map(float)
TABLES = st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12).map(np.array)
AIMS: dict[str, Direction] = {"accuracy": "max", "params": "min"}


def test_hypervolume_by_hand() -> None:
    # Below (4, 4): the row (1, 3) covers 3 × 1, the row (2, 1) covers 2 × 3, of which 2 × 1 twice.
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 1.0]]), (4.0, 4.0)) == 3 + 6 - 2


def test_rows_outside_the_reference_add_nothing() -> None:
    assert hypervolume(np.array([[5.0, 0.0], [4.0, 4.0]]), (4.0, 4.0)) == 0.0
    assert hypervolume(np.zeros((0, 2)), (4.0, 4.0)) == 0.0


def test_hypervolume_refuses_three_objectives() -> None:
    with pytest.raises(ValueError, match="2 objectives"):
        hypervolume(np.zeros((1, 3)), (1.0, 1.0))


@given(TABLES)
def test_hypervolume_counts_the_unit_squares_that_are_dominated(table: Costs) -> None:
    centres = [(x + 0.5, y + 0.5) for x in range(7) for y in range(7)]
    covered = sum(any(a <= x and b <= y for a, b in table) for x, y in centres)
    assert hypervolume(table, (7.0, 7.0)) == covered


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30).map(np.array))
def test_hypervolume_agrees_with_moocore_and_optuna(table: Costs) -> None:
    reference = np.array([1.0, 1.0])
    assert hypervolume(table, (1.0, 1.0)) == pytest.approx(moocore.hypervolume(table, ref=reference), abs=1e-12)
    assert hypervolume(table, (1.0, 1.0)) == pytest.approx(compute_hypervolume(table, reference), abs=1e-12)


@given(TABLES)
def test_the_history_is_the_hypervolume_of_what_came_so_far(table: Costs) -> None:
    so_far = [hypervolume(table[: n + 1], (7.0, 7.0)) for n in range(len(table))]
    by_moocore = [moocore.hypervolume(table[: n + 1], ref=np.array([7.0, 7.0])) for n in range(len(table))]
    assert hypervolume_history(table, (7.0, 7.0)).tolist() == so_far == pytest.approx(by_moocore)
    assert so_far == sorted(so_far)


def test_a_share_is_of_the_box_between_the_reference_and_a_perfect_network_of_no_size() -> None:
    # The box is .5 × 1000. (.9, 200) covers .4 × 800, (.8, 100) another .3 × 100.
    rows = pd.DataFrame({"accuracy": [0.9, 0.8, None], "params": [200, 100, 1]})
    of = Reference(AIMS, (0.5, 1000.0))
    assert of.box == 500
    assert hypervolume_share(rows, of) == pytest.approx((0.4 * 800 + 0.3 * 100) / 500)
    assert hypervolume_share(pd.DataFrame({"accuracy": [1.0], "params": [0]}), of) == pytest.approx(1.0)


def test_the_reference_is_the_study_s_and_is_never_inferred() -> None:
    declared = {"reference": {"accuracy": 0.5, "params": 300_000, "macs": None}}
    assert reference_of(declared, AIMS) == Reference(AIMS, (0.5, 300_000.0))
    assert reference_of(declared, {"accuracy": "max", "macs": "min"}) is None
    assert reference_of({}, AIMS) is None
    assert reference_of({"reference": None}, AIMS) is None


def test_a_latency_is_declared_in_seconds_and_told_in_microseconds() -> None:
    of = reference_of({"reference": {"accuracy": 0.5, "latency": 0.002}}, {"accuracy": "max", "latency": "min"})
    assert of is not None
    assert of.values == (0.5, 2000.0)


@given(TABLES, st.tuples(GRID, GRID))
def test_another_row_never_lessens_the_hypervolume(table: Costs, added: tuple[float, float]) -> None:
    assert hypervolume(np.vstack([table, added]), (9.0, 9.0)) >= hypervolume(table, (9.0, 9.0))
