"""Parallel coordinates of one arm's search: a line a config, the darker and wider the better.

Drawn with ordinary lines and not with Plotly's own trace, which needs WebGL, has no colours for categories and
cannot tell which line was clicked.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

import plotly.graph_objects as go

from harness.analysis.coordinates import Axis, Coordinates
from harness.report.canvas import canvas
from harness.report.palette import GRADES, NEUTRAL, plain

CLOSE = 4
"""Axes of which more stand too close for their names beside each other."""
ROW = 30
"""Pixels of a row of names."""


def parallel_coordinates(of: Coordinates) -> go.Figure:
    """Every searched field an axis; the last is how far below the best config of its student each lies."""
    count = len(of.axes)
    rows = min(3, -(-count // CLOSE))
    figure = canvas(height=300 + ROW * (rows - 1))
    for grade, members in enumerate(_graded(of)):
        _lines(figure, of, members, grade)
    # All at once: added one by one they take a second a figure, for Plotly checks those that are there each time.
    lines = [_line(place) for place in range(count)]
    names = [_heading(axis, place, count, place % rows) for place, axis in enumerate(of.axes)]
    ticks = [text for place, axis in enumerate(of.axes) for text in _ticks(axis, place)]
    figure.update_layout(shapes=lines, annotations=[*names, *ticks])
    figure.update_xaxes(visible=False, range=[-0.12, count - 1 + 0.5])
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    figure.update_layout(margin={"t": 44 + ROW * (rows - 1)})
    figure.update_layout(hovermode="closest", meta={"lines": True})
    return figure


def _graded(of: Coordinates) -> list[list[int]]:
    """The configs in as many classes as there are grades, by the order of their loss, the worst class first."""
    count = len(of.config_ids)
    classes = min(len(GRADES), count)
    return [list(range(k * count // classes, (k + 1) * count // classes)) for k in range(classes)]


def _lines(figure: go.Figure, of: Coordinates, members: list[int], grade: int) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    ids: list[str | None] = []
    for index in members:
        x += [*range(len(of.axes)), None]
        y += [*(axis.places[index] for axis in of.axes), None]
        ids += [*[of.config_ids[index]] * len(of.axes), None]
    share = (grade + 1) / len(GRADES)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": GRADES[grade], "width": 0.6 + 1.2 * share},
        marker={"size": 4, "color": GRADES[grade]},
        opacity=0.25 + 0.7 * share,
        customdata=ids,
        showlegend=False,
    )


def _line(place: int) -> dict[str, object]:
    ends = {"x0": place, "x1": place, "y0": 0, "y1": 1}
    return {"type": "line", **ends, "line": {"color": NEUTRAL, "width": 1}, "layer": "below"}


def _heading(axis: Axis, place: int, count: int, row: int) -> dict[str, object]:
    """An axis's name above it, in one of some rows, from all but the lowest of which a line leads to it."""
    side, shift = {0: ("left", -8), count - 1: ("right", 24)}.get(place, ("center", 0))
    leader = {"showarrow": True, "ax": shift, "ay": -ROW * row, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": NEUTRAL}
    return {
        "x": place,
        "y": 1.06,
        "yref": "y",
        "yanchor": "bottom",
        "xanchor": side,
        "text": _name(axis),
        "align": side,
        "font": {"size": 11},
        **(leader if row else {"showarrow": False, "xshift": shift}),
    }


def _ticks(axis: Axis, place: int) -> Iterator[dict[str, object]]:
    for at, words in axis.ticks:
        where = {"x": place, "y": at, "xanchor": "left", "xshift": 5}
        yield {**where, "text": plain(words), "showarrow": False, "font": {"size": 10}}


def _name(axis: Axis) -> str:
    """The last two parts of a dotted path, below each other, or the words of what is no path."""
    parts = axis.path.split(".")[-2:] if "." in axis.path else wrap(axis.path, 14)
    return "<br>".join(plain(part.replace("_", " ")) for part in parts)
