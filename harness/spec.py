"""Specs: frozen settings with a content id, and their errors told as problems of the file.

A spec is what a person wrote, checked; everything that runs is built from one.
Its id is the hash of its fully resolved content, so that two equal questions are one question.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.source import Location, Problem, Source, did_you_mean, shown


class Spec(BaseModel):
    """Frozen settings; an unknown key is an error, and equal content has an equal `id`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _a_truth_value_is_no_number(cls, content: object) -> object:
        """Lets `epochs: true`, which pydantic would read as 1, be refused as the word that it is."""
        if not isinstance(content, dict):
            return content
        numbers = {name for name, field in cls.model_fields.items() if field.annotation in (int, float)}
        return {
            name: str(value).lower() if isinstance(value, bool) and name in numbers else value
            for name, value in content.items()
        }

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return content_id(self.model_dump(mode="json"))

    def at(self, path: str, value: object) -> Self:
        """This spec with the field at a dotted path replaced, checked anew.

        Raises `KeyError` for a path that does not exist, `pydantic.ValidationError` for a wrong value.
        """
        return self.with_values({path: value})

    def with_values(self, values: Mapping[str, object]) -> Self:
        """This spec with several fields replaced at once and checked together, as by `at`."""
        content = self.model_dump(mode="python")
        for path, value in values.items():
            *parents, last = path.split(".")
            place: Any = content
            for name in parents:
                place = place[name]
                if not isinstance(place, dict):
                    raise KeyError(path)
            if last not in place:
                raise KeyError(path)
            place[last] = value.model_dump(mode="python") if isinstance(value, BaseModel) else value
        return type(self).model_validate(content)

    def value_at(self, path: str) -> object:
        """What stands at a dotted path, as plain data."""
        content: Any = self.model_dump(mode="json")
        for name in path.split("."):
            content = content[name]
        return content

    def differences(self, other: Spec) -> dict[str, tuple[object, object]]:
        """Dotted path → (value here, value there), for every leaf in which two specs differ."""
        here, there = (dict(leaves(spec.model_dump(mode="json"))) for spec in (self, other))
        paths = sorted(set(here) | set(there))
        return {path: (here.get(path), there.get(path)) for path in paths if here.get(path) != there.get(path)}


def content_id(content: object) -> str:
    """A short hash of any JSON-like content; key order does not matter."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def leaves(content: object, path: str = "") -> Iterable[tuple[str, object]]:
    """The scalars of nested mappings and lists, each with its dotted path."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, list) and content:
        for index, value in enumerate(content):
            yield from leaves(value, f"{path}[{index}]")
    else:
        yield path, content


def one_of(builtin: Sequence[type[Spec]], group: str) -> Any:
    """The discriminated union (by `name`) of our own specs and those that entry points of `group` add."""
    added = [point.load() for point in entry_points(group=group)]
    if len(builtin) + len(added) == 1:
        return builtin[0]
    return Annotated[Union[(*builtin, *added)], Field(discriminator="name")]


def problems_of(
    error: ValidationError,
    source: Source,
    model: type[BaseModel],
    elsewhere: Callable[[Location], tuple[Source, Location] | None] = lambda location: None,
) -> Iterator[Problem]:
    """Each of pydantic's errors with file, line, field, value and remedy.

    `elsewhere` says where a location lies when it was read from another file.
    """
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # the items are there; each of them has its own error
        where, location = elsewhere(detail["loc"]) or (source, detail["loc"])
        yield where.problem(location, explained(detail, model))


def explained(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """One pydantic error in a sentence that ends with the remedy."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    steps = detail["loc"]
    if kind == "extra_forbidden":
        return f"is not a field here; {did_you_mean(steps[-1], fields_at(model, steps[:-1]))}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "union_tag_invalid":
        known = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
        tag = context.get("tag")
        return f"has the name {shown(tag)}, which is not known; {did_you_mean(tag, known)}"
    if kind == "union_tag_not_found":
        return f"has no name; add {str(context.get('discriminator', 'name')).strip(chr(39))}: …"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [str(context.get("expected"))]
        return f"{shown(value)} is not a choice; {did_you_mean(value, known)}"
    if kind == "no_domain":
        return f"{shown(value)} {detail['msg']}"
    if kind in ("value_error", "assertion_error"):
        return f"{shown(value)}: {context.get('error', detail['msg'])}"
    return f"{shown(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def fields_at(model: type[BaseModel], steps: Location) -> list[str]:
    """The fields that the spec at a location has, with union tags and indices walked through."""
    candidates: list[type[BaseModel]] = [model]
    for step in steps:
        if isinstance(step, int):
            continue
        tagged = [c for c in candidates if _name_of(c) == step]
        if tagged:
            candidates = tagged
            continue
        candidates = [
            member
            for candidate in candidates
            if step in candidate.model_fields
            for member in _models_in(candidate.model_fields[str(step)].annotation)
        ] or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _name_of(model: type[BaseModel]) -> object:
    name = model.model_fields.get("name")
    return name.default if name else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
