"""Checks YAML files of either kind, told apart by what they hold."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from harness.source import Problem, Source, SpecError, read_yaml
from harness.spec import problems_of
from harness.study.shelf import NotOnShelfError, everything, find
from harness.study.space import SpaceFile
from harness.study.study import load_study

STUDY_KEYS = {"question", "pairs", "arms"}


def everything_here() -> list[str]:
    """All studies and search spaces that a name can mean here."""
    return [str(path) for kind in ("studies", "search_spaces") for path in everything(kind).values()]


def check_files(files: Sequence[str]) -> dict[str, Sequence[Problem]]:
    """File → what is wrong with it, nothing if it is good; a name means a study."""
    return {file: _problems(file) for file in files}


def _problems(file: str) -> Sequence[Problem]:
    try:
        path = find("studies", file)
        source = read_yaml(path)
        if path.parent.name == "search_spaces" or not STUDY_KEYS & source.content.keys():
            return _problems_of_space(source)
        load_study(str(path))
    except NotOnShelfError as error:
        return [Problem(file, None, "", str(error))]
    except SpecError as error:
        return error.problems
    return []


def _problems_of_space(source: Source) -> list[Problem]:
    """A space by itself: its domains are checked here, its paths by the studies that name it."""
    try:
        SpaceFile(space=source.content)
    except ValidationError as error:
        return list(problems_of(error, source, SpaceFile, lambda location: (source, location[1:])))
    return []
