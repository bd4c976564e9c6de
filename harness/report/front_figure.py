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
from harness.analysis.wording import count, counted, percent, plus_minus, round_count
from harness.report.canvas import canvas, log_range, round_ticks
from harness.report.palette import NEUTRAL, Look, lines, plain

SIZES = {"params": "parameters", "macs": "multiply-adds an image", "latency": "microseconds an image"}


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

    Arms of one size are drawn side by side so that their intervals can be seen; the front and the hover
    text give the true size. The teacher is a dashed line at its accuracy on validation.
    """
    figure = canvas(height=460)
    sizes = [float(value) for rows in (confirmed, searched) for value in rows[size].dropna()]
    low, high = log_range(sizes, margin=0.12)
    searched = searched[searched["accuracy"] >= floor]
    arms = [arm for arm in look if arm in {*confirmed["arm"], *searched["arm"]}]
    for index, arm in enumerate(arms):
        aside = (index - (len(arms) - 1) / 2) * 0.018 * (high - low)
        _search_marks(figure, searched[searched["arm"] == arm], size, look[arm], 10**aside)
        _confirmed_marks(figure, confirmed[confirmed["arm"] == arm], size, look[arm], 10**aside)
        _legend_entry(figure, arm, look[arm])
    for _, comparable in groups(front, COMPARABLE):
        _front_line(figure, comparable, size, 10**high)
    _student_labels(figure, confirmed if len(confirmed) else searched, size, (low + high) / 2)
    for _, teacher in teachers.iterrows():
        _teacher_line(figure, teacher)
    tops = [*confirmed["high"].dropna(), *confirmed["accuracy"], *searched["accuracy"].dropna()]
    top = max([*tops, *teachers["validation"].dropna()], default=1.0)
    margin = 0.05 * max(top - floor, 0.01)
    ticks = round_ticks(10**low, 10**high)
    figure.update_xaxes(
        type="log",
        range=[low, high],
        tickvals=ticks,
        ticktext=[round_count(t) for t in ticks],
        title=SIZES.get(size, size),
    )
    figure.update_yaxes(title="accuracy, %", range=[100 * (floor - 2 * margin), 100 * (top + 1.4 * margin)])
    figure.update_layout(showlegend=True, hovermode="closest")
    return figure


def _search_marks(figure: go.Figure, rows: pd.DataFrame, size: str, look: Look, aside: float) -> None:
    texts = [
        lines(
            f"{plain(row['arm'])} · {plain(row['student'])}",
            f"search: {percent(row['accuracy'])} % on validation, {_replicates(row)}",
            f"{count(row[size])} {SIZES.get(size, size)}",
        )
        for _, row in rows.iterrows()
    ]
    figure.add_scatter(
        x=[value * aside for value in rows[size]],
        y=[100 * value for value in rows["accuracy"]],
        mode="markers",
        marker={"symbol": f"{look.symbol}-open", "color": look.colour, "size": 7, "opacity": 0.45},
        legendgroup=look.symbol + look.colour,
        showlegend=False,
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )


def _replicates(config: pd.Series) -> str:
    """`2 replicates`, or how many of them have a value."""
    of = f" of {config['replicates']}" if not config["is_whole"] else ""
    return f"{config['n']}{of} replicates" if of else counted(int(config["n"]), "replicate")


def _confirmed_marks(figure: go.Figure, rows: pd.DataFrame, size: str, look: Look, aside: float) -> None:
    texts = [
        lines(
            f"{plain(row['arm'])} · {plain(row['student'])}",
            f"confirmed: {percent(row['accuracy'])} % {plus_minus(row['low'], row['high'])} on test",
            f"{counted(int(row['n']), 'seed')}, {count(row[size])} {SIZES.get(size, size)}",
            plain(row["command"]),
        )
        for _, row in rows.iterrows()
    ]
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
        text=texts,
        hovertemplate="%{text}<extra></extra>",
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


def _student_labels(figure: go.Figure, rows: pd.DataFrame, size: str, middle: float) -> None:
    """Each student's name at the foot of its column of points, reaching towards the middle."""
    students = students_in_order(rows)[:12]
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
