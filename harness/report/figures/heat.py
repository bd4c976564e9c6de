"""Heat maps of differences: every method for every student, and every method against every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.cells import arms_in_order, students_in_order
from harness.analysis.comparison import ALIKE
from harness.analysis.wording import gain, points, probability
from harness.report.canvas import canvas
from harness.report.palette import DIVERGING, NEUTRAL, Look, lines, plain

Row = Sequence[pd.Series | None]


def methods_by_students(compared: pd.DataFrame, baseline_arm: str) -> go.Figure:
    """Arm × student: points over one baseline; bold where told apart after Holm."""
    arms, students = arms_in_order(compared), students_in_order(compared)
    cells = {(row["arm"], row["student"]): row for _, row in compared.iterrows()}
    rows = [[cells.get((arm, student)) for student in students] for arm in arms]
    return _map(rows, arms, students, f"points over {plain(baseline_arm)}")


def every_pair(pairwise: pd.DataFrame, look: Mapping[str, Look]) -> go.Figure:
    """Arm × arm: points that the row's arm is ahead of the column's; bold where told apart after Holm."""
    arms = [arm for arm in look if arm in {*pairwise["arm"], *pairwise["other"]}]
    cells: dict[tuple[str, str], pd.Series] = {}
    for _, row in pairwise.iterrows():
        cells[row["arm"], row["other"]] = row
        cells[row["other"], row["arm"]] = _turned(row)
    rows = [[cells.get((arm, other)) for other in arms] for arm in arms]
    return _map(rows, arms, arms, "points ahead of")


def _turned(row: pd.Series) -> pd.Series:
    """A comparison from the other side."""
    turned = row.copy()
    turned["difference"], turned["low"], turned["high"] = -row["difference"], -row["high"], -row["low"]
    return turned


def _map(rows: Sequence[Row], down: Sequence[str], across: Sequence[str], what: str) -> go.Figure:
    figure = canvas(height=110 + 30 * len(down))
    values = [[None if cell is None else 100 * float(cell["difference"]) for cell in row] for row in rows]
    most = max((abs(value) for row in values for value in row if value is not None), default=1.0) or 1.0
    told = [
        [_told(cell, name, other, what) for cell, other in zip(row, across, strict=True)]
        for row, name in zip(rows, down, strict=True)
    ]
    bar = {"title": {"text": "points", "side": "right"}, "thickness": 10, "outlinewidth": 0, "tickcolor": NEUTRAL}
    figure.add_heatmap(
        x=[plain(name) for name in across],
        y=[plain(name) for name in down],
        z=values,
        zmin=-most,
        zmax=most,
        colorscale=DIVERGING,
        xgap=2,
        ygap=2,
        text=[[_said(cell) for cell in row] for row in rows],
        texttemplate="%{text}",
        textfont={"size": 11, "color": "#111111"},
        hovertext=told,
        hovertemplate="%{hovertext}<extra></extra>",
        hoverongaps=False,
        colorbar=bar,
    )
    figure.update_xaxes(side="top", showgrid=False, showline=False, ticks="", title=what if "ahead" in what else None)
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False, ticks="")
    figure.update_layout(hovermode="closest")
    return figure


def _said(cell: pd.Series | None) -> str:
    if cell is None:
        return ""
    size = points(cell["difference"])
    return size if cell["verdict"] == ALIKE else f"<b>{size}</b>"


def _told(cell: pd.Series | None, row: str, column: str, what: str) -> str:
    if cell is None:
        return ""
    return lines(
        f"{plain(row)}, {plain(column)} ({what})",
        gain(cell["difference"], cell["low"], cell["high"]),
        f"{probability(cell['p_holm'])} after Holm, {int(cell['n'])} common seeds",
    )
