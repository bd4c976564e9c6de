"""The winner's curse: what each finalist was worth to the search, on fresh seeds, and on test."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.report.canvas import canvas, named_rows
from harness.report.palette import NEUTRAL, Look, plain

MOST = 40
"""Finalists in one figure, the most accurate on test."""
_STAGES = (("searched", "search, validation"), ("fresh", "fresh seeds, validation"), ("test", "fresh seeds, test"))


def finalists(curse: pd.DataFrame, look: Mapping[str, Look]) -> go.Figure:
    """A line a finalist through its three values, the best on test at the top."""
    rows = curse.sort_values("test", ascending=False).head(MOST)
    figure = canvas(height=90 + 22 * len(rows))
    for place, (_, row) in enumerate(rows.iterrows()):
        values = [100 * row[stage] for stage, _ in _STAGES if pd.notna(row[stage])]
        figure.add_scatter(
            x=[min(values), max(values)],
            y=[place, place],
            mode="lines",
            line={"color": NEUTRAL, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    for stage, name in _STAGES:
        of = rows.reset_index(drop=True).dropna(subset=stage)
        figure.add_scatter(
            x=[100 * value for value in of[stage]],
            y=list(of.index),
            mode="markers",
            marker={
                "symbol": [f"{look[arm].symbol}{_drawn(stage)}" for arm in of["arm"]],
                "color": [look[arm].colour for arm in of["arm"]],
                "size": 11 if stage == "test" else 9,
                "opacity": 0.55 if stage == "fresh" else 1,
            },
            customdata=of["config_id"].tolist(),
            showlegend=False,
        )
        marker = {"symbol": f"circle{_drawn(stage)}", "color": NEUTRAL, "size": 9}
        marker["opacity"] = 0.55 if stage == "fresh" else 1
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name)
    labels = [f"{plain(row['arm'])} · {plain(row['student'])}" for _, row in rows.iterrows()]
    named_rows(figure, labels)
    figure.update_xaxes(title="accuracy, %")
    figure.update_layout(hovermode="closest", showlegend=True)
    return figure


def _drawn(stage: str) -> str:
    return "-open" if stage == "searched" else ""
