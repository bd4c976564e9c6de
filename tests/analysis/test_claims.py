"""What a row claims, and by which rule what was found again bears it out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis.claims import Repeated, claims, rescored, retrained
from harness.record import TrialRecord
from harness.store.query import run_of
from tests.records import STUDY, confirmations, trial

CLAIMED = [0.950, 0.955, 0.945, 0.952, 0.948]
"""sd 0.38 points."""


def rows(trials: list[TrialRecord]) -> pd.DataFrame:
    return claims(run_of(Path("run"), STUDY, trials).trials)


def confirmed(**kind: object) -> list[TrialRecord]:
    made = confirmations({1: 0.95, 2: 0.951}, **kind)
    return [replace(one, student_digest=f"w{one.seed}", teacher_digest="t") for one in made]


def test_a_row_says_what_its_tuning_cost() -> None:
    searched = [trial(seed=seed, proposal=p, seconds=7.0) for seed in (0, 1) for p in (0, 1, 2)]
    others = [trial(arm="kd", seconds=100.0), trial(student="resnet8-w2", seconds=100.0)]
    (_, row), *_ = rows([*searched, *others, *confirmed()]).iterrows()
    assert (row["tuning_trials"], row["tuning_seconds"]) == (6, pytest.approx(42.0))


def test_the_last_attempt_of_a_trial_speaks() -> None:
    first, second = confirmed()
    table = rows([replace(first, attempt=2, test_accuracy=0.96), first, second])
    assert table["accuracies"].tolist() == [{1: 0.96, 2: 0.951}]


def test_a_row_names_its_weights_its_teacher_and_its_versions() -> None:
    ((_, row),) = rows(confirmed()).iterrows()
    assert row["weights"] == {1: "w1", 2: "w2"}
    assert row["teacher_digest"] == "t"
    assert row["versions"]["torch"] == "2.14.0"
    assert row["test_images"] == 997
    assert len(row["lanes"]) == 1


def test_nothing_confirmed_claims_nothing() -> None:
    assert rows([trial()]).empty


# Level 1: stored students.


def again(claimed: float, found: float, weights: bool = True, place: bool = True, seed: int = 0) -> Repeated:
    return Repeated(seed, claimed, found, weights, place)


def test_a_student_that_scores_what_is_claimed_holds() -> None:
    assert rescored([again(0.95, 0.95), again(0.96, 0.96)], 10_000).holds


def test_one_image_more_is_refused_on_the_same_machine() -> None:
    found = rescored([again(0.95, 0.95), again(0.9510, 0.9509, seed=3)], 10_000)
    assert not found.holds
    assert "seed 3" in found.said
    assert found.drift == pytest.approx(-0.0001)


def test_another_machine_may_round_one_image_in_a_thousand() -> None:
    assert rescored([again(0.9500, 0.9509, place=False)], 10_000).holds
    assert not rescored([again(0.9500, 0.9512, place=False)], 10_000).holds


def test_other_weights_are_refused_whatever_they_score() -> None:
    assert not rescored([again(0.95, 0.95, weights=False)], 10_000).holds


# Level 2: seeds trained again.


def test_the_same_weights_hold() -> None:
    found = retrained([again(0.95, 0.95)], CLAIMED)
    assert (found.holds, found.drift, found.said) == (True, 0.0, "the same weights, bit for bit")


def test_an_accuracy_raised_by_a_point_is_refused_at_once_where_it_was_made() -> None:
    honest = [0.94, 0.945]
    found = [again(value + 0.01, value, weights=True, place=True) for value in honest]
    assert not retrained(found, CLAIMED).holds


def test_the_same_machine_must_give_the_same_number() -> None:
    assert not retrained([again(0.950, 0.951, weights=False, place=True)], CLAIMED).holds


def elsewhere(claimed: list[float], found: list[float]) -> bool | None:
    return retrained([again(0.95, value, False, False) for value in found], claimed).holds


def test_another_machine_must_come_out_within_a_point_and_surely_so() -> None:
    assert elsewhere(CLAIMED, [value + 0.003 for value in CLAIMED])
    assert elsewhere(CLAIMED, [value - 0.003 for value in CLAIMED])
    assert elsewhere(CLAIMED, [value - 0.01 for value in CLAIMED]) is False
    assert elsewhere(CLAIMED, [value + 0.01 for value in CLAIMED]) is False


def test_too_few_seeds_decide_nothing_and_it_is_said_how_many_may() -> None:
    found = retrained([again(0.95, value, False, False) for value in (0.946, 0.956)], [0.95, 0.96, 0.94, 0.955, 0.945])
    assert found.holds is None
    assert re.search(
        r"means differ by \+0\.10 ± 1\.\d\d points, which decides nothing; --seeds \d+ may tell", found.said
    )
    wild = [0.90, 0.95, 0.99, 0.92, 0.97]
    found = retrained([again(value, value - 0.01, False, False) for value in wild], wild)
    assert found.holds is None
    assert found.said.endswith("5 claimed seeds that spread so do not know it to a point")
    assert retrained([again(0.95, 0.951, False, False)], [0.95]).holds is None


def test_the_interval_is_that_of_a_two_sample_t_test() -> None:
    found = [0.953, 0.949, 0.951]
    said = retrained([again(0.95, value, False, False) for value in found], CLAIMED).said
    test = stats.ttest_ind(found, CLAIMED).confidence_interval(0.95)
    middle, half = (test.high + test.low) / 2, (test.high - test.low) / 2
    assert said == f"means differ by {100 * middle:+.2f} ± {100 * half:.2f} points"


@pytest.mark.parametrize("sd", [0.002, 0.004, 0.008])
@pytest.mark.parametrize("k", [2, 5])
def test_honest_rows_are_hardly_ever_refused_and_rows_off_by_a_point_hardly_ever_accepted(sd: float, k: int) -> None:
    """2,000 rows of 5 seeds each, at two seeds and at five: what the rule promises, by drawing."""
    draws = np.random.default_rng(0)
    honest, raised = Counter[bool | None](), Counter[bool | None]()
    for _ in range(2000):
        claimed, found = draws.normal(0.9, sd, 5), draws.normal(0.9, sd, k)
        honest[elsewhere(list(claimed), list(found))] += 1
        raised[elsewhere(list(claimed + 0.01), list(found))] += 1
    assert honest[False] / 2000 < 0.02
    assert raised[True] / 2000 < 0.035
    if sd == 0.002:
        assert honest[True] / 2000 > 0.95
        assert raised[False] / 2000 > 0.9
