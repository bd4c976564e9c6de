"""What may be ranked together: one table says it, and lanes follow it."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.analysis.comparability import LANE, RULES, judged, lane_ids, lanes, obstacles, rule_of

TRIAL = {
    "purpose": "confirmation",
    "arm": "kd",
    "data": {"name": "digits", "validation": 400, "shift": 1, "split_seed": 0},
    "teacher": {"network": {"name": "resnet", "depth": 20}, "seed": 0},
    "student": {"name": "resnet", "depth": 8},
    "method": {"name": "kd", "alpha": 0.5},
    "training": {"epochs": 60, "learning_rate": 0.1},
    "seeds": {"student": 0},
}


def changed(**parts: dict) -> dict:
    return {name: {**value, **parts[name]} if name in parts else value for name, value in TRIAL.items()}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "parts",
    [
        {"data": {"shift": 2}},
        {"data": {"split_seed": 1}},
        {"data": {"validation": 300}},
        {"training": {"epochs": 30}},
        {"teacher": {"seed": 1}},
    ],
)
def test_other_data_split_augmentation_epochs_or_teacher_break_a_comparison(parts: dict) -> None:
    (found,) = judged(TRIAL, changed(**parts))
    assert found.breaks


@pytest.mark.parametrize(
    "parts",
    [
        {"training": {"learning_rate": 0.2}},
        {"method": {"alpha": 0.9}},
        {"student": {"depth": 14}},
        {"seeds": {"student": 3}},
    ],
)
def test_what_is_compared_or_searched_does_no_harm(parts: dict) -> None:
    (found,) = judged(TRIAL, changed(**parts))
    assert not found.breaks
    assert found.why


def test_what_breaks_comes_first() -> None:
    found = judged(TRIAL, changed(method={"alpha": 0.9}, training={"epochs": 30}))
    assert [one.path for one in found] == ["training.epochs", "method.alpha"]


def test_a_trial_without_a_teacher_is_compared_with_one_of_any() -> None:
    found = judged({**TRIAL, "teacher": None}, TRIAL)
    assert found
    assert not any(one.breaks for one in found)


def test_another_method_is_one_difference() -> None:
    other = {**TRIAL, "method": {"name": "at", "beta": 1.0}}
    assert [(one.path, one.here, one.there) for one in judged(TRIAL, other)] == [("method.name", "kd", "at")]


def test_settings_of_the_data_do_not_matter_where_the_fingerprints_are_equal() -> None:
    (found,) = judged(TRIAL, changed(data={"split_seed": 7}), same_data=True)
    assert not found.breaks


def test_what_no_rule_knows_breaks() -> None:
    assert rule_of("weather.today").breaks
    assert not rule_of("pairs[1].students[0].width").breaks
    assert rule_of("pairs[1].training.epochs").breaks


def test_no_path_has_two_rules() -> None:
    assert len({rule.path for rule in RULES}) == len(RULES)


def row(teacher: str = "", **other: object) -> dict[str, object]:
    return {
        **{"dataset": "digits", "data_fingerprint": "f" * 64, "epochs": 60, "test_images": 997},
        **{"teacher_digest": teacher, "teacher": f"net {teacher}" if teacher else None},
        **other,
    }


@pytest.mark.parametrize("name", LANE)
def test_rows_of_other_conditions_have_lanes_of_their_own(name: str) -> None:
    other = {"dataset": "mnist", "data_fingerprint": "0" * 64, "epochs": 30, "test_images": 100}[name]
    rows = pd.DataFrame([row("a"), row("a", **{name: other})])
    assert len(lanes(rows)) == 2
    assert obstacles(row("a"), row("a", **{name: other})) == [f"{name.replace('_', ' ')} {row()[name]} and {other}"]


def test_a_row_without_a_teacher_stands_in_the_lane_of_each() -> None:
    rows = pd.DataFrame([row(), row("a"), row("b"), row("a")])
    one, other = lanes(rows)
    assert [lane.rows.index.tolist() for lane in (one, other)] == [[0, 1, 3], [0, 2]]
    assert lane_ids(rows).tolist() == [[one.id, other.id], [one.id], [other.id], [one.id]]
    assert obstacles(row(), row("a")) == []
    assert obstacles(row("a"), row("b")) == ["the teachers a and b"]


def test_a_lane_keeps_its_id_when_others_come() -> None:
    (alone,) = lanes(pd.DataFrame([row("a")]))
    assert alone.id in {lane.id for lane in lanes(pd.DataFrame([row("a"), row("b"), row("c", epochs=30)]))}
