"""Differences to one baseline, student by student: filled where told apart after Holm, else hollow."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.cells import arms_in_order, students_in_order
from harness.analysis.comparison import ALIKE
from harness.analysis.wording import counted, gain, probability
from harness.report.canvas import canvas, named_rows
from harness.report.palette import NEUTRAL, Look, lines, plain


def forest(compared: pd.DataFrame, look: Mapping[str, Look]) -> go.Figure:
    """The comparisons with one baseline, each with its interval, under the name of its student."""
    labels: list[str] = []
    figure = canvas(height=130)
    for student in students_in_order(compared):
        labels.append(f"<b>{plain(student)}</b>")
        own = compared[compared["student"] == student]
        for arm in arms_in_order(own):
            for _, row in own[own["arm"] == arm].iterrows():
                _mark(figure, row, len(labels), look[arm])
                labels.append(plain(arm))
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1.2})
    ends = [0.0, *(100 * compared[["low", "high", "difference"]]).stack().dropna()]
    aside = 0.06 * max(max(ends) - min(ends), 0.1)
    figure.update_xaxes(range=[min(ends) - aside, max(ends) + aside])
    figure.update_xaxes(title=f"test points over {plain(compared['baseline_arm'].iloc[0])}")
    named_rows(figure, labels)
    figure.update_layout(height=100 + 26 * len(labels), hovermode="closest")
    return figure


def _mark(figure: go.Figure, row: pd.Series, place: int, look: Look) -> None:
    symbol = f"{look.symbol}-open" if row["verdict"] == ALIKE else look.symbol
    ends = [100 * value for value in (row["low"], row["high"]) if not pd.isna(value)]
    line = {"color": look.colour}
    figure.add_scatter(x=ends, y=[place] * len(ends), mode="lines", line=line, hoverinfo="skip", showlegend=False)
    text = lines(
        f"{plain(row['arm'])} · {plain(row['student'])}: {plain(row['verdict'])}",
        gain(row["difference"], row["low"], row["high"]),
        f"{probability(row['p_holm'])} after Holm, {counted(int(row['n']), 'common seed')}",
    )
    config = row["config_id"]
    figure.add_scatter(
        x=[100 * row["difference"]],
        y=[place],
        mode="markers",
        marker={"symbol": symbol, "color": look.colour, "size": 10, "line": {"width": 1.5, "color": look.colour}},
        text=[text],
        customdata=[config] if isinstance(config, str) else None,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
