"""How a search went: the best config so far of each arm of one student, and every config's own value, faint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.cells import arms_in_order
from harness.report.canvas import MANY, canvas, time_unit
from harness.report.palette import Look, plain

Over = Literal["configs", "train_seconds"]


def search_history(history: pd.DataFrame, over: Over, look: Mapping[str, Look]) -> go.Figure:
    """One student, over configs or over what its search has trained; a value is a mean on validation."""
    figure = canvas(height=280)
    seconds = float(history["train_seconds"].max())
    unit, scale = ("configs finished", 1.0) if over == "configs" else time_unit(seconds, "training time")
    kind = "scattergl" if len(history) > MANY else "scatter"
    for arm in arms_in_order(history):
        rows = history[history["arm"] == arm].sort_values("configs")
        x = [scale * value for value in rows[over]]
        figure.add_trace(
            {
                "type": kind,
                "x": x,
                "y": [100 * value for value in rows["accuracy"]],
                "mode": "markers",
                "marker": {"symbol": f"{look[arm].symbol}-open", "color": look[arm].colour, "size": 6, "opacity": 0.5},
                "name": plain(arm),
                "customdata": rows["config_id"].tolist(),
                "showlegend": False,
            }
        )
        figure.add_scatter(
            x=x,
            y=[100 * value for value in rows["best"]],
            mode="lines",
            line={"shape": "hv", "color": look[arm].colour, "width": 2, "dash": look[arm].dash},
            name=plain(arm),
            hoverinfo="skip",
        )
    figure.update_xaxes(title=unit, rangemode="tozero")
    if over == "configs":
        figure.update_xaxes(dtick=max(1, round(history["configs"].max() / 6)))
    figure.update_yaxes(title="validation, %")
    figure.update_layout(hovermode="closest")
    return figure
