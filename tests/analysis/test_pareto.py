"""Dominance, fronts and hypervolume: by hand, by properties, and by a second route."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from harness.analysis.hypervolume import hypervolume
from harness.analysis.pareto import Costs, costs, is_dominated, objectives_of, pareto_front

GRID = st.integers(0, 8).map(float)
TABLES = st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12).map(np.array)


def rows(*points: tuple[float, float], evidence: str = "test", dataset: str = "digits") -> pd.DataFrame:
    """Comparable rows of (accuracy, params)."""
    table = pd.DataFrame(points, columns=["accuracy", "params"])
    return table.assign(evidence=evidence, dataset=dataset, data_fingerprint="f", epochs=20)


def test_directions_are_translated_once() -> None:
    assert costs([[0.9, 10.0]], ["max", "min"]).tolist() == [[-0.9, 10.0]]
    assert str(costs([[0.0, 0.0]], ["max", "min"])[0, 0]) == "0.0"


def test_a_row_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="without a value"):
        costs([[float("nan"), 1.0]], ["max", "min"])


def test_a_row_worse_in_one_and_better_in_none_is_dominated() -> None:
    table = np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 3.0]])
    assert is_dominated(table).tolist() == [False, True, False]


def test_equal_rows_both_stand() -> None:
    assert is_dominated(np.array([[1.0, 1.0], [1.0, 1.0]])).tolist() == [False, False]


def test_the_front_runs_from_the_smallest_size_up() -> None:
    table = rows((0.97, 300), (0.90, 100), (0.89, 200), (0.95, 200))
    front = pareto_front(table, {"accuracy": "max", "params": "min"})
    assert front["accuracy"].tolist() == [0.90, 0.95, 0.97]


def test_data_sets_have_fronts_of_their_own() -> None:
    table = pd.concat([rows((0.97, 100)), rows((0.50, 900), dataset="cifar10")])
    assert len(pareto_front(table, {"accuracy": "max", "params": "min"})) == 2


def test_validation_and_test_never_share_a_front() -> None:
    mixed = pd.concat([rows((0.97, 100)), rows((0.99, 90), evidence="validation")])
    with pytest.raises(ValueError, match="test and validation"):
        pareto_front(mixed, {"accuracy": "max", "params": "min"})


def test_the_front_of_nothing_is_nothing() -> None:
    assert pareto_front(rows(), {"accuracy": "max", "params": "min"}).empty


def test_objectives_come_from_the_study() -> None:
    known = ["accuracy", "params", "macs"]
    asked = {"objectives": {"accuracy": "max", "macs": "min"}}
    assert objectives_of(asked, known) == {"accuracy": "max", "macs": "min"}
    assert objectives_of({"objectives": {"beauty": "max"}}, known) == {"accuracy": "max", "params": "min"}


@given(TABLES)
def test_something_always_stands_and_the_dominated_have_a_dominator_that_stands(table: Costs) -> None:
    dominated = is_dominated(table)
    standing = table[~dominated]
    assert len(standing) > 0
    for row in table[dominated]:
        assert any((other <= row).all() and (other < row).any() for other in standing)


@given(TABLES)
def test_the_front_of_a_front_is_itself(table: Costs) -> None:
    assert not is_dominated(table[~is_dominated(table)]).any()


def test_hypervolume_by_hand() -> None:
    # Below (4, 4): the row (1, 3) covers 3 × 1, the row (2, 1) covers 2 × 3, of which 2 × 1 twice.
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 1.0]]), (4.0, 4.0)) == 3 + 6 - 2


def test_rows_outside_the_reference_add_nothing() -> None:
    assert hypervolume(np.array([[5.0, 0.0], [4.0, 4.0]]), (4.0, 4.0)) == 0.0


def test_hypervolume_refuses_three_objectives() -> None:
    with pytest.raises(ValueError, match="2 objectives"):
        hypervolume(np.zeros((1, 3)), (1.0, 1.0))


@given(TABLES)
def test_hypervolume_counts_the_unit_squares_that_are_dominated(table: Costs) -> None:
    centres = [(x + 0.5, y + 0.5) for x in range(7) for y in range(7)]
    covered = sum(any(a <= x and b <= y for a, b in table) for x, y in centres)
    assert hypervolume(table, (7.0, 7.0)) == covered


@given(TABLES)
def test_hypervolume_agrees_with_optuna(table: Costs) -> None:
    inside = np.minimum(table, 7.0)
    assert hypervolume(inside, (7.0, 7.0)) == pytest.approx(compute_hypervolume(inside, np.array([7.0, 7.0])))


@given(TABLES, st.tuples(GRID, GRID))
def test_another_row_never_lessens_the_hypervolume(table: Costs, added: tuple[float, float]) -> None:
    assert hypervolume(np.vstack([table, added]), (9.0, 9.0)) >= hypervolume(table, (9.0, 9.0))
