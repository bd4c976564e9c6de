"""A search space names fields of a trial, and every value in it is one that the field takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.data.digits import Digits
from harness.distill.catalog import AnyMethod
from harness.distill.method import Method
from harness.models.resnet import ResNet
from harness.study.domains import Choice, FloatRange, IntRange
from harness.study.shelf import everything
from harness.study.space import FIXED, SearchSpace, problems_in, searchable_paths
from harness.train.trial import TeacherSpec, TrialSpec
from tests.contract.unions import METHODS

ADAPTER: TypeAdapter[Any] = TypeAdapter(SearchSpace)


def space(**domains: object) -> Any:
    return ADAPTER.validate_python({name.replace("__", "."): domain for name, domain in domains.items()})


def trial(method: str) -> TrialSpec:
    return TrialSpec(
        data=Digits(),
        teacher=TeacherSpec(network=ResNet(depth=14)),
        student=ResNet(depth=8, width=4),
        method=TypeAdapter[Method](AnyMethod).validate_python({"name": method}),
    )


def test_a_domain_is_told_by_its_key() -> None:
    found = space(a={"choice": [1, "x", [2]]}, b={"float": [0, 1]}, c={"int": [1, 3]})
    assert [type(domain) for domain in found.values()] == [Choice, FloatRange, IntRange]
    assert (found["a"].choice, found["b"].bounds, found["c"].bounds) == ((1, "x", [2]), (0.0, 1.0), (1, 3))


def test_choices_keep_their_types() -> None:
    (domain,) = space(a={"choice": [0, 0.5, 1, True, "1", None, [1, 2], {"name": "cosine"}]}).values()
    kinds = [type(value) for value in domain.choice]
    assert kinds == [int, float, int, bool, str, type(None), list, dict]


def test_a_space_survives_the_way_through_json() -> None:
    found = space(a={"choice": [1, [2]]}, b={"float": [1e-3, 1], "log": True}, c={"int": [2, 8], "step": 2})
    plain = {path: domain.model_dump(mode="json", by_alias=True) for path, domain in found.items()}
    assert ADAPTER.validate_python(plain) == found


@pytest.mark.parametrize(
    "domain",
    [
        {"float": [1, 1]},
        {"float": [2, 1]},
        {"float": [0, 1], "log": True},
        {"float": [0.1, 1], "log": True, "step": 0.1},
        {"float": [0, 1], "step": 0},
        {"int": [1.5, 3]},
        {"int": [1, True]},
        {"int": [0, 3], "log": True},
        {"choice": []},
        {"choice": ["a", "a"]},
        {"choice": [1], "log": True},
        {"float": [0, 1], "int": [0, 1]},
        {},
        None,
        3,
        "float",
    ],
)
def test_what_is_no_domain_is_refused(domain: object) -> None:
    with pytest.raises(ValidationError):
        space(a=domain)


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_every_range_that_rises_is_a_domain(low: float, width: float) -> None:
    (domain,) = space(a={"float": [low, low + width]}).values()
    first, last, between = domain.extremes()
    assert (first, last) == (low, low + width)
    assert low < between < low + width


def test_attention_of_one_position_is_refused() -> None:
    with pytest.raises(ValidationError, match="at compares where maps are active, and at embedding they have one"):
        trial("at").with_values({"method.taps": ["embedding"]})


def test_few_whole_numbers_are_all_tried_and_many_at_their_bounds() -> None:
    few, stepped, many, log = space(
        a={"int": [1, 4]}, b={"int": [8, 20], "step": 6}, c={"int": [1, 1001]}, d={"int": [1, 4], "log": True}
    ).values()
    assert (few.extremes(), stepped.extremes()) == ((1, 2, 3, 4), (8, 14, 20))
    assert (many.extremes(), log.extremes()) == ((1, 1001, 2), (1, 2, 3, 4))


def test_a_range_of_numbers_is_refused_by_a_field_of_whole_ones() -> None:
    """Its bounds alone would be taken: 8.0 is a whole number."""
    problems = [said for _, said in problems_in(space(student__width={"float": [8, 32]}), trial("scratch"))]
    assert any("whole number" in said for said in problems)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"float": [1, 10], "step": 100}, "a step of 100.0 is longer than the range from 1.0 to 10.0"),
        ({"int": [1, 10], "step": 4}, "steps of 4 from 1 do not end at 10 but at 9; write that"),
        ({"float": [1, 10], "step": 1, "log": True}, "either logarithmic or stepped"),
    ],
)
def test_a_step_fits_its_range(domain: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        space(x=domain)


def test_long_choices_that_begin_alike_are_two() -> None:
    assert space(x={"choice": ["a" * 80 + "b", "a" * 80 + "c"]})


def test_depths_between_which_the_network_cannot_be_built_need_a_step() -> None:
    base = trial("kd")
    assert list(problems_in(space(student__depth={"int": [8, 20], "step": 6}), base)) == []
    assert list(problems_in(space(student__depth={"choice": [8, 20, 56]}), base)) == []
    (((path,), message),) = problems_in(space(student__depth={"int": [8, 20]}), base)
    assert (path, message) == ("student.depth", "holds 9: depth must be 6n + 2; the nearest are 8 and 14")


def test_whole_settings_may_be_chosen() -> None:
    schedules = {"choice": [{"name": "cosine"}, {"name": "steps", "decay": 0.2}]}
    assert list(problems_in(space(training__schedule=schedules), trial("kd"))) == []
    ((_, message),) = problems_in(space(training__schedule={"choice": [{"name": "stairs"}]}), trial("kd"))
    assert message.startswith('holds {"name": "stairs"}: has the name "stairs", which is not known')


@pytest.mark.parametrize("kind", METHODS)
def test_every_field_that_can_be_searched_can_be_set_to_what_it_is(kind: type[Method]) -> None:
    base = trial(kind().name)
    paths = searchable_paths(base)
    of_method = {"method"} if len(type(base.method).model_fields) > 1 else set()
    assert {path.partition(".")[0] for path in paths} == {"training", "student"} | of_method
    assert not set(FIXED) & set(paths)
    for path in paths:
        assert base.at(path, base.value_at(path)) == base


@pytest.mark.parametrize("kind", METHODS)
def test_every_method_ships_a_space_that_fits_its_trials(kind: type[Method]) -> None:
    from harness.source import read_yaml

    name = kind().name
    content = read_yaml(everything("search_spaces")[name]).content
    assert list(problems_in(ADAPTER.validate_python(content), trial(name))) == []


def test_every_problem_of_a_space_is_told_once_a_path() -> None:
    wrong = space(method__alpha={"float": [-1, 2]}, method__alhpa={"float": [0, 1]}, training__epochs={"int": [1, 2]})
    assert [path for (path,), _ in problems_in(wrong, trial("kd"))] == [
        "method.alpha",
        "method.alhpa",
        "training.epochs",
    ]


def test_settings_of_a_foreign_network_can_be_searched_where_they_are_said() -> None:
    own = {"name": "python", "callable": "tests.contract.foreign:small", "settings": {"width": 4}}
    base = trial("scratch").at("student", own)
    assert not list(problems_in(space(student__settings__width={"int": [2, 6]}), base))
    (((path,), message),) = problems_in(space(student__settings__widht={"int": [2, 6]}), base)
    assert (path, "did you mean student.settings.width?" in message) == ("student.settings.widht", True)
    (((path,), message),) = problems_in(space(student__settings__width={"choice": [2, 0.5]}), base)
    assert "holds 0.5: small(width=0.5) cannot be built" in message
