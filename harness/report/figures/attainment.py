"""Attainment surfaces: the accuracy that an arm reaches at a size in a quarter, half and three quarters of seeds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.wording import round_count
from harness.report.canvas import canvas, log_range, round_ticks
from harness.report.figures.front import SIZES
from harness.report.palette import Look, plain


def attainment_surfaces(surfaces: pd.DataFrame, size: str, look: Mapping[str, Look]) -> go.Figure:
    """A line an arm, what half of its seeds reach, in the band between a quarter and three quarters of them."""
    figure = canvas(height=380)
    low, high = log_range([float(value) for value in surfaces["size"]], margin=0.12)
    for arm in look:
        own = surfaces[surfaces["arm"] == arm]
        if own.empty:
            continue
        levels = sorted(own["level"].unique(), reverse=True)
        edges = [_steps(own[own["level"] == level], 10**high) for level in (levels[0], levels[-1])]
        for (x, y), fill in zip(edges, (None, "tonexty"), strict=True):
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines",
                line={"shape": "hv", "width": 0, "color": look[arm].colour},
                fill=fill,
                fillcolor=look[arm].tint(0.13),
                hoverinfo="skip",
                showlegend=False,
            )
        x, y = _steps(own[own["level"] == levels[len(levels) // 2]], 10**high)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            line={"shape": "hv", "color": look[arm].colour, "width": 2, "dash": look[arm].dash},
            marker={"symbol": look[arm].symbol, "size": [8] * (len(x) - 1) + [0], "color": look[arm].colour},
            name=plain(arm),
            hovertemplate=f"{plain(arm)}: %{{y:.2f}} % in half of {int(own['n'].iloc[0])} seeds<extra></extra>",
        )
    ticks = round_ticks(10**low, 10**high)
    figure.update_xaxes(
        type="log", range=[low, high], tickvals=ticks, ticktext=[round_count(t) for t in ticks], title=SIZES[size]
    )
    figure.update_yaxes(title="test accuracy, %")
    figure.update_layout(hovermode="closest", showlegend=True, legend={"traceorder": "normal"})
    return figure


def _steps(surface: pd.DataFrame, right: float) -> tuple[list[float], list[float]]:
    """The corners of a surface in percent, and its last level up to the edge of the figure."""
    rows = surface.sort_values("size")
    y = [100 * float(value) for value in rows["accuracy"]]
    return [*(float(value) for value in rows["size"]), right], [*y, y[-1]]
