"""Learning curves of one student, and the named losses of one of its arms, by epoch."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.cells import arms_in_order
from harness.report.canvas import canvas, log_range, round_ticks, two_rows
from harness.report.palette import Look, plain

_DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]


def learning_curves(curves: pd.DataFrame, look: Mapping[str, Look]) -> go.Figure:
    """One student: accuracy and cross-entropy on validation by epoch, median and quartiles over trials.

    Trials that were stopped, the rows with a `trial_id`, are faint lines of their own, with a cross where they ended.
    """
    is_stopped = curves["trial_id"].notna()
    curves, stopped = curves[~is_stopped], curves[is_stopped]
    figure = two_rows(height=420, spacing=0.06)
    for row, (measure, scale) in enumerate((("accuracy", 100.0), ("loss", 1.0)), start=1):
        _stopped_lines(figure, stopped[stopped["measure"] == measure], scale, look, row)
        of_measure = curves[curves["measure"] == measure]
        for arm in arms_in_order(of_measure):
            own = of_measure[of_measure["arm"] == arm].sort_values("epoch")
            _band(figure, own, scale, look[arm], row)
            figure.add_scatter(
                x=own["epoch"].tolist(),
                y=[scale * value for value in own["value"]],
                mode="lines",
                line={"color": look[arm].colour, "width": 1.8, "dash": look[arm].dash},
                name=plain(arm),
                hovertemplate="%{y:.2f} %" if measure == "accuracy" else "%{y:.3f}",
                showlegend=row == 1,
                row=row,
                col=1,
            )
    figure.update_yaxes(title="validation, %", row=1, col=1)
    losses = [
        *curves.loc[curves["measure"] == "loss", ["low", "high"]].to_numpy().ravel().tolist(),
        *stopped.loc[stopped["measure"] == "loss", "value"],
    ]
    _log_axis(figure, losses, row=2)
    figure.update_yaxes(title="cross-entropy", row=2, col=1)
    figure.update_xaxes(title="epoch", row=2, col=1)
    return figure


def _stopped_lines(figure: go.Figure, stopped: pd.DataFrame, scale: float, look: Mapping[str, Look], row: int) -> None:
    """One trace an arm, with a gap between its trials: thousands of traces would take seconds to draw."""
    for arm in arms_in_order(stopped):
        x: list[float | None] = []
        y: list[float | None] = []
        sizes: list[int] = []
        for _, own in stopped[stopped["arm"] == arm].groupby("trial_id", sort=False):
            of_trial = own.sort_values("epoch")
            x += [*of_trial["epoch"].tolist(), None]
            y += [*(scale * value for value in of_trial["value"]), None]
            sizes += [*[0] * (len(of_trial) - 1), 6, 0]
        colour = look[arm].colour
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            line={"color": colour, "width": 0.8},
            marker={"symbol": "x-thin", "size": sizes, "line": {"color": colour, "width": 1.2}},
            opacity=0.5,
            hoverinfo="skip",
            showlegend=False,
            row=row,
            col=1,
        )


def _band(figure: go.Figure, own: pd.DataFrame, scale: float, look: Look, row: int) -> None:
    epochs = own["epoch"].tolist()
    figure.add_scatter(
        x=epochs + epochs[::-1],
        y=[scale * value for value in [*own["high"], *own["low"][::-1]]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=look.tint(0.15),
        hoverinfo="skip",
        showlegend=False,
        row=row,
        col=1,
    )


def named_losses(losses: pd.DataFrame, look: Look) -> go.Figure:
    """One cell: the method's named losses by epoch, unweighted, on a logarithmic axis."""
    figure = canvas(height=240)
    for index, name in enumerate(sorted(losses["loss"].unique())):
        own = losses[losses["loss"] == name].sort_values("epoch")
        figure.add_scatter(
            x=own["epoch"].tolist(),
            y=own["value"].tolist(),
            mode="lines",
            line={"color": look.colour, "width": 1.8, "dash": _DASHES[index % len(_DASHES)]},
            name=plain(name),
            hovertemplate="%{y:.3g}",
        )
    figure.update_xaxes(title="epoch")
    _log_axis(figure, losses["value"].tolist(), row=None)
    figure.update_yaxes(title="loss")
    figure.update_layout(showlegend=True)
    return figure


def _log_axis(figure: go.Figure, values: list[float], row: int | None) -> None:
    """A logarithmic vertical axis with round ticks; it stays linear where a value is not above zero."""
    if not values or min(values) <= 0:
        return
    low, high = log_range(values, margin=0.05)
    ticks = round_ticks(10**low, 10**high)
    column = None if row is None else 1
    figure.update_yaxes(
        type="log", range=[low, high], tickvals=ticks, ticktext=[f"{t:g}" for t in ticks], row=row, col=column
    )
