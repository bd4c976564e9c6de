"""Cost and utilisation over time: trials at a time, and the device time that each purpose has used so far."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from harness.report.canvas import time_unit, two_rows
from harness.report.palette import PURPOSES


def usage_over_time(over_time: pd.DataFrame) -> go.Figure:
    """Two panels over the wall clock: how many trials run at a time, and the hours that workers were held."""
    figure = two_rows(height=400, spacing=0.1)
    clock, per_second = time_unit(float(over_time["seconds"].max()), "wall clock since the first start")
    held = over_time.groupby("purpose")["spent"].max().sum()
    spent, per_held = time_unit(float(held), "device time")
    for purpose, look in PURPOSES.items():
        rows = over_time[over_time["purpose"] == purpose]
        if rows.empty:
            continue
        for row, (measure, scale, shape) in enumerate((("running", 1.0, "vh"), ("spent", per_held, "linear")), start=1):
            figure.add_scatter(
                x=[0.0, *(per_second * value for value in rows["seconds"])],
                y=[0.0, *(scale * value for value in rows[measure])],
                mode="lines",
                line={"color": look.colour, "width": 1, "shape": shape},
                fillcolor=look.tint(0.35),
                stackgroup=measure,
                name=purpose,
                showlegend=row == 1,
                legendgroup=purpose,
                hovertemplate="%{y:.3g}",
                row=row,
                col=1,
            )
    figure.update_yaxes(title="trials at a time", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title=spent, rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title=clock, row=2, col=1)
    figure.update_layout(showlegend=True)
    return figure
