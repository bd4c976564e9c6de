"""Specs: frozen settings with a content id, read from YAML that knows its own lines.

A spec is what a person wrote, checked; everything that runs is built from one.
Its id is the hash of its fully resolved content, so that two equal questions are one question.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]


class Spec(BaseModel):
    """Frozen settings; an unknown key is an error, and equal content has an equal `id`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _a_truth_value_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuses `epochs: true`, which pydantic would read as 1."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and annotation in (int, float):
            raise ValueError("a truth value stands where a number belongs")
        return value

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return content_id(self.model_dump(mode="json"))

    def at(self, path: str, value: object) -> Self:
        """This spec with the field at a dotted path replaced, checked anew.

        Raises `KeyError` for a path that does not exist, `pydantic.ValidationError` for a wrong value.
        """
        content = self.model_dump(mode="python")
        place: Any = content
        *parents, last = path.split(".")
        for name in parents:
            place = place[name]
            if not isinstance(place, dict):
                raise KeyError(path)
        if last not in place:
            raise KeyError(path)
        place[last] = value.model_dump(mode="python") if isinstance(value, BaseModel) else value
        return type(self).model_validate(content)

    def differences(self, other: Spec) -> dict[str, tuple[object, object]]:
        """Dotted path → (value here, value there), for every leaf in which two specs differ."""
        here, there = (dict(leaves(spec.model_dump(mode="json"))) for spec in (self, other))
        paths = sorted(set(here) | set(there))
        return {
            path: (here.get(path), there.get(path)) for path in paths if here.get(path) != there.get(path)
        }


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
    return Annotated[Union[tuple([*builtin, *added])], Field(discriminator="name")]  # noqa: UP007


# --- problems: what is wrong, where, and what to do -------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file: `studies/x.yaml:14: arms[1].space "ksna" not found; did you …`."""

    file: str
    line: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field + ' ' if self.field else ''}{self.message}"


class SpecError(Exception):
    """Everything that is wrong with what the user wrote, at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class MissingError(Exception):
    """Something this machine lacks (data, a device, a file); the message names the remedy."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`did you mean ksan?`, or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names) or 'none'}"


def shown(value: object) -> str:
    """A value as a message shows it: JSON where it can be, cut to 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


# --- YAML with lines --------------------------------------------------------------------------------


class _Core(yaml.SafeLoader):
    """YAML 1.2's core scalars: `1e-3` is a number; `off`, `1:30` and `2026-01-01` are text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


_PLAIN = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
)
for _tag, _pattern, _first in _PLAIN:
    _Core.add_implicit_resolver(  # type: ignore[no-untyped-call]
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [c if c != "\0" else "" for c in _first]
    )


@dataclass(frozen=True)
class Source:
    """A YAML file's content with the line of every key and item."""

    file: str
    content: Any
    lines: dict[Location, int] = field(default_factory=dict)

    def problem(self, location: Location, message: str) -> Problem:
        """The problem at a location of the content; unknown steps (union tags) are passed over."""
        known: Location = ()
        for step in location:
            if (*known, step) in self.lines:
                known = (*known, step)
        return Problem(self.file, self.lines.get(known), dotted(self._named(location)), message)

    def _named(self, location: Location) -> Location:
        """The location without the tags that pydantic adds for the members of unions."""
        named: Location = ()
        for index, step in enumerate(location):
            last = index == len(location) - 1
            parent = _found(self.content, named)
            is_tag = isinstance(parent, dict) and step not in parent and not last
            is_tag = is_tag or (isinstance(parent, list) and not isinstance(step, int))
            if not is_tag:
                named = (*named, step)
        return named


def _found(content: Any, location: Location) -> Any:
    for step in location:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def dotted(location: Location) -> str:
    """`("arms", 1, "space")` as a person writes it: `arms[1].space`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def read_yaml(path: Path) -> Source:
    """The content of a YAML file with its lines; raises `SpecError` for what is no YAML."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        loader = _Core(text)
        root = loader.get_single_node()
    except OSError as error:
        raise SpecError([Problem(file, None, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem(file, None, "", "is not UTF-8 text; save it as UTF-8")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "unreadable"
        line = mark.line + 1 if mark else None
        raise SpecError([Problem(file, line, "", f"is no YAML: {what}")]) from error
    if root is None:
        raise SpecError([Problem(file, None, "", "is empty")])
    lines: dict[Location, int] = {}
    problems: list[Problem] = []
    seen: set[int] = set()

    def built(node: yaml.Node, location: Location) -> Any:
        line = node.start_mark.line + 1
        lines.setdefault(location, line)
        if id(node) in seen:
            problems.append(
                Problem(file, line, dotted(location), "is an alias (*name); write it out instead")
            )
            return None
        if not isinstance(node, yaml.ScalarNode):
            seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [built(item, (*location, index)) for index, item in enumerate(node.value)]
        return scalar(node, location)

    def mapping(node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in content:
                problems.append(Problem(file, line, dotted((*location, key)), "is given twice; keep one"))
            lines[(*location, key)] = line
            content[key] = built(value_node, (*location, key))
        return content

    def scalar(node: yaml.ScalarNode, location: Location) -> Any:
        kind = str(node.tag).rpartition(":")[2]
        text = str(node.value)
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        if kind != "str":
            message = f"has the tag {node.tag}, which is not read here"
            problems.append(Problem(file, node.start_mark.line + 1, dotted(location), message))
        return text

    content = built(root, ())
    if problems:
        raise SpecError(problems)
    if not isinstance(content, dict):
        raise SpecError([Problem(file, 1, "", "is not a mapping of names to values")])
    return Source(file, content, lines)


# --- pydantic's errors, told as problems ------------------------------------------------------------


def problems_of(error: ValidationError, source: Source, model: type[BaseModel]) -> list[Problem]:
    """Each of pydantic's errors with file, line, field, value and remedy."""
    return [
        source.problem(tuple(detail["loc"]), explained(detail, model))
        for detail in error.errors(include_url=False)
    ]


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
    if kind in ("value_error", "assertion_error"):
        return f"{shown(value)}: {context.get('error', detail['msg'])}"
    return f"{shown(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def fields_at(model: type[BaseModel], steps: Location) -> list[str]:
    """The fields that the spec at a location has, with union tags and indices walked through."""
    candidates: list[type[BaseModel]] = [model]
    for step in steps:
        if isinstance(step, int):
            continue
        tagged = [c for c in candidates if _tag(c) == step]
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


def _tag(model: type[BaseModel]) -> object:
    name = model.model_fields.get("name")
    return name.default if name else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
