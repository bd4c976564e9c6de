"""The answer: what is compared with what, over which seeds, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.comparison import ALIKE, BETTER, WORSE, answer, differences, gap, gap_in_words, verdict
from harness.analysis.confirmed import confirmed_rows
from harness.store.query import Run
from tests.records import confirmations, frame, trial

NOTHING = pd.DataFrame()
"""No means over students."""

BASE = {100: 0.950, 101: 0.955, 102: 0.945, 103: 0.952}


def above(by: float) -> dict[int, float]:
    """BASE plus a difference, with a little spread so that a test is possible."""
    return {seed: value + by + (seed % 2) * 1e-3 for seed, value in BASE.items()}


def compared(tmp_path: Path, **arms: dict[int, float]) -> pd.DataFrame:
    trials = [
        one
        for arm, values in arms.items()
        for one in confirmations(values, arm=arm, teacher=None if arm == "scratch" else "resnet20-w16")
    ]
    return differences(confirmed_rows(frame(trials, tmp_path)))


def test_arms_are_compared_with_scratch_and_with_kd(tmp_path: Path) -> None:
    table = compared(tmp_path, scratch=BASE, kd=above(0.01), ksan=above(0.03))
    assert table[["arm", "baseline"]].values.tolist() == [["kd", "scratch"], ["ksan", "scratch"], ["ksan", "kd"]]
    assert table["difference"].tolist() == pytest.approx([0.0105, 0.0305, 0.02])


def test_the_difference_is_paired_over_common_seeds(tmp_path: Path) -> None:
    ours = above(0.02)
    del ours[100]
    table = compared(tmp_path, scratch=BASE, ksan=ours | {999: 0.1})
    assert table["n"].tolist() == [3]


def test_without_a_baseline_nothing_is_compared(tmp_path: Path) -> None:
    assert compared(tmp_path, ksan=BASE).empty


def test_p_values_are_corrected_over_the_family_of_one_baseline(tmp_path: Path) -> None:
    table = compared(tmp_path, scratch=BASE, kd=above(0.01), anc=above(0.011), ksan=above(0.03))
    scratch = table[table["baseline"] == "scratch"]
    assert scratch["p_holm"].min() == pytest.approx(3 * scratch["p"].min())
    assert (scratch["p_holm"] >= scratch["p"]).all()


def test_a_pair_is_compared_with_the_kd_of_its_own_teacher(tmp_path: Path) -> None:
    trials = [
        *confirmations(BASE, arm="scratch", teacher=None),
        *confirmations(above(0.01), arm="kd", teacher="big"),
        *confirmations(above(0.02), arm="ksan", teacher="big"),
        *confirmations(above(0.04), arm="ksan", teacher="small"),
    ]
    table = differences(confirmed_rows(frame(trials, tmp_path)))
    against_kd = table[table["baseline"] == "kd"]
    assert against_kd["teacher"].tolist() == ["big"]
    assert len(table[table["baseline"] == "scratch"]) == 3  # scratch belongs to both pairs


def test_students_are_never_compared_with_each_other(tmp_path: Path) -> None:
    trials = [
        *confirmations(BASE, arm="scratch", teacher=None, student="resnet8-w2"),
        *confirmations(above(0.03), arm="ksan", student="resnet8-w4"),
    ]
    assert differences(confirmed_rows(frame(trials, tmp_path))).empty


def test_the_config_that_the_search_ranked_first_speaks_for_its_cell(tmp_path: Path) -> None:
    trials = [
        *confirmations(BASE, arm="scratch", teacher=None),
        *(trial(proposal=n, validation=value) for n, value in ((1, 0.97), (2, 0.96))),
        *confirmations(above(0.01), proposal=1),
        *confirmations(above(0.04), proposal=2),
    ]
    table = differences(confirmed_rows(frame(trials, tmp_path)))
    assert table["difference"].tolist() == pytest.approx([0.0105])


def test_the_verdict_follows_the_corrected_p_value() -> None:
    assert [verdict(0.01, 0.04), verdict(-0.01, 0.04), verdict(0.01, 0.06), verdict(0.01, None)] == [
        *(BETTER, WORSE, ALIKE, ALIKE)
    ]


def test_what_cannot_be_told_apart_is_said_so(tmp_path: Path) -> None:
    noisy = {100: 0.990, 101: 0.920, 102: 0.980, 103: 0.920}
    words = compared(tmp_path, scratch=BASE, ksan=noisy)["words"][0]
    assert words.startswith("cannot be told apart from scratch: +0.20 points [")
    assert words.endswith("4 common seeds")


def test_one_common_seed_claims_nothing(tmp_path: Path) -> None:
    words = compared(tmp_path, scratch={100: 0.9}, ksan={100: 0.95})["words"][0]
    assert words == "one common seed cannot tell it from scratch (+5.00 points)"


def test_the_answer_begins_with_the_differences_and_carries_n(sample: Run) -> None:
    confirmed = confirmed_rows(sample.trials)
    sentences = answer(confirmed, differences(confirmed), NOTHING)
    assert sentences[0].startswith("On digits, kd beats scratch for ")
    assert all("seeds" in sentence for sentence in sentences)
    assert "cannot be told apart from kd for 3 of 3 students" in " ".join(sentences)
    assert sentences[-1].startswith("The most accurate student on digits is resnet14-w4")


def test_a_student_under_two_teachers_is_two_pairs(tmp_path: Path) -> None:
    trials = confirmations(BASE, arm="scratch", teacher=None)
    trials += [one for teacher in ("big", "small") for one in confirmations(above(0.02), teacher=teacher)]
    confirmed = confirmed_rows(frame(trials, tmp_path))
    assert "for 2 of 2 student-teacher pairs" in answer(confirmed, differences(confirmed), NOTHING)[0]


def test_many_arms_of_one_student_are_listed_by_verdict(tmp_path: Path) -> None:
    arms = ("kd", "at", "sp", "dist", "vid")
    trials = confirmations(BASE, arm="scratch", teacher=None)
    trials += [one for arm in arms for one in confirmations(above(0.02), arm=arm)]
    confirmed = confirmed_rows(frame(trials, tmp_path))
    first = answer(confirmed, differences(confirmed), NOTHING)[0]
    assert first.startswith("On digits, resnet8-w4, better than scratch are ")
    assert all(f"{arm} +2.05 [" in first for arm in arms)


def test_without_confirmations_there_is_no_answer_yet(tmp_path: Path) -> None:
    confirmed = confirmed_rows(frame([trial()], tmp_path))
    assert answer(confirmed, differences(confirmed), NOTHING) == [
        "There is no answer yet: no config has been confirmed on the test split."
    ]


@pytest.mark.parametrize(
    ("arms", "why"),
    [
        ({"ksan": BASE, "anc": BASE}, "neither was confirmed."),
        ({"kd": BASE}, "no other arm was confirmed."),
        ({"kd": BASE, "ksan": {200: 0.9, 201: 0.91}}, "on the same seeds as one of them."),
    ],
)
def test_what_no_comparison_can_be_made_of_is_said_with_the_reason(
    tmp_path: Path, arms: dict[str, dict[int, float]], why: str
) -> None:
    trials = [one for arm, values in arms.items() for one in confirmations(values, arm=arm)]
    confirmed = confirmed_rows(frame(trials, tmp_path))
    (said,) = [line for line in answer(confirmed, differences(confirmed), NOTHING) if line.startswith("No arm")]
    assert said.startswith("No arm can be compared with scratch or kd: ")
    assert said.endswith(why)


def test_the_gap_compares_validation_with_validation(tmp_path: Path) -> None:
    trials = [trial(seed=0, validation=0.96), *confirmations(BASE, validation=0.94)]
    of = gap(confirmed_rows(frame(trials, tmp_path)))
    assert of is not None
    assert of.mean == pytest.approx(0.02)
    assert "No flattery by selection is shown" in gap_in_words(of)


def test_an_unknown_gap_is_said_to_be_unknown() -> None:
    assert "unknown" in gap_in_words(None)
