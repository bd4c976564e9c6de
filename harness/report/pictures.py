"""Pictures of figures by Kaleido, which drives a browser that is on this machine; nothing comes from the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from harness.files import replacing
from harness.source import MissingError

_WIDTH = 760
_SCALE = 3
"""Pixels of a PNG to one of the figure: 300 dots an inch at 19 cm."""
_REMEDY = "or take --format json, which Plotly reads, or save a picture from the report's page"


def write_pictures(wanted: Sequence[tuple[go.Figure, Path]]) -> None:
    """Writes each figure to its path, whole, in the format that the path ends with.

    Raises `MissingError` where Kaleido is not installed, or finds no browser that starts.
    """
    try:
        import kaleido
    except ModuleNotFoundError as error:
        raise MissingError(
            f"pictures need Kaleido, which is not installed; pip install 'ksan-harness[figures]', {_REMEDY}"
        ) from error
    from choreographer.errors import BrowserClosedError, BrowserDepsError, BrowserFailedError, ChromeNotFoundError

    for figure, path in wanted:
        with replacing(path) as temporary:
            try:
                picture = kaleido.calc_fig_sync(
                    on_paper(figure),
                    opts={"format": path.suffix[1:], "width": _WIDTH, "height": None, "scale": _SCALE},
                    kopts={"mathjax": False},
                )
            except (ChromeNotFoundError, BrowserFailedError, BrowserDepsError, BrowserClosedError) as error:
                raise MissingError(
                    f"pictures need a browser that Kaleido can start, Chromium or Chrome ({type(error).__name__}); "
                    f"install one (Debian: apt install chromium), {_REMEDY}"
                ) from error
            temporary.write_bytes(picture)


def on_paper(figure: go.Figure) -> go.Figure:
    """The figure with dark ink on white, its own legend, and margins; the one that is given stays as it is."""
    paper = go.Figure(figure)
    paper.update_layout(
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        font={"color": "#1c2024"},
        showlegend=True,
        margin={"l": 16, "r": 16, "t": 28, "b": 16},
    )
    return paper
