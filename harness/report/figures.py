"""Figures besides the front: history, learning curves, losses, differences; each function only draws.

Every function draws one panel of what `analysis` computed; small multiples are many panels, laid out and
titled by the page, which also holds the arms' legend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from harness.analysis.cells import arms_in_order, students_in_order
from harness.analysis.comparison import ALIKE
from harness.analysis.wording import counted, gain, probability
from harness.report.canvas import canvas, log_range, round_ticks, styled
from harness.report.palette import NEUTRAL, Look, lines, plain

Over = Literal["configs", "train_seconds"]


def search_history(history: pd.DataFrame, over: Over, look: Mapping[str, Look]) -> go.Figure:
    """One student: the best validation mean so far of each arm, and every config's own value, faint."""
    figure = canvas(height=280)
    unit, scale = _axis_unit(history, over)
    for arm in arms_in_order(history):
        rows = history[history["arm"] == arm].sort_values("configs")
        x = [scale * value for value in rows[over]]
        figure.add_scatter(
            x=x,
            y=[100 * value for value in rows["best"]],
            mode="lines",
            line={"shape": "hv", "color": look[arm].colour, "width": 2},
            name=plain(arm),
            hovertemplate="best so far %{y:.2f} %",
        )
        figure.add_scatter(
            x=x,
            y=[100 * value for value in rows["accuracy"]],
            mode="markers",
            marker={"symbol": f"{look[arm].symbol}-open", "color": look[arm].colour, "size": 6, "opacity": 0.6},
            name=plain(arm),
            hovertemplate="this config %{y:.2f} %",
        )
    figure.update_xaxes(title=unit, rangemode="tozero")
    if over == "configs":
        figure.update_xaxes(dtick=max(1, round(history["configs"].max() / 6)))
    figure.update_yaxes(title="validation, %")
    return figure


def _axis_unit(history: pd.DataFrame, over: Over) -> tuple[str, float]:
    """What the horizontal axis counts, and its unit's share of one config or second."""
    if over == "configs":
        return "configs finished", 1.0
    longest = float(history["train_seconds"].max())
    if longest < 120:
        return "training time, s", 1.0
    return ("training time, min", 1 / 60) if longest < 7200 else ("training time, h", 1 / 3600)


def learning_curves(curves: pd.DataFrame, look: Mapping[str, Look]) -> go.Figure:
    """One student: accuracy and cross-entropy on validation by epoch, median and quartiles over trials.

    A trial that was stopped, the rows with a `trial_id`, is a faint line of its own, with a cross where it ended.
    """
    is_stopped = curves["trial_id"].notna()
    curves, stopped = curves[~is_stopped], curves[is_stopped]
    figure = styled(make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06), height=420)
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
    for _, own in stopped.groupby("trial_id", sort=False):
        of_trial = own.sort_values("epoch")
        colour = look[of_trial["arm"].iloc[0]].colour
        figure.add_scatter(
            x=of_trial["epoch"].tolist(),
            y=[scale * value for value in of_trial["value"]],
            mode="lines+markers",
            line={"color": colour, "width": 0.8},
            marker={
                "symbol": "x-thin",
                "size": [0] * (len(of_trial) - 1) + [6],
                "line": {"color": colour, "width": 1.2},
            },
            opacity=0.55,
            hoverinfo="skip",
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
        row=row,
        col=1,
    )


def named_losses(losses: pd.DataFrame, look: Look) -> go.Figure:
    """One cell: the method's named losses by epoch, unweighted, on a logarithmic axis."""
    figure = canvas(height=240)
    dashes = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]
    for index, name in enumerate(sorted(losses["loss"].unique())):
        own = losses[losses["loss"] == name].sort_values("epoch")
        figure.add_scatter(
            x=own["epoch"].tolist(),
            y=own["value"].tolist(),
            mode="lines",
            line={"color": look.colour, "width": 1.8, "dash": dashes[index % len(dashes)]},
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


def forest(compared: pd.DataFrame, look: Mapping[str, Look]) -> go.Figure:
    """Differences to one baseline, student by student: filled where told apart after Holm, else hollow."""
    labels: list[str] = []
    figure = canvas(height=130)
    for student in students_in_order(compared):
        labels.append(f"<b>{plain(student)}</b>")
        own = compared[compared["student"] == student]
        for arm in arms_in_order(own):
            for _, row in own[own["arm"] == arm].iterrows():
                _difference_mark(figure, row, len(labels), look[arm])
                labels.append(plain(arm))
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1.2})
    ends = [0.0, *(100 * compared[["low", "high", "difference"]]).stack().dropna()]
    aside = 0.06 * max(max(ends) - min(ends), 0.1)
    figure.update_xaxes(range=[min(ends) - aside, max(ends) + aside])
    figure.update_xaxes(title=f"test points over {plain(compared['baseline_arm'].iloc[0])}")
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.4, -0.6], showgrid=False
    )
    figure.update_layout(height=100 + 26 * len(labels), hovermode="closest")
    return figure


def _difference_mark(figure: go.Figure, row: pd.Series, place: int, look: Look) -> None:
    symbol = f"{look.symbol}-open" if row["verdict"] == ALIKE else look.symbol
    ends = [100 * value for value in (row["low"], row["high"]) if not pd.isna(value)]
    figure.add_scatter(x=ends, y=[place] * len(ends), mode="lines", line={"color": look.colour}, hoverinfo="skip")
    text = lines(
        f"{plain(row['arm'])} · {plain(row['student'])}: {plain(row['verdict'])}",
        gain(row["difference"], row["low"], row["high"]),
        f"{probability(row['p_holm'])} after Holm, {counted(int(row['n']), 'common seed')}",
    )
    figure.add_scatter(
        x=[100 * row["difference"]],
        y=[place],
        mode="markers",
        marker={"symbol": symbol, "color": look.colour, "size": 10, "line": {"width": 1.5, "color": look.colour}},
        text=[text],
        hovertemplate="%{text}<extra></extra>",
    )
