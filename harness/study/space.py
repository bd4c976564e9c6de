"""Search spaces: a dotted path into a trial's spec → what may stand there.

    training.learning_rate: {float: [0.03, 0.5], log: true}
    method.attention.reduction: {choice: [1, 2, 4]}
    student.width: {int: [2, 8]}
    method.discriminator.mu: {float: [0.3, 1], when: {method.discriminator.class_head: true}}

Every path, every bound and every condition is checked against the trial's own fields before anything runs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import islice, product
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.distill.catalog import AnyMethod
from harness.models.catalog import AnyArchitecture
from harness.source import Location, did_you_mean, shown
from harness.spec import Spec, names_in, refusal
from harness.study.domains import Choice, Domain, Subset, Value, same
from harness.train.trial import TrialSpec

SEARCHABLE = ("method.", "training.", "student.")
"""What lies below them; another method, say, is another arm."""
FIXED = {
    "training.epochs": "values at different lengths cannot be compared; set it in the study's `training`",
    "training.evaluate_every": "it decides what is looked at, not what is trained; set it in the study's `training`",
}
_NAMES = {"method.name": names_in(AnyMethod), "student.name": names_in(AnyArchitecture)}
CASES = 64
"""Combinations of the values that a path's conditions name, in which its own values are tried."""

SearchSpace = dict[str, Domain]
Values = dict[str, Value]
"""Dotted path → what was chosen there."""


class SpaceFile(Spec):
    """What a file in `search_spaces/` holds."""

    space: SearchSpace


class Ground:
    """A search space with the trial that it varies; both fixed, and what follows from them."""

    def __init__(self, space: SearchSpace, base: TrialSpec) -> None:
        self.space, self.base = space, base

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The paths, each after those that decide whether it is searched; raises `CycleError`."""
        needs = {path: self.needs(path) for path in self.space}
        sorter = TopologicalSorter(needs)
        sorter.prepare()
        found: list[str] = []
        while sorter.is_active():
            ready = sorter.get_ready()
            found += [path for path in self.space if path in ready]
            sorter.done(*ready)
        return tuple(found)

    def needs(self, path: str) -> list[str]:
        """The searched paths that decide whether a path is searched: its conditions', and what it lies within."""
        named = (self.owner(name) for name in self.space[path].when)
        within = self.owner(path.rpartition(".")[0])
        return list(dict.fromkeys(name for name in (*named, within) if name is not None))

    def owner(self, path: str) -> str | None:
        """The searched path that decides a path's value: itself, or the closest that it lies within."""
        while path and path not in self.space:
            path = path.rpartition(".")[0]
        return path or None

    @cached_property
    def _content(self) -> dict[str, Any]:
        return self.base.model_dump(mode="json")

    @cached_property
    def _whole(self) -> dict[tuple[str, str], Value]:
        return {}

    def whole(self, path: str, value: Value) -> Value:
        """A value with its settings' defaults filled in, as a trial would show it."""
        if not isinstance(value, dict):
            return value
        key = (path, json.dumps(value, sort_keys=True))
        if key not in self._whole:
            try:
                self._whole[key] = self.base.at(path, value).value_at(path)  # type: ignore[assignment]
            except (ValidationError, KeyError):
                self._whole[key] = value
        return copy.deepcopy(self._whole[key])

    def at(self, path: str, values: Mapping[str, Value]) -> Value:
        """What a trial with these values has at a path; raises `KeyError` where it has no such field."""
        owner = path
        while owner and owner not in values:
            owner = owner.rpartition(".")[0]
        content: Any = self.whole(owner, values[owner]) if owner else self._content
        for name in path.removeprefix(owner).removeprefix(".").split(".") if path != owner else ():
            if not isinstance(content, dict):
                raise KeyError(path)
            content = content[name]
        return content  # type: ignore[no-any-return]

    def has(self, path: str, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values has a field at a path."""
        try:
            self.at(path, values)
        except KeyError:
            return False
        return True

    def is_wanted(self, path: str, values: Mapping[str, Value]) -> bool:
        """Whether a path's conditions hold beside these values."""
        return all(
            self.has(name, values) and any(same(self.at(name, values), self.whole(name, one)) for one in alternatives)
            for name, alternatives in self.space[path].when.items()
        )

    def is_active(self, path: str, values: Mapping[str, Value]) -> bool:
        """Whether a path is searched beside these values: its field is there, and its conditions hold."""
        return self.has(path, values) and self.is_wanted(path, values)

    def chosen(self, value_of: Callable[[str, Domain], Value]) -> Values:
        """The values of all paths that are searched beside each other, each asked for once the others allow it."""
        values: Values = {}
        for path in self.order:
            if self.is_active(path, values):
                values[path] = value_of(path, self.space[path])
        return values

    def points(self) -> Iterator[Values]:
        """Every combination of values of a space whose domains have an end; inactive paths do not multiply it."""

        def further(values: Values, rest: tuple[str, ...]) -> Iterator[Values]:
            if not rest:
                yield values
            elif self.is_active(rest[0], values):
                for value in self.space[rest[0]].values():
                    yield from further({**values, rest[0]: value}, rest[1:])
            else:
                yield from further(values, rest[1:])

        return further({}, self.order)

    def held(self, path: str, value: object) -> tuple[Value] | None:
        """A value in the domain's own words (a field's 1.0 is the choice 1); None where it is not in it."""
        domain = self.space[path]
        if isinstance(domain, Choice):
            alike = (choice for choice in domain.choice if same(self.whole(path, choice), value))
            return next(((choice,) for choice in alike), None)
        if not domain.admits(value):
            return None
        return (domain.ordered(value),) if isinstance(domain, Subset) else (value,)  # type: ignore[arg-type,return-value]

    def trial(self, values: Mapping[str, Value]) -> TrialSpec:
        """The trial with these values; raises `ValidationError` where it refuses them together."""
        order = [path for path in self.order if path in values]
        return self.base.with_values({path: self.whole(path, values[path]) for path in order})


def problems_in(space: SearchSpace, base: TrialSpec) -> Iterator[tuple[Location, str]]:
    """(where in the space, what is wrong there) for every domain that does not fit the trial it is to vary."""
    ground = Ground(space, base)
    searchable = set(searchable_paths(base)) | set(_within_choices(ground))
    fields = {*_paths(base, "", names=True), *searchable, *_within_choices(ground, names=True)}
    found = list(_misplaced(ground, searchable, fields))
    if not found:
        try:
            _ = ground.order
        except CycleError as error:
            first, *rest = error.args[1][::-1]
            message = f"waits for itself: {' → '.join([first, *rest])}; remove one of these conditions"
            found.append(((first, "when") if space[first].when else (first,), message))
    if found:  # of the others, those that can be judged by themselves
        misplaced = {str(place[0]) for place, _ in found}
        ground = Ground({path: space[path] for path in space if path not in misplaced and not ground.needs(path)}, base)
    found += [problem for path in ground.space for problem in _refused(path, ground)]
    order = list(space)
    yield from sorted(found, key=lambda problem: order.index(str(problem[0][0])))


def _misplaced(ground: Ground, searchable: set[str], fields: set[str]) -> Iterator[tuple[Location, str]]:
    for path, domain in ground.space.items():
        if path in FIXED:
            yield (path,), f"is not for searching: {FIXED[path]}"
        elif path.partition(".")[0] in TrialSpec.model_fields and not path.startswith(SEARCHABLE):
            yield (path,), f"is not for searching; a search varies fields of {', '.join(SEARCHABLE).replace('.', '')}"
        elif path not in searchable:
            yield (path,), f"is no field of this arm's trials; {did_you_mean(path, searchable)}"
        for name, alternatives in domain.when.items():
            place = (path, "when", name)
            if name not in fields:
                yield place, f"is no field of this arm's trials; {did_you_mean(name, fields)}"
            elif impossible := [value for value in alternatives if not _can_be(ground, name, value)]:
                yield place, f"can never be {shown(impossible[0])}; {_remedy(ground, name)}"


def _can_be(ground: Ground, path: str, value: Value) -> bool:
    """Whether some trial may have a value at a path."""
    owner = ground.owner(path)
    if owner is None:  # another arm or student with the same space may have what this one has not
        return value in _NAMES[path] if path in _NAMES else _takes(ground.base, path, value)
    domain = ground.space[owner]
    is_left = bool(ground.needs(owner)) and ground.has(path, {})  # where it is not searched it keeps what it has
    own = [ground.at(path, {})] if is_left else []
    if owner == path and not isinstance(domain, Choice):
        return domain.admits(value) or any(same(value, one) for one in own)
    if any(other.startswith(f"{path}.") for other in ground.space):  # parts of it are searched
        return True
    chosen = domain.choice if isinstance(domain, Choice) else ()
    own += [ground.at(path, {owner: one}) for one in chosen if ground.has(path, {owner: one})]
    return any(same(ground.whole(path, value), one) for one in own)


def _takes(base: TrialSpec, path: str, value: Value) -> bool:
    try:
        base.at(path, value)
    except (ValidationError, KeyError):
        return False
    return True


def _remedy(ground: Ground, path: str) -> str:
    domain = ground.space.get(path)
    if domain is None:
        return "correct the value"
    if isinstance(domain, Choice):
        return f"it is searched in {shown(list(domain.choice))}"
    if isinstance(domain, Subset):
        return f"it is a subset of {shown(list(domain.members))}"
    return f"it is searched from {domain.bounds[0]} to {domain.bounds[1]}"


def _refused(path: str, ground: Ground) -> Iterator[tuple[Location, str]]:
    """What is wrong with a path's values, at most one thing, in some of the cases in which it is searched."""
    domain, cases = ground.space[path], list(_cases(path, ground))
    if not cases and not domain.when:
        within = ground.owner(path.rpartition(".")[0])
        yield (path,), f"lies within {within}, which is searched too and never has such a field; remove one of the two"
        return
    if lacking := next((case for case in cases if not ground.has(path, case)), None):
        within = str(ground.owner(path.rpartition(".")[0]))
        message = f"{shown(lacking[within])} of {within} has no such field; add `when` to say where it is searched"
        yield (path,), message
        return
    tried = (_refusal(path, value, case, ground) for case in cases for value in domain.extremes())
    yield from (((path,), message) for message in islice(filter(None, tried), 1))


def _cases(path: str, ground: Ground) -> Iterator[Values]:
    """Values of all that decides whether a path is searched, beside which its conditions hold."""
    deciding: list[str] = []
    waiting = ground.needs(path)
    while waiting:
        deciding += waiting
        waiting = [name for above in waiting for name in ground.needs(above) if name not in deciding]
    names = [name for name in ground.order if name in deciding]
    for values in islice(product(*(ground.space[name].extremes() for name in names)), CASES):
        case: Values = {}
        for name, value in zip(names, values, strict=True):
            if ground.is_active(name, case):
                case[name] = value
        if ground.is_wanted(path, case):
            yield case


def _refusal(path: str, value: Value, case: Values, ground: Ground) -> str | None:
    """Why a trial refuses a value that it is offered beside others; None where it takes it, or refuses the others."""
    try:
        beside = ground.trial(case) if case else ground.base
    except ValidationError:
        return None
    try:
        beside.at(path, value)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        return f"holds {shown(value)}: {refusal(detail, TrialSpec)}"
    except KeyError:
        return f"cannot be set to {shown(value)}"
    return None


def problems_of_point(point: Values, space: SearchSpace, base: TrialSpec) -> Iterator[tuple[Location, str]]:
    """(where in a known point, what is wrong there) for a point that a search is to try first."""
    ground = Ground(space, base)
    misplaced = list(_misplaced_values(point, ground))
    yield from misplaced
    if misplaced:
        return
    values = known_values(point, ground)
    if idle := [path for path in point if path not in values]:
        yield (idle[0],), "is not searched beside the point's other values, by its `when`; remove it"
        return
    try:
        ground.trial(values)
    except ValidationError as error:
        yield (), f"is refused by the trial: {refusal(error.errors(include_url=False)[0], TrialSpec)}"


def _misplaced_values(point: Values, ground: Ground) -> Iterator[tuple[Location, str]]:
    for path, value in point.items():
        if path not in ground.space:
            is_field = path in searchable_paths(ground.base)
            remedy = "set it in the arm's `method`, or search it" if is_field else did_you_mean(path, ground.space)
            yield (path,), f"is not searched by this arm; {remedy}"
        elif ground.held(path, ground.whole(path, value)) is None:
            yield (path,), f"{shown(value)} lies outside of what is searched; {_remedy(ground, path)}"


def known_values(point: Values, ground: Ground) -> Values:
    """A known point's values with the arm's own where it says nothing; the defaults are the empty point."""
    values: Values = {}
    for path in ground.order:
        if ground.is_active(path, values):
            own = point[path] if path in point else ground.at(path, values)
            held = ground.held(path, ground.whole(path, own))
            values[path] = held[0] if held else own
    return values


def searchable_paths(spec: TrialSpec) -> list[str]:
    """The dotted paths of all fields that a search may vary."""
    return [path for path in _paths(spec, "") if path.startswith(SEARCHABLE) and path not in FIXED]


def _paths(spec: BaseModel, prefix: str, names: bool = False) -> Iterator[str]:
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if name != "name" or names:
            yield prefix + name
        if isinstance(value, BaseModel):
            yield from _paths(value, f"{prefix}{name}.", names)
        elif isinstance(value, dict):  # settings of a foreign network, which only its own code knows
            yield from (f"{prefix}{name}.{key}" for key in value)


def _within_choices(ground: Ground, names: bool = False) -> Iterator[str]:
    """The paths below what the searched whole settings hold."""
    for path, domain in ground.space.items():
        for value in domain.choice if isinstance(domain, Choice) else ():
            yield from _below(path, ground.whole(path, value), names)


def _below(path: str, content: object, names: bool) -> Iterator[str]:
    for name, value in content.items() if isinstance(content, dict) else ():
        if name != "name" or names:
            yield f"{path}.{name}"
        yield from _below(f"{path}.{name}", value, names)
