"""Which settings decided whether a config was good: a bar a field over all pairs, a mark for each pair."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.wording import probability
from harness.report.canvas import canvas, named_rows
from harness.report.palette import NEUTRAL, Look, lines, plain

SURE = 0.05


def importance_bars(rows: pd.DataFrame, look: Look) -> go.Figure:
    """One arm; hollow where the good configs lie as the others do (Holm's p of .05 or more), which is noise."""
    is_pooled = rows["dataset"].isna()
    pooled = rows[is_pooled].sort_values("importance", ascending=False)
    paths = [str(path) for path in pooled["path"]]
    figure = canvas(height=74 + 26 * len(paths))
    is_sure = [p < SURE for p in pooled["p_holm"]]
    figure.add_bar(
        x=[100 * value for value in pooled["importance"]],
        y=list(range(len(paths))),
        orientation="h",
        width=0.62,
        marker={
            "color": [look.tint(0.75) if sure else "rgba(0,0,0,0)" for sure in is_sure],
            "line": {"color": look.colour, "width": 1.4},
        },
        hovertext=[_told(row, "all pairs") for _, row in pooled.iterrows()],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )
    each = rows[~is_pooled & rows["path"].isin(paths)]
    if each.groupby(["dataset", "teacher"], dropna=False).ngroups > 1:
        figure.add_scatter(
            x=[100 * value for value in each["importance"]],
            y=[paths.index(str(path)) for path in each["path"]],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 14, "color": NEUTRAL, "line": {"width": 2}},
            hovertext=[_told(row, f"{row['dataset']}, {row['teacher']}") for _, row in each.iterrows()],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
        )
    figure.update_xaxes(title="share of the importance, %", rangemode="tozero")
    named_rows(figure, [plain(path.partition(".")[2] or path) for path in paths])
    figure.update_layout(hovermode="closest")
    return figure


def _told(row: pd.Series, where: str) -> str:
    share = f"{100 * row['importance']:.0f} % of the importance, {int(row['n'])} configs"
    return lines(plain(row["path"]), plain(where), share, f"{probability(row['p_holm'])} after Holm")
