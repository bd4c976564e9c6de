"""Sources: YAML read with the line of every key, and the problems found in it, each with its place.

A wrong study is refused as a whole and at once:

    studies/x.yaml:14: arms[1].space "ksna" is not found; did you mean ksan?
"""

from __future__ import annotations

import difflib
import json
import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file, with its place and its remedy."""

    file: str
    line: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        message = _LONG_WORD.sub(lambda word: f"{word[0][:60]}…", self.message)
        return f"{place}: {self.field + ' ' if self.field else ''}{message}"


_LONG_WORD = re.compile(r"\S{400,}")
"""Longer than a path: a value that nobody wants to read to its end."""


class UserError(Exception):
    """What a person can mend: told by its message alone, with an exit code of its kind."""

    exit_code: ClassVar[int] = 2


class SpecError(UserError):
    """Everything that is wrong with what the user wrote, at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))


class MissingError(UserError):
    """Something this machine lacks (data, a device, a file); the message names the remedy."""

    exit_code = 3


class Interrupted(KeyboardInterrupt):
    """A person's Ctrl-C, as our own handler tells of it."""


class ExitedError(Exception):
    """Other people's code tried to end the program."""


@contextmanager
def contained() -> Iterator[None]:
    """Turns an attempt of other people's code to end the program into an `ExitedError`; a person's Ctrl-C passes."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        anyones = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # none of ours to tell them apart
        if isinstance(error, KeyboardInterrupt) and (isinstance(error, Interrupted) or anyones):
            raise
        raise ExitedError(f"it ends the program: {type(error).__name__} {error}".rstrip()) from error


def reason(error: BaseException) -> str:
    """The first line of what an error says, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]


KNOWN = 12
"""Names that a message lists before it only counts."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`did you mean ksan?`, or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    rest = f", … ({len(names) - KNOWN} more)" if len(names) > KNOWN else ""
    return f"known: {', '.join(names[:KNOWN]) or 'none'}{rest}"


def shown(value: object) -> str:
    """A value as a message shows it: JSON where it can be, cut to 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def dotted(location: Location) -> str:
    """`("arms", 1, "space")` as a person writes it: `arms[1].space`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


@dataclass(frozen=True)
class Source:
    """A YAML file's content with the line of every key and item."""

    file: str
    content: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)

    def problem(self, location: Location, message: str, is_missing: bool = False) -> Problem:
        """The problem at a location of the content.

        Steps that the file does not have are passed over, since pydantic adds the tags of unions; but the
        last step of what is missing is named, at the line of what should hold it.
        """
        place: Location = ()
        for step in location:
            if (*place, step) in self.lines:
                place = (*place, step)
        named = (*place, location[-1]) if is_missing else place
        return Problem(self.file, self.lines.get(place), dotted(named), message)


class _Core(yaml.SafeLoader):
    """YAML 1.2's core scalars: `1e-3` is a number; `off`, `1:30` and `2026-01-01` are text."""


_Core.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_yaml(path: Path) -> Source:
    """The content of a YAML file with its lines; raises `SpecError` for what is no YAML mapping."""
    file = str(path)
    try:
        root = _Core(path.read_text(encoding="utf-8")).get_single_node()
    except OSError as error:
        raise SpecError([Problem(file, None, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem(file, None, "", "is not UTF-8 text; save it as UTF-8")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise SpecError([Problem(file, mark.line + 1 if mark else None, "", f"is no YAML: {what}")]) from error
    except RecursionError as error:
        raise SpecError([Problem(file, None, "", "is nested too deeply to be a spec")]) from error
    if not isinstance(root, yaml.MappingNode):
        raise SpecError([Problem(file, None, "", "is empty or no mapping; write `name: value` lines")])
    reading = _Reading(file)
    content = reading.built(root, ())
    if reading.problems:
        raise SpecError(reading.problems)
    return Source(file, content, reading.lines)


class _Reading:
    """Builds plain values from YAML nodes and notes each one's line, and what is wrong, on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Location, int] = {}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()

    def built(self, node: yaml.Node, location: Location) -> Any:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if id(node) in self._seen:  # an anchor used again; with them a small file can unfold into a huge one
            self._note(node, location, "is an alias (*name); write it out instead")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        return [self.built(item, (*location, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            place = (*location, key)
            if not isinstance(key_node, yaml.ScalarNode) or key == "<<":
                self._note(key_node, location, "has a key that is no plain name; write `name: value`")
                continue
            if key in content:
                self._note(key_node, place, "is given twice; keep one")
            self.lines[place] = key_node.start_mark.line + 1
            content[key] = self.built(value_node, place)
        return content

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> object:
        kind, text = str(node.tag).rpartition(":")[2], str(node.value)
        if kind == "int":
            return int(text) if len(text) < 40 else float(text)
        if kind == "float":
            return float(text)
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        if kind != "str":
            self._note(node, location, f"has the tag {node.tag}, which is not read here; remove it")
        return text

    def _note(self, node: yaml.Node, location: Location, message: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, dotted(location), message))
