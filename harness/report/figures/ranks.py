"""The critical difference diagram: average ranks on a line, and bars over what cannot be told apart (Demšar 2006)."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from harness.analysis.ranking import Ranking
from harness.report.canvas import canvas
from harness.report.palette import NEUTRAL, Look, plain

_STEP = 24
"""Pixels between two names."""


def critical_differences(of: Ranking, look: Mapping[str, Look]) -> go.Figure:
    """Ranks from the best on the left; the better half is named on the left, the worse half on the right."""
    count = len(of.arms)
    half = (count + 1) // 2
    depth = len(of.cliques) * 0.5 + 0.6
    rows = depth + max(half, count - half)
    figure = canvas(height=int(96 + _STEP * (rows + 1)))
    last = float(max(count, 2))
    for index, (arm, rank) in enumerate(zip(of.arms, of.ranks, strict=True)):
        is_left = index < half
        level = -(depth + (index if is_left else count - 1 - index))
        edge = 0.9 if is_left else last + 0.1
        figure.add_scatter(
            x=[rank, rank, edge],
            y=[0, level, level],
            mode="lines",
            line={"color": look[arm].colour, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=[rank],
            y=[0],
            mode="markers",
            marker={"symbol": look[arm].symbol, "color": look[arm].colour, "size": 10},
            hovertemplate=f"{plain(arm)}: average rank {rank:.2f}<extra></extra>",
            showlegend=False,
        )
        figure.add_annotation(
            x=edge,
            y=level,
            text=f"{plain(arm)} {rank:.2f}" if not is_left else f"{rank:.2f} {plain(arm)}",
            xanchor="right" if is_left else "left",
            xshift=-4 if is_left else 4,
            showarrow=False,
        )
    for place, clique in enumerate(of.cliques):
        ranks = [of.ranks[of.arms.index(arm)] for arm in clique]
        y = -0.5 * (place + 1)
        bar = {"color": NEUTRAL, "width": 5}
        figure.add_shape(type="line", x0=min(ranks) - 0.03, x1=max(ranks) + 0.03, y0=y, y1=y, line=bar)
    reach = min(of.critical_difference, last - 1)
    figure.add_shape(type="line", x0=1, x1=1 + reach, y0=1.1, y1=1.1, line={"color": NEUTRAL, "width": 2})
    figure.add_annotation(x=1, y=1.1, xanchor="left", yanchor="bottom", text=_reach(of, last), showarrow=False)
    aside = min(150, 52 + 7 * max(map(len, of.arms)))
    figure.update_layout(margin={"l": aside, "r": aside})
    figure.update_xaxes(range=[0.9, last + 0.1], tickvals=list(range(1, count + 1)), side="top", showgrid=False)
    figure.update_xaxes(title="average rank", showline=False, ticks="")
    figure.update_yaxes(visible=False, range=[-rows - 0.2, 2.2])
    figure.add_shape(type="line", x0=1, x1=last, y0=0, y1=0, line={"color": NEUTRAL, "width": 1}, layer="below")
    figure.update_layout(hovermode="closest")
    return figure


def _reach(of: Ranking, last: float) -> str:
    longer = " (longer than the line)" if of.critical_difference > last - 1 else ""
    return f"critical difference {of.critical_difference:.2f}{longer}"
