"""A panel: one place on the page with its figures, and the panels of a pair's students."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.cells import Pair, of_pair, pairs, students_in_order
from harness.report.palette import plain


@dataclass(frozen=True)
class Panel:
    """One place on the page: a title, a figure for each choice (one, without a name, where there is none), a note."""

    title: str
    figures: Mapping[str, go.Figure]
    note: str = ""
    name: str = ""
    """What its file is called."""

    @property
    def height(self) -> int:
        """The pixels that the page keeps free until the figure is drawn."""
        return max(int(figure.layout.height) for figure in self.figures.values())


def slug(text: str) -> str:
    """A text as part of a file's name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def pair_title(pair: Pair) -> str:
    """`digits, teacher resnet20-w16`."""
    return f"{pair.dataset}, teacher {pair.teacher}" if pair.teacher else pair.dataset


def by_student(rows: pd.DataFrame, draw: Callable[[pd.DataFrame], Mapping[str, go.Figure]]) -> Iterator[Panel]:
    """A panel per pair and student."""
    several = len(pairs(rows)) > 1
    for pair in pairs(rows):
        members = of_pair(rows, pair)
        for student in students_in_order(members):
            title = f"{student} · {pair_title(pair)}" if several else student
            own = members[members["student"] == student]
            meta = {"group": group_key(pair.dataset, student)}
            figures = {choice: figure.update_layout(meta=meta) for choice, figure in draw(own).items()}
            yield Panel(title, figures)


def group_key(dataset: object, student: object) -> str:
    """What tells the page which panels of one student a config belongs to."""
    return plain(f"{dataset} · {student}")
