"""Search spaces: a dotted path into a trial's spec → what may stand there.

    training.learning_rate: {float: [0.03, 0.5], log: true}
    method.attention.reduction: {choice: [1, 2, 4]}
    student.width: {int: [2, 8]}

Every path and every bound is checked against the trial's own fields before anything runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from harness.source import did_you_mean, shown
from harness.spec import Spec, refusal
from harness.train.trial import TrialSpec

Value = float | int | str | bool | list[Any] | dict[str, Any] | None

SEARCHABLE = ("method.", "training.", "student.")
"""What lies below them; another method, say, is another arm."""
FIXED = {
    "training.epochs": "values at different lengths cannot be compared; set it in the study's `training`",
    "training.evaluate_every": "it decides what is looked at, not what is trained; set it in the study's `training`",
}


FEW = 1000
"""Whole numbers that are all tried; a try takes a tenth of a millisecond."""


class Choice(Spec):
    """One of some values: scalars, lists, or whole settings."""

    choice: tuple[Value, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _are_distinct(self) -> Choice:
        texts = [json.dumps(value, sort_keys=True) for value in self.choice]
        if len(set(texts)) < len(texts):
            raise ValueError("a value stands twice; keep one")
        return self

    def extremes(self) -> tuple[Value, ...]:
        """Values whose validity speaks for the whole domain."""
        return self.choice


class _Range(Spec):
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
        """Values whose validity speaks for the whole domain."""
        return self.bounds


class IntRange(_Range):
    """A whole number between two bounds, both included."""

    bounds: tuple[int, int] = Field(alias="int")
    step: int = Field(default=1, ge=1)

    def extremes(self) -> tuple[Value, ...]:
        """All values where they are few (some fields refuse values in between), else the bounds."""
        low, high = self.bounds
        values = range(low, high + 1, self.step)
        return tuple(values) if len(values) <= FEW else self.bounds


def _kind(content: object) -> str | None:
    if isinstance(content, dict):
        return next((f"a {kind}" for kind in _KINDS if kind in content), None)
    return next((f"a {kind}" for kind, domain in _KINDS.items() if isinstance(content, domain)), None)


_KINDS = {"choice": Choice, "float": FloatRange, "int": IntRange}


# The tags differ from the keys, so that a problem's field is named without them.
Domain = Annotated[
    Annotated[Choice, Tag("a choice")] | Annotated[FloatRange, Tag("a float")] | Annotated[IntRange, Tag("a int")],
    Discriminator(
        _kind,
        custom_error_type="no_domain",
        custom_error_message="is no domain; write {choice: […]}, {float: [low, high]} or {int: [low, high]}",
    ),
]

SearchSpace = dict[str, Domain]


class SpaceFile(Spec):
    """What a file in `search_spaces/` holds."""

    space: SearchSpace


def problems_in(space: SearchSpace, base: TrialSpec) -> Iterator[tuple[str, str]]:
    """(path, what is wrong with it) for every domain that does not fit the trial it is to vary."""
    known = searchable_paths(base)
    for path, domain in space.items():
        within = next((other for other in space if path.startswith(f"{other}.")), None)
        if within:
            yield path, f"lies within {within}, which is searched too; keep one of the two"
        elif path in FIXED:
            yield path, f"is not for searching: {FIXED[path]}"
        elif path.partition(".")[0] in TrialSpec.model_fields and not path.startswith(SEARCHABLE):
            yield path, f"is not for searching; a search varies fields of {', '.join(SEARCHABLE).replace('.', '')}"
        elif path not in known:
            yield path, f"is no field of this arm's trials; {did_you_mean(path, known)}"
        else:
            yield from ((path, message) for message in islice(_refused(path, domain, base), 1))


def _refused(path: str, domain: Domain, base: TrialSpec) -> Iterator[str]:
    for value in domain.extremes():
        try:
            base.at(path, value)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            yield f"holds {shown(value)}: {refusal(detail, TrialSpec)}"
        except KeyError:
            yield f"cannot be set to {shown(value)}"


def searchable_paths(spec: TrialSpec) -> list[str]:
    """The dotted paths of all fields that a search may vary."""
    return [path for path in _paths(spec, "") if path.startswith(SEARCHABLE) and path not in FIXED]


def _paths(spec: BaseModel, prefix: str) -> Iterator[str]:
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if name != "name":
            yield prefix + name
        if isinstance(value, BaseModel):
            yield from _paths(value, f"{prefix}{name}.")
        elif isinstance(value, dict):  # settings of a foreign network, which only its own code knows
            yield from (f"{prefix}{name}.{key}" for key in value)
