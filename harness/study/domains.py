"""Domains: what may stand at one field of a trial, and when it is searched at all.

    {choice: [1, 2, 4]}                               one of some scalars, lists or whole settings
    {float: [0.03, 0.5], log: true}                   a number; evenly in its logarithm
    {int: [8, 32], step: 8}                           a whole number; in steps from the lower bound
    {subset: [stage1, stage2, stage3], max: 2}        some of a list, in its order
    {float: [0.3, 1], when: {method.discriminator.class_head: true}}

A domain with `when` is searched only where the trial has the values that it names: all of its fields must
hold, and a list of values means any of them. Elsewhere the field keeps the arm's value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from harness.spec import Spec

Value = float | int | str | bool | list[Any] | dict[str, Any] | None

FEW = 1000
"""Whole numbers that are all tried; a try takes a tenth of a millisecond."""
MOST_MEMBERS = 12
"""Of a subset: 4095 subsets."""


def same(here: object, there: object) -> bool:
    """Whether two values are equal as YAML means them: 1 is 1.0, but not true."""
    return here == there and isinstance(here, bool) is isinstance(there, bool)


def _alternatives(content: object) -> object:
    return content if isinstance(content, (list, tuple)) else [content]


Alternatives = Annotated[tuple[Value, ...], Field(min_length=1), BeforeValidator(_alternatives)]


class Conditional(Spec):
    """What every domain has: its conditions."""

    when: dict[str, Alternatives] = Field(default_factory=dict)
    """Dotted path → the value, or the list of values, that the trial must have there."""

    @model_serializer(mode="wrap")
    def _without_no_conditions(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        return content if self.when else {name: value for name, value in content.items() if name != "when"}


class Choice(Conditional):
    """One of some values: scalars, lists, or whole settings."""

    choice: tuple[Value, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _are_distinct(self) -> Choice:
        _refuse_repeated(self.choice)
        return self

    def extremes(self) -> tuple[Value, ...]:
        """Values whose validity speaks for the whole domain."""
        return self.choice

    @property
    def count(self) -> int | None:
        """How many values it has; None for one without end."""
        return len(self.choice)

    def values(self) -> Iterator[Value]:
        """All values of a domain that has an end."""
        return iter(self.choice)

    def admits(self, value: object) -> bool:
        """Whether a value is one of the domain's."""
        return any(same(choice, value) for choice in self.choice)


class Subset(Conditional):
    """Some members of a list, in the list's order, such as the taps that are supervised."""

    model_config = ConfigDict(populate_by_name=True)
    members: tuple[Value, ...] = Field(alias="subset", min_length=1, max_length=MOST_MEMBERS)
    min: int = Field(default=1, ge=0)
    """The fewest members."""
    max: int | None = Field(default=None, ge=1)
    """The most members; all of them where it is not said."""

    @model_validator(mode="after")
    def _fits(self) -> Subset:
        _refuse_repeated(self.members)
        if self.min > self.most:
            raise ValueError(f"the fewest members, {self.min}, are more than the most, {self.most}; lower `min`")
        if self.max and self.max > len(self.members):
            raise ValueError(f"the list has {len(self.members)} members, and `max` is {self.max}; lower it")
        return self

    @property
    def most(self) -> int:
        """The most members that are chosen."""
        return self.max or len(self.members)

    @property
    def count(self) -> int:
        """How many subsets it has."""
        return sum(comb(len(self.members), size) for size in range(self.min, self.most + 1))

    def values(self) -> Iterator[Value]:
        """All subsets, from the smallest to the largest."""
        for size in range(self.min, self.most + 1):
            yield from (list(chosen) for chosen in combinations(self.members, size))

    def extremes(self) -> tuple[Value, ...]:
        """All subsets where they are few, else every member with its neighbours, and the first of the most."""
        if self.count <= FEW:
            return tuple(self.values())
        size = self.min or 1
        windows = [list(self.members[at : at + size]) for at in range(len(self.members) - size + 1)]
        return (*windows, list(self.members[: self.most]))

    def admits(self, value: object) -> bool:
        """Whether a value is one of the domain's."""
        if not isinstance(value, (list, tuple)):
            return False
        chosen = self.ordered(value)
        return len(chosen) == len(value) and self.min <= len(value) <= self.most

    def ordered(self, value: list[Any] | tuple[Any, ...]) -> list[Value]:
        """The members in a list, in the domain's order."""
        return [member for member in self.members if member in value]


class _Range(Conditional):
    model_config = ConfigDict(populate_by_name=True)
    log: bool = False

    @model_validator(mode="after")
    def _rises(self) -> _Range:
        low, high = self.bounds  # type: ignore[attr-defined]
        step = self.step  # type: ignore[attr-defined]
        free = None if isinstance(low, float) else 1
        if low >= high:
            raise ValueError(f"the lower bound {low} is not below the upper bound {high}")
        if self.log and low <= 0:
            raise ValueError(f"a logarithmic range begins above 0, not at {low}")
        if self.log and step != free:
            raise ValueError("a range is either logarithmic or stepped; remove one of the two")
        steps = (high - low) / (step or 1)
        if step != free and steps < 1:
            raise ValueError(f"a step of {step} is longer than the range from {low} to {high}")
        if step != free and abs(steps - round(steps)) > 1e-9 * steps:
            last = low + (high - low) // step * step
            raise ValueError(f"steps of {step} from {low} do not end at {high} but at {last}; write that")
        return self


class FloatRange(_Range):
    """A number between two bounds, both included."""

    bounds: tuple[float, float] = Field(alias="float")
    step: float | None = Field(default=None, gt=0)

    def extremes(self) -> tuple[Value, ...]:
        """Values whose validity speaks for the whole domain: few steps are all tried, and else one in between, which a
        field of whole numbers refuses."""
        low, high = self.bounds
        if self.count is not None and self.count <= FEW:
            return tuple(self.values())
        between = low + self.step if self.step else low + (3 - 5**0.5) / 2 * (high - low)
        return low, high, between

    @property
    def count(self) -> int | None:
        """How many values it has; None for one without end."""
        low, high = self.bounds
        return round((high - low) / self.step) + 1 if self.step else None

    def values(self) -> Iterator[Value]:
        """All values of a range with steps, as Optuna rounds them."""
        low, high = self.bounds
        return (min(low + index * (self.step or 0), high) for index in range(self.count or 0))

    def admits(self, value: object) -> bool:
        """Whether a value is one of the domain's."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        low, high = self.bounds
        steps = (value - low) / self.step if self.step else 0
        return low <= value <= high and abs(steps - round(steps)) <= 1e-9 * max(1, steps)


class IntRange(_Range):
    """A whole number between two bounds, both included."""

    bounds: tuple[int, int] = Field(alias="int")
    step: int = Field(default=1, ge=1)

    def extremes(self) -> tuple[Value, ...]:
        """All values where they are few (some fields refuse values in between), else the bounds and one step."""
        low, high = self.bounds
        return tuple(self.values()) if self.count <= FEW else (low, high, low + self.step)

    @property
    def count(self) -> int:
        """How many values it has."""
        return len(range(self.bounds[0], self.bounds[1] + 1, self.step))

    def values(self) -> Iterator[Value]:
        """All values, rising."""
        return iter(range(self.bounds[0], self.bounds[1] + 1, self.step))

    def admits(self, value: object) -> bool:
        """Whether a value is one of the domain's."""
        whole = not isinstance(value, bool) and isinstance(value, (int, float)) and value == int(value)
        return whole and int(value) in range(self.bounds[0], self.bounds[1] + 1, self.step)  # type: ignore[call-overload]


def _refuse_repeated(values: tuple[Value, ...]) -> None:
    texts = [json.dumps(value, sort_keys=True) for value in values]
    if len(set(texts)) < len(texts):
        raise ValueError("a value stands twice; keep one")


def _kind(content: object) -> str | None:
    if isinstance(content, dict):
        return next((f"a {kind}" for kind in _KINDS if kind in content), None)
    return next((f"a {kind}" for kind, domain in _KINDS.items() if isinstance(content, domain)), None)


_KINDS = {"choice": Choice, "float": FloatRange, "int": IntRange, "subset": Subset}


# The tags differ from the keys, so that a problem's field is named without them.
Domain = Annotated[
    Annotated[Choice, Tag("a choice")]
    | Annotated[FloatRange, Tag("a float")]
    | Annotated[IntRange, Tag("a int")]
    | Annotated[Subset, Tag("a subset")],
    Discriminator(
        _kind,
        custom_error_type="no_domain",
        custom_error_message=(
            "is no domain; write {choice: […]}, {float: [low, high]}, {int: [low, high]} or {subset: […]}"
        ),
    ),
]
