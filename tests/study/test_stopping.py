"""At a rung, who goes on follows from errors and sizes alone, and no small student is given up for being small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.study.stopping import Halving, Standing, survive

STANDINGS = st.builds(Standing, error=st.integers(0, 20).map(lambda n: n / 20), size=st.integers(1, 9).map(float))
FIELDS = st.lists(STANDINGS, min_size=1, max_size=12)
DOMINANCE, BAND = Halving(least=2), Halving(least=2, compare="band")
RULES = st.builds(
    Halving,
    keep=st.sampled_from([0.1, 0.34, 0.5, 0.9]),
    compare=st.sampled_from(["dominance", "band"]),
    least=st.just(2),
)


def of_one_size(*errors: float) -> list[Standing]:
    return [Standing(error, 100.0) for error in errors]


def test_of_one_size_the_best_half_goes_on() -> None:
    assert survive(of_one_size(0.4, 0.1, 0.3, 0.2), [], DOMINANCE) == [False, True, False, True]
    assert survive(of_one_size(0.4, 0.1, 0.3, 0.2), [], Halving(keep=0.25)) == [False, True, False, False]


def test_those_who_came_to_the_rung_before_count_too() -> None:
    assert survive(of_one_size(0.3), of_one_size(0.1, 0.2, 0.4), DOMINANCE) == [False]
    assert survive(of_one_size(0.3), of_one_size(0.4, 0.5, 0.6), DOMINANCE) == [True]


def test_few_are_not_compared() -> None:
    assert survive(of_one_size(0.9, 0.1, 0.2), [], Halving(least=4)) == [True, True, True]


def test_accuracy_alone_never_deletes_the_small_half() -> None:
    """Eight students, each larger one more accurate: a front. By accuracy alone the small half would go."""
    front = [Standing(1 - 0.1 * n, float(n)) for n in range(1, 9)]
    for rule in (DOMINANCE, Halving(compare="band", band=1.01)):
        assert all(survive(front, [], rule))


def test_a_large_student_that_is_no_better_than_small_ones_goes() -> None:
    small = [Standing(0.1, 1.0), Standing(0.2, 1.5)]
    assert survive([Standing(0.3, 9.0)], small, DOMINANCE) == [False]
    assert survive([Standing(0.3, 9.0)], small, BAND) == [True]  # nobody is about its size


@given(candidates=FIELDS, earlier=FIELDS, rule=RULES)
def test_what_nobody_beats_goes_on(candidates: list[Standing], earlier: list[Standing], rule: Halving) -> None:
    """By dominance, whatever stands on the front; in bands, the best of its band."""
    for one, goes_on in zip(candidates, survive(candidates, earlier, rule), strict=True):
        better = [other for other in (*candidates, *earlier) if other.error < one.error]
        if rule.compare == "dominance":
            better = [other for other in better if other.size <= one.size]
        assert goes_on or better


@given(candidates=FIELDS.filter(lambda field: len(field) > 1), error=st.floats(0, 1))
def test_a_larger_student_changes_nothing_for_a_smaller_one(candidates: list[Standing], error: float) -> None:
    assert survive(candidates, [Standing(error, 100.0)], DOMINANCE) == survive(candidates, [], DOMINANCE)


@given(candidates=FIELDS, earlier=FIELDS, rule=RULES, better=st.integers(1, 10))
def test_doing_better_never_ends_a_config(
    candidates: list[Standing], earlier: list[Standing], rule: Halving, better: int
) -> None:
    first, *rest = candidates
    improved = Standing(first.error - better / 20, first.size)
    if survive(candidates, earlier, rule)[0]:
        assert survive([improved, *rest], earlier, rule)[0]


@given(candidates=FIELDS, earlier=FIELDS, rule=RULES, seed=st.randoms(use_true_random=False))
def test_order_decides_nothing(
    candidates: list[Standing], earlier: list[Standing], rule: Halving, seed: object
) -> None:
    decided = dict(zip(candidates, survive(candidates, earlier, rule), strict=True))
    backwards = list(reversed(candidates))
    assert dict(zip(backwards, survive(backwards, earlier[::-1], rule), strict=True)) == decided


@pytest.mark.parametrize(
    ("epochs", "every", "replicates", "expected"),
    [
        (60, 1, 1, (20,)),
        (60, 1, 3, (20, 60)),
        (60, 7, 3, (21, 60)),  # the next epoch that is evaluated
        (10, 10, 1, ()),  # only the last is
        (2, 1, 1, (1,)),
        (1, 1, 2, (1,)),
    ],
)
def test_rungs_are_epochs_that_are_evaluated(
    epochs: int, every: int, replicates: int, expected: tuple[int, ...]
) -> None:
    assert Halving().epochs_of_rungs(epochs, every, replicates) == expected


@pytest.mark.parametrize("rungs", [[], [0], [0.5, 0.2], [0.5, 0.5], [0.5, 1.2], [-1]])
def test_rungs_rise(rungs: list[float]) -> None:
    with pytest.raises(ValidationError, match="rise"):
        Halving(rungs=tuple(rungs))
