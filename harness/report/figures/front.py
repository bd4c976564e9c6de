"""The main figure: accuracy against size, with what was searched, what was confirmed, and the front.

Evidence is told apart by its marks: hollow and faint is a search's value on validation, filled with an
interval is a confirmed mean on test. Only the second kind makes the front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.cells import COMPARABLE, groups, students_in_order
from harness.analysis.wording import round_count
from harness.report.canvas import MANY, canvas, log_range, round_ticks
from harness.report.palette import NEUTRAL, Look, plain

SIZES = {
    "params": "parameters",
    "macs": "multiply-adds an image",
    "latency": "microseconds an image",
    "train_seconds": "seconds to train it once",
}
"""What accuracy is drawn against; the first three are what a study may minimise."""
_SHARED = ("params", "macs")
"""Sizes that all arms of one student share, so that their marks would lie on each other."""


def accuracy_against_size(
    *,
    confirmed: pd.DataFrame,
    searched: pd.DataFrame,
    front: pd.DataFrame,
    teachers: pd.DataFrame,
    size: str,
    look: Mapping[str, Look],
    floor: float,
) -> go.Figure:
    """Search configs on validation (hollow), confirmed test means with intervals (filled), their front.

    Arms of one size are drawn side by side so that their intervals can be seen; the front gives the true size. The
    teacher is a dashed line at its accuracy on validation, training from scratch a dotted one through its rows.
    """
    figure = canvas(height=470)
    searched, confirmed = (rows.dropna(subset=size) for rows in (searched[searched["accuracy"] >= floor], confirmed))
    sizes = [float(value) for rows in (confirmed, searched) for value in rows[size] if value > 0]
    low, high = log_range(sizes, margin=0.12)
    arms = [arm for arm in look if arm in {*confirmed["arm"], *searched["arm"]}]
    kind = "scattergl" if len(searched) > MANY else "scatter"
    for index, arm in enumerate(arms):
        aside = (index - (len(arms) - 1) / 2) * min(0.018, 0.12 / len(arms)) * (high - low) * (size in _SHARED)
        _scratch_line(figure, confirmed[confirmed["arm"] == arm], size, 10**aside)
        _search_marks(figure, searched[searched["arm"] == arm], size, look[arm], 10**aside, kind)
        _confirmed_marks(figure, confirmed[confirmed["arm"] == arm], size, look[arm], 10**aside)
        _legend_entry(figure, arm, look[arm])
    for _, comparable in groups(front, COMPARABLE):
        _front_line(figure, comparable, size, 10**high)
    if size in _SHARED:
        _student_labels(figure, confirmed if len(confirmed) else searched, size, (low + high) / 2)
    for _, teacher in teachers.iterrows():
        _teacher_line(figure, teacher)
    tops = [*confirmed["high"].dropna(), *confirmed["accuracy"], *searched["accuracy"].dropna()]
    top = max([*tops, *teachers["validation"].dropna()], default=1.0)
    margin = 0.05 * max(top - floor, 0.01)
    ticks = round_ticks(10**low, 10**high)
    figure.update_xaxes(
        type="log", range=[low, high], tickvals=ticks, ticktext=[round_count(t) for t in ticks], title=SIZES[size]
    )
    figure.update_yaxes(title="accuracy, %", range=[100 * (floor - 2 * margin), 100 * (top + 1.4 * margin)])
    figure.update_layout(showlegend=True, hovermode="closest")
    return figure


def _search_marks(figure: go.Figure, rows: pd.DataFrame, size: str, look: Look, aside: float, kind: str) -> None:
    figure.add_trace(
        {
            "type": kind,
            "x": [value * aside for value in rows[size]],
            "y": [100 * value for value in rows["accuracy"]],
            "mode": "markers",
            "marker": {"symbol": f"{look.symbol}-open", "color": look.colour, "size": 6, "opacity": _faint(len(rows))},
            "legendgroup": look.symbol + look.colour,
            "showlegend": False,
            "customdata": rows["config_id"].tolist(),
        }
    )


def _faint(count: int) -> float:
    """The opacity of many marks: the more there are, the fainter."""
    return max(0.18, min(0.5, 6 / math.sqrt(max(count, 1))))


def _confirmed_marks(figure: go.Figure, rows: pd.DataFrame, size: str, look: Look, aside: float) -> None:
    figure.add_scatter(
        x=[value * aside for value in rows[size]],
        y=[100 * value for value in rows["accuracy"]],
        error_y={
            "type": "data",
            "array": [100 * value for value in (rows["high"] - rows["accuracy"]).fillna(0.0)],
            "color": look.colour,
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        marker={"symbol": look.symbol, "color": look.colour, "size": 10},
        showlegend=False,
        legendgroup=look.symbol + look.colour,
        customdata=rows["config_id"].tolist(),
    )


def _legend_entry(figure: go.Figure, arm: str, look: Look) -> None:
    """The arm in the legend even where it has only search configs; a click hides both its kinds of marks."""
    marker = {"symbol": look.symbol, "color": look.colour, "size": 10}
    group = look.symbol + look.colour
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=plain(arm), legendgroup=group)


def _front_line(figure: go.Figure, front: pd.DataFrame, size: str, right: float) -> None:
    """The best accuracy that a size affords: level up to the next row of the front, then up."""
    figure.add_scatter(
        x=[*front[size], right],
        y=[100 * value for value in [*front["accuracy"], front["accuracy"].iloc[-1]]],
        mode="lines",
        line={"shape": "hv", "color": NEUTRAL, "width": 1.5},
        name="front",
        hoverinfo="skip",
    )


def _scratch_line(figure: go.Figure, confirmed: pd.DataFrame, size: str, aside: float) -> None:
    """What the students reach without a teacher, from one to the next."""
    rows = confirmed[confirmed["method"] == "scratch"].sort_values("validation", ascending=False)
    rows = rows.drop_duplicates("student").sort_values(size)
    if len(rows) > 1:
        figure.add_scatter(
            x=[value * aside for value in rows[size]],
            y=[100 * value for value in rows["accuracy"]],
            mode="lines",
            line={"color": NEUTRAL, "width": 1.2, "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
        )


def _student_labels(figure: go.Figure, rows: pd.DataFrame, size: str, middle: float) -> None:
    """Each student's name at the foot of its column of points, reaching towards the middle; none where they crowd."""
    students = students_in_order(rows)
    if len(students) > 6:
        return
    for index, student in enumerate(students):
        place = math.log10(float(rows.loc[rows["student"] == student, size].median()))
        figure.add_annotation(
            x=place,
            xanchor="center" if len(students) == 1 else "left" if place < middle else "right",
            xshift=0 if len(students) == 1 else -22 if place < middle else 22,
            yref="paper",
            y=0,
            yanchor="bottom",
            yshift=13 * (index % 2) if len(students) > 3 else 0,
            text=plain(student),
            showarrow=False,
            font={"size": 11},
        )


def _teacher_line(figure: go.Figure, teacher: pd.Series) -> None:
    if pd.isna(teacher["validation"]):
        return
    level = 100 * float(teacher["validation"])
    line = {"color": NEUTRAL, "width": 1.2, "dash": "dash"}
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=level, y1=level, line=line)
    figure.add_annotation(
        xref="paper",
        x=0.01,
        y=level,
        xanchor="left",
        yanchor="bottom",
        text=f"teacher: {level:.2f} % on validation",
        showarrow=False,
        font={"size": 11},
    )
