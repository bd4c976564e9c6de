"""Domains in Optuna's words, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from harness.search.optuna_forms import decoded, encoded, forms
from harness.study.domains import Domain

ADAPTER: TypeAdapter[Any] = TypeAdapter(Domain)

DOMAINS: list[dict[str, Any]] = [
    {"choice": [0, 0.5, True, "x", None, [1, 2], {"name": "cosine"}]},
    {"int": [2, 8], "step": 3},
    {"float": [0, 1], "step": 0.25},
    {"subset": ["a", "b"]},
    {"subset": [1, 2, 3, 4, 5]},
    {"subset": [{"student": "a", "teacher": "b"}, "c", "d"], "min": 0},
    {"subset": list(range(12)), "max": 2},
]


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_value_of_a_domain_survives_the_way_through_optuna(domain: dict[str, Any]) -> None:
    parsed = ADAPTER.validate_python(domain)
    values = list(parsed.values())
    assert len(values) == parsed.count
    for value in values:
        parameters = encoded("x", parsed, value)
        assert parameters.keys() == forms("x", parsed).keys()
        assert all(form._contains(form.to_internal_repr(parameters[name])) for name, form in forms("x", parsed).items())
        assert decoded("x", parsed, parameters) == value
        assert parsed.admits(value)


@pytest.mark.parametrize(
    ("domain", "parameters"),
    [
        ({"subset": ["a", "b", "c"]}, 3),  # 7 of 8 combinations are allowed
        ({"subset": ["a", "b", "c"], "max": 1}, 1),  # 3 of 8, and as many as members
        ({"subset": ["a", "b"]}, 1),
        ({"subset": list(range(12)), "max": 2}, 1),  # 78 of 4096
        ({"subset": list(range(12)), "max": 6}, 12),
    ],
)
def test_a_subset_is_one_truth_value_a_member_unless_few_are_allowed(domain: dict[str, Any], parameters: int) -> None:
    assert len(forms("x", ADAPTER.validate_python(domain))) == parameters


@given(st.integers(1, 6), st.integers(0, 6), st.integers(1, 6))
def test_a_subset_has_as_many_values_as_it_counts(members: int, fewest: int, most: int) -> None:
    if not fewest <= most <= members:
        return
    domain = ADAPTER.validate_python({"subset": list(range(members)), "min": fewest, "max": most})
    values = list(domain.values())
    assert len(values) == domain.count == len({tuple(value) for value in values})
    assert all(fewest <= len(value) <= most for value in values)
    assert not domain.admits([*range(members), 0])
    assert not domain.admits("all")
