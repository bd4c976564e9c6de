"""The canvas that every figure is drawn on: transparent, with neutral greys that suit a light and a dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from harness.report.palette import NEUTRAL

GRID = "rgba(128,128,128,0.22)"
MANY = 1500
"""Marks in a figure from which it is drawn by WebGL, where the browser has it."""


_AXIS = {
    **{"gridcolor": GRID, "zeroline": False, "automargin": True, "linecolor": NEUTRAL, "ticks": "outside"},
    **{"title": {"standoff": 6}, "tickcolor": NEUTRAL},
}
_ACROSS = {**_AXIS, "showline": True}
_LAYOUT = {
    "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 12, "color": NEUTRAL},
    "showlegend": False,
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    "hovermode": "x unified",
    "hoverlabel": {"bgcolor": "#24292f", "font": {"color": "#ffffff", "size": 12}, "align": "left"},
    "dragmode": False,
    "xaxis": _ACROSS,
    "yaxis": _AXIS,
}
"""Given to a figure when it is made: an update of a figure that exists takes ten times as long."""


def canvas(height: int) -> go.Figure:
    """An empty figure of a height in pixels, with the fonts, margins, greys and axes that all share; its width is the
    page's."""
    return go.Figure(layout={**_LAYOUT, "height": height})


def two_rows(height: int, spacing: float) -> go.Figure:
    """A canvas with two panels over one horizontal axis, so far apart (a fraction of the height)."""
    both = canvas(height).update_layout(xaxis2=_ACROSS, yaxis2=_AXIS)
    return make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=spacing, figure=both)


def round_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, … inside a range above zero; whole decades only where that would be more than eight."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    inside = [value for value in fine if low <= value <= high]
    return inside if len(inside) <= 8 else [value for value in inside if math.log10(value) % 1 == 0]


def log_range(values: Sequence[float], margin: float) -> tuple[float, float]:
    """The decimal logarithms between which values above zero lie, with a margin (a fraction of the span)."""
    low, high = (math.log10(edge) for edge in (min(values, default=1.0), max(values, default=10.0)))
    aside = margin * max(high - low, 0.5)
    return low - aside, high + aside


def time_unit(longest: float, what: str) -> tuple[str, float]:
    """How an axis that reaches so many seconds is titled, and its unit's share of one second."""
    if longest < 120:
        return f"{what}, s", 1.0
    return (f"{what}, min", 1 / 60) if longest < 7200 else (f"{what}, h", 1 / 3600)


def named_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Names the rows of a figure that has a row for each, the first at the top."""
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=list(names), range=[len(names) - 0.4, -0.6])
    figure.update_yaxes(showgrid=False)
