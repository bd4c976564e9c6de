"""Dominance and fronts: by hand, by properties, and by a second route."""

from __future__ import annotations

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


THREE = st.lists(st.tuples(GRID, GRID, GRID), min_size=1, max_size=12).map(np.array)


@given(st.one_of(TABLES, THREE, st.lists(st.tuples(GRID), min_size=1, max_size=6).map(np.array)))
def test_dominance_is_what_its_definition_says(table: Costs) -> None:
    by_pairs = [any((other <= row).all() and (other < row).any() for other in table) for row in table]
    assert is_dominated(table).tolist() == by_pairs


@given(TABLES)
def test_dominance_agrees_with_moocore(table: Costs) -> None:
    assert (~is_dominated(table)).tolist() == moocore.is_nondominated(table, keep_weakly=True).tolist()
