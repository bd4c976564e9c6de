"""What a search says of its space: importance, edges and dead parts, on surfaces whose answer is known."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.analysis.configs import search_configs
from harness.analysis.importance import LEAST, importances
from harness.analysis.searched_space import Field, fields, placed
from harness.analysis.space_warnings import dead_parts, optima_at_edges
from harness.record import TrialRecord
from tests.records import STUDY, diverged, frame, trial

SPACE: dict[str, Any] = {
    "training.learning_rate": {"float": [0.01, 1.0], "log": True, "step": None},
    "method.alpha": {"float": [0.0, 1.0], "log": False, "step": None},
    "method.taps": {"choice": [1, 2, [2, 3]]},
}
DECLARED = {
    **STUDY,
    "space": {},
    "arms": [{"label": None, "method": {"name": "ksan"}, "space": SPACE}],
}


def searched(
    surface: Callable[[float, float, Any], float], n: int = 60, student: str = "resnet8-w4"
) -> list[TrialRecord]:
    """A random search of the space over a surface of accuracy."""
    rng, found = random.Random(3), []
    for proposal in range(n):
        rate, alpha, taps = 10 ** rng.uniform(-2, 0), rng.random(), rng.choice([1, 2, [2, 3]])
        point = {"training.learning_rate": rate, "method.alpha": alpha, "method.taps": taps}
        made = trial(proposal=proposal, validation=surface(rate, alpha, taps), after=proposal, student=student)
        found.append(replace(made, point={path: json.dumps(value) for path, value in point.items()}))
    return found


def peak(rate: float, alpha: float, taps: Any) -> float:
    """Only the rate matters; the best is in the middle of its range."""
    return 0.9 - 0.1 * (math.log10(rate) + 1) ** 2


def places(trials: list[TrialRecord], tmp_path: Path) -> pd.DataFrame:
    return placed(search_configs(frame(trials, tmp_path, DECLARED)), DECLARED)


def test_a_study_s_own_space_stands_over_its_arms() -> None:
    shared = {**DECLARED, "space": {"method.alpha": {"int": [1, 8], "log": False, "step": 1}}}
    assert fields(shared)["ksan"]["method.alpha"] == Field("method.alpha", 1.0, 8.0, False, True)
    assert fields(DECLARED)["ksan"]["method.taps"] == Field("method.taps", None, None, False, False)
    assert fields(STUDY) == {}


def test_a_share_is_taken_in_the_logarithm_where_that_is_searched() -> None:
    rate = fields(DECLARED)["ksan"]["training.learning_rate"]
    assert [rate.share(value) for value in (0.01, 0.1, 1)] == pytest.approx([0, 0.5, 1])
    assert [rate.share(value) for value in (2.0, True, "x")] == [None] * 3


def test_a_config_is_placed_by_how_many_of_its_search_it_beat(tmp_path: Path) -> None:
    trials = [trial(proposal=n, validation=v, after=n) for n, v in enumerate((0.8, 0.9, 0.7))]
    lost = diverged(trial(proposal=3, after=3))
    table = placed(search_configs(frame([*trials, lost], tmp_path, DECLARED)), DECLARED)
    assert table["path"].unique().tolist() == ["training.learning_rate"]
    assert sorted(table["better"].tolist()) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert table.loc[table["config_id"] == lost.config_id, "better"].tolist() == [0.0]


def test_the_field_that_decides_has_the_importance(tmp_path: Path) -> None:
    table = importances(places(searched(peak), tmp_path), DECLARED)
    of_pair = table[table["dataset"].notna()].set_index("path")
    assert of_pair["importance"].sum() == pytest.approx(1)
    assert of_pair["importance"].idxmax() == "training.learning_rate"
    assert of_pair.loc["training.learning_rate", "importance"] > 0.6
    assert of_pair.loc["training.learning_rate", "p_holm"] < 0.01
    assert (of_pair["p_holm"].drop("training.learning_rate") > 0.05).all()
    assert set(table["n"]) == {60}


def test_pairs_are_pooled_by_rank_within_their_search(tmp_path: Path) -> None:
    # The large student is far more accurate whatever its rate: only ranks within a search say what the rate does.
    trials = searched(peak, n=20) + searched(lambda *x: peak(*x) / 10 + 0.88, n=20, student="resnet14-w4")
    pooled = importances(places(trials, tmp_path), DECLARED).query("dataset.isna()").set_index("path")
    assert set(pooled["n"]) == {40}
    assert pooled["importance"].idxmax() == "training.learning_rate"


def test_too_few_configs_have_no_importance(tmp_path: Path) -> None:
    assert importances(places(searched(peak, n=LEAST - 1), tmp_path), DECLARED).empty


def test_a_conditional_field_counts_where_it_is_searched(tmp_path: Path) -> None:
    trials = [
        replace(one, point={path: text for path, text in one.point.items() if path != "method.alpha" or n % 2})
        for n, one in enumerate(searched(peak))
    ]
    table = importances(places(trials, tmp_path), DECLARED)
    n = table[table["dataset"].notna()].set_index("path")["n"]
    assert n.to_dict() == {"training.learning_rate": 60, "method.taps": 60, "method.alpha": 30}


def test_an_optimum_at_the_edge_is_told_with_its_bound(tmp_path: Path) -> None:
    found = places(searched(lambda rate, alpha, taps: 0.9 + 0.02 * math.log10(rate)), tmp_path)
    (edge,) = optima_at_edges(found, DECLARED).to_dict("records")
    assert (edge["path"], edge["edge"], edge["bound"]) == ("training.learning_rate", "high", 1.0)
    assert (edge["searches"], edge["n"]) == (1, 1)


def test_an_optimum_inside_is_not(tmp_path: Path) -> None:
    edges = optima_at_edges(places(searched(peak), tmp_path), DECLARED)
    assert "training.learning_rate" not in set(edges["path"])


def test_a_part_of_a_range_where_nothing_good_ever_was_is_dead(tmp_path: Path) -> None:
    found = places(
        searched(lambda rate, alpha, taps: (0.1 if rate < 10**-1.5 else 0.9) + alpha * 97 % 1 / 100), tmp_path
    )
    (dead,) = dead_parts(found, DECLARED).to_dict("records")
    assert (dead["path"], dead["value"]) == ("training.learning_rate", None)
    assert (dead["low"], dead["high"]) == (pytest.approx(0.01), pytest.approx(10**-1.5))
    assert dead["best"] < 0.5
    assert dead["n"] >= 5


def test_a_choice_that_is_never_good_is_dead(tmp_path: Path) -> None:
    found = places(searched(lambda rate, alpha, taps: (0.1 if taps == 1 else 0.9) + alpha * 97 % 1 / 100), tmp_path)
    (dead,) = dead_parts(found, DECLARED).to_dict("records")
    assert (dead["path"], dead["value"]) == ("method.taps", "1")


def test_a_living_space_has_no_dead_parts(tmp_path: Path) -> None:
    noise = random.Random(5)
    assert dead_parts(places(searched(lambda *x: noise.random()), tmp_path), DECLARED).empty
