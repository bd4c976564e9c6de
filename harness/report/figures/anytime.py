"""Anytime views: the best accuracy and the hypervolume so far against the seconds that devices have worked."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.report.canvas import canvas, time_unit
from harness.report.palette import Look, plain


def anytime(bands: pd.DataFrame, look: Mapping[str, Look], title: str, height: int = 300) -> go.Figure:
    """A line an arm, the median over curves, in the band of their quartiles; values in percent."""
    figure = canvas(height)
    unit, scale = time_unit(float(bands["device_seconds"].max()), "device time")
    for arm in look:
        own = bands[bands["arm"] == arm].sort_values("device_seconds")
        if own.empty:
            continue
        x = [scale * value for value in own["device_seconds"]]
        if int(own["n"].max()) > 1:
            _band(figure, x, own, look[arm])
        figure.add_scatter(
            x=x,
            y=[100 * value for value in own["median"]],
            mode="lines",
            line={"shape": "hv", "color": look[arm].colour, "width": 2, "dash": look[arm].dash},
            name=plain(arm),
            hovertemplate="%{y:.2f} %",
        )
    figure.update_xaxes(title=unit, rangemode="tozero")
    figure.update_yaxes(title=title)
    return figure


def _band(figure: go.Figure, x: list[float], own: pd.DataFrame, look: Look) -> None:
    for edge, fill in (("low", None), ("high", "tonexty")):
        figure.add_scatter(
            x=x,
            y=[100 * value for value in own[edge]],
            mode="lines",
            line={"shape": "hv", "width": 0, "color": look.colour},
            fill=fill,
            fillcolor=look.tint(0.15),
            hoverinfo="skip",
            showlegend=False,
        )
