"""Specs: frozen settings with a content id, and their errors told as problems of the file.

A spec is what a person wrote, checked; everything that runs is built from one.
Its id is the hash of its fully resolved content, so that two equal questions are one question.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, FieldSerializationInfo, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.source import Location, Problem, Source, contained, did_you_mean, reason, shown


class Spec(BaseModel):
    """Frozen settings; an unknown key is an error, and equal content has an equal `id`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _only_numbers_are_numbers(cls, content: object) -> object:
        """Lets `epochs: true` and `epochs: "1"`, which pydantic would read as 1, be refused as what they are."""
        if not isinstance(content, dict):
            return content
        numbers = _number_fields(cls)
        return {name: _worded(value) if name in numbers else value for name, value in content.items()}

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return content_id(self.identity())

    def identity(self, without: Iterable[str] = ()) -> dict[str, Any]:
        """The content that decides numbers: all but what fields leave out of it, such as where a file lies."""
        return self.model_dump(mode="json", exclude=set(without), context=_IDENTITY)

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
        return differences(self.model_dump(mode="json"), other.model_dump(mode="json"))


_IDENTITY = {"identity": True}


def is_identity(info: FieldSerializationInfo) -> bool:
    """Whether a field is being written for an id, not for a reader."""
    return info.context == _IDENTITY


def differences(here: object, there: object) -> dict[str, tuple[object, object]]:
    """Dotted path → (value here, value there), for every leaf in which two JSON-like contents differ."""
    ours, theirs = dict(leaves(here)), dict(leaves(there))
    paths = sorted(ours.keys() | theirs.keys())
    return {path: (ours.get(path), theirs.get(path)) for path in paths if ours.get(path) != theirs.get(path)}


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
    """The discriminated union (by `name`) of our own specs and those that entry points of `group` add.

    An entry point that cannot be used is told on stderr and left out: it must not stop what does not need it.
    """
    members = list(builtin)
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        try:
            with contained():
                members.append(_third_party(point.load(), members))
        except Exception as error:  # an import runs anybody's code
            distribution = point.dist.name if point.dist else "an unknown distribution"
            said = f"{type(error).__name__}: {reason(error)}"
            print(f"left out: {group} {point.name} of {distribution} ({point.value}): {said}", file=sys.stderr)
    if len(members) == 1:
        return members[0]
    return Annotated[Union[(*members,)], Field(discriminator="name")]


def names_in(union: Any) -> tuple[str, ...]:
    """The names by which a union of specs tells its members apart."""
    members = get_args(get_args(union)[0]) if get_origin(union) is Annotated else (union,)
    return tuple(str(_name_of(member)) for member in members)


def _third_party(member: Any, known: Sequence[type[Spec]]) -> type[Spec]:
    """What an entry point gave, if it can stand beside the known specs; raises `TypeError` or `ValueError`."""
    ours = (kind for kind in known[0].__mro__[1:] if issubclass(kind, Spec))
    family = next(kind for kind in ours if all(issubclass(other, kind) for other in known))
    if not (isinstance(member, type) and issubclass(member, family)):
        raise TypeError(f"it is no subclass of {family.__module__}.{family.__name__}")
    if missing := sorted(getattr(member, "__abstractmethods__", ())):
        raise TypeError(f"{member.__name__} does not define {', '.join(missing)}")
    member.model_rebuild()
    field = member.model_fields.get("name")
    if field is None or get_origin(field.annotation) is not Literal or get_args(field.annotation) != (field.default,):
        raise TypeError(f'{member.__name__} has no field `name: Literal["…"] = "…"`')
    if field.default in map(_name_of, known):
        raise ValueError(f"the name {shown(field.default)} is taken; choose another")
    return member


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
        yield where.problem(location, explained(detail, model), is_missing=detail["type"] == "missing")


def explained(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """One pydantic error in a sentence that follows the field's name, shows the value and gives the remedy."""
    kind, value, why = detail["type"], detail["input"], refusal(detail, model)
    if kind in ("extra_forbidden", "missing", "union_tag_invalid", "union_tag_not_found"):
        return why
    if kind in ("value_error", "assertion_error"):
        return f"{shown(value)}: {why}" if _is_short(value) else f"is refused: {why}"
    return f"{shown(value)} {why}"


def refusal(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Why pydantic refuses a value, and the remedy; the value itself is not repeated."""
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
        return f"is not a choice; {did_you_mean(value, known)}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", detail["msg"]))
    if kind in _GROUPS:
        return _no_group(fields_at(model, steps))
    if kind in _REFUSALS:
        return _REFUSALS[kind].format(**context)
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"


_WHOLE = "is no whole number; write one, such as 3"
_NUMBER = "is no number; write one, such as 0.1"
_REFUSALS = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "is not finite; write a number",
    "bool_type": "is no truth value; write true or false",
    "bool_parsing": "is no truth value; write true or false",
    "string_type": "is no text; put it in quotes",
    "string_too_short": "is too short; write at least {min_length} characters",
    "string_too_long": "is too long; write at most {max_length} characters",
    "string_pattern_mismatch": "does not match {pattern}",
    "greater_than": "is too small; it must be above {gt}",
    "greater_than_equal": "is too small; it must be at least {ge}",
    "less_than": "is too large; it must be below {lt}",
    "less_than_equal": "is too large; it must be at most {le}",
    "tuple_type": "is no list; write [ … ]",
    "too_short": "has {actual_length} items; it needs at least {min_length}",
    "too_long": "has {actual_length} items; it takes at most {max_length}",
}
"""Pydantic's type of error → the sentence after the value."""
_GROUPS = ("dict_type", "model_type", "model_attributes_type")


def _no_group(fields: list[str]) -> str:
    if "name" in fields:
        return "is no group of settings; write {name: …}"
    shown_fields = ", ".join(f"{field}: …" for field in fields[:3]) + (", …" if len(fields) > 3 else "")
    return f"is no group of settings; write {{{shown_fields}}}"


def _is_short(value: object) -> bool:
    """Whether a value tells the reader more than the field's name does: scalars and lists of scalars."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return not any(isinstance(item, (dict, list, tuple, BaseModel)) for item in items)


@cache
def _number_fields(spec: type[BaseModel]) -> frozenset[str]:
    known = spec.model_fields.items()
    return frozenset(field.alias or name for name, field in known if _is_number(field.annotation))


def _is_number(annotation: Any) -> bool:
    """Whether a field takes numbers (or lists of them) and neither truth values nor text."""
    kinds = list(_kinds(annotation))
    return (int in kinds or float in kinds) and bool not in kinds and str not in kinds


def _kinds(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    for argument in arguments:
        yield from _kinds(argument)
    if get_origin(annotation) is Literal:
        yield type(arguments[0])
    elif not arguments:
        yield annotation


def _worded(value: object) -> object:
    """A value with its truth values as words, and with its texts as something that no number is read from."""
    if isinstance(value, (list, tuple)):
        return [_worded(item) for item in value]
    if isinstance(value, str):
        return _Quoted(value)
    return str(value).lower() if isinstance(value, bool) else value


@dataclass(frozen=True)
class _Quoted:
    """A text where a number belongs; a message shows it in its quotes."""

    text: str

    def __str__(self) -> str:
        return self.text


def fields_at(model: type[BaseModel], steps: Location) -> list[str]:
    """The fields that the spec at a location has, with union tags and indices walked through."""
    candidates: list[type[BaseModel]] = [model]
    tags: dict[object, type[BaseModel]] = {}
    for step in steps:
        if isinstance(step, int):
            continue
        if step in tags:
            candidates = [tags[step]]
            continue
        tagged = [c for c in candidates if _name_of(c) == step]
        if tagged:
            candidates = tagged
            continue
        fields = [c.model_fields[str(step)].annotation for c in candidates if step in c.model_fields]
        tags = dict(tagged for field in fields for tagged in _tags_in(field)) or tags
        candidates = [member for field in fields for member in _models_in(field)] or candidates
    return sorted({field.alias or name for c in candidates for name, field in c.model_fields.items()})


def _name_of(model: type[BaseModel]) -> object:
    name = model.model_fields.get("name")
    return name.default if name else None


def _tags_in(annotation: Any) -> Iterator[tuple[object, type[BaseModel]]]:
    """The members of unions that tell their members apart by tags, each with its tag."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        yield from ((note.tag, model) for note in notes if isinstance(note, Tag) for model in _models_in(inner))
    for argument in get_args(annotation):
        yield from _tags_in(argument)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
