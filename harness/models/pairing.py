"""Paired taps: which tap of the student learns from which tap of the teacher.

    taps: all                      every size of map at which both have a stage's end
    taps: 2                        the two deepest of these
    taps: middle                   the middle one of these
    taps: [stage2, stage3]         the same path in both networks
    taps: [{student: features.6, teacher: layer2}, embedding]

Stages are paired by the size of their maps and never by their number: families differ in how many stages
they have and where they halve. Taps that a study pairs by name may differ in size: a method that compares
maps position by position then averages the larger down to the smaller, and `harness show` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from harness.models.taps import EMBEDDING, Anatomy, Shape
from harness.spec import Spec


class TapPair(Spec):
    """A tap of the student and the tap of the teacher that it learns from."""

    student: str
    teacher: str


Named = tuple[str | TapPair, ...]
_WISH: TypeAdapter[Literal["all", "middle"] | int | Named] = TypeAdapter(
    Literal["all", "middle"] | Annotated[int, Field(ge=1, strict=True)] | Annotated[Named, Field(min_length=1)]
)


def _wish(content: object) -> Literal["all", "middle"] | int | Named:
    try:
        return _WISH.validate_python(content)
    except ValidationError:
        raise ValueError(
            "taps are all, middle, the number of the deepest, or a list of names or {student: …, teacher: …}"
        ) from None


def _plain(wish: Literal["all", "middle"] | int | Named) -> object:
    if not isinstance(wish, tuple):
        return wish
    return [pair if isinstance(pair, str) else {"student": pair.student, "teacher": pair.teacher} for pair in wish]


Taps = Annotated[Literal["all", "middle"] | int | Named, PlainValidator(_wish), PlainSerializer(_plain)]
"""What a study wishes: see the module's first lines."""


@dataclass(frozen=True)
class PairedTap:
    """A tap of the student joined to one of the teacher."""

    student: str
    teacher: str
    student_shape: Shape
    teacher_shape: Shape

    @property
    def name(self) -> str:
        """Under which both maps are given to a method."""
        return self.student if self.student == self.teacher else f"{self.student}={self.teacher}"

    @property
    def common_size(self) -> tuple[int, int]:
        """The smaller of the two heights and of the two widths."""
        (_, *ours), (_, *theirs) = self.student_shape, self.teacher_shape
        return min(ours[0], theirs[0]), min(ours[1], theirs[1])

    @property
    def is_resized(self) -> bool:
        """Whether the maps differ in height or width."""
        return self.student_shape[1:] != self.teacher_shape[1:]


def paired_taps(wish: Taps, student: Anatomy, teacher: Anatomy) -> tuple[PairedTap, ...]:
    """The pairs that a wish comes to, shallow to deep in the student.

    Raises `ValueError` for a tap that one of the two does not have, and where too few sizes are common.
    """
    if isinstance(wish, tuple):
        named = [pair if isinstance(pair, TapPair) else TapPair(student=pair, teacher=pair) for pair in wish]
        pairs = [(pair.student, pair.teacher) for pair in named]
        if len(set(pairs)) < len(pairs):
            raise ValueError("a tap stands twice; keep one")
        joined = [_joined(pair, student, teacher) for pair in pairs]
        return tuple(sorted(joined, key=lambda pair: list(student.maps).index(pair.student)))
    common = [_joined(pair, student, teacher) for pair in _of_equal_size(student, teacher)]
    if wish == "all":
        chosen: Sequence[PairedTap] = common
    elif wish == "middle":
        chosen = common[len(common) // 2 :][:1]
    else:
        chosen = common[-wish:] if wish <= len(common) else []
    if not chosen:
        asked = "a pair" if isinstance(wish, str) else f"{wish} pairs"
        raise ValueError(
            f"the stages of {student.label} ({_sizes(student)}) and {teacher.label} ({_sizes(teacher)}) have "
            f"{len(common)} sizes in common, and {asked} of taps are asked for; name them: "
            f"taps: [{{student: …, teacher: …}}]"
        )
    return tuple(chosen)


def _of_equal_size(student: Anatomy, teacher: Anatomy) -> list[tuple[str, str]]:
    """At every size that both have, the deepest stage's end of each."""
    ours, theirs = ({anatomy.shape(path)[1:]: path for path in anatomy.stages} for anatomy in (student, teacher))
    return [(path, theirs[size]) for size, path in ours.items() if size in theirs]


def _joined(pair: tuple[str, str], student: Anatomy, teacher: Anatomy) -> PairedTap:
    shapes = []
    for role, path, anatomy in zip(("student", "teacher"), pair, (student, teacher), strict=True):
        if path == EMBEDDING and EMBEDDING not in anatomy.maps:
            raise ValueError(f"the {role} {anatomy.label} has no embedding: it ends in no linear layer; name a tap")
        try:
            shapes.append(anatomy.shape(path))
        except ValueError as error:
            raise ValueError(f"the {role} {error}") from None
    return PairedTap(*pair, *shapes)


def _sizes(anatomy: Anatomy) -> str:
    return ", ".join("×".join(map(str, anatomy.shape(path)[1:])) for path in anatomy.stages)
