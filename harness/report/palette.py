"""How an arm looks: one colour and one symbol, the same in every figure of a report.

Colours are Okabe and Ito's (2008), told apart by the colour-blind and readable on white and on black; symbols
carry the same distinction without colour. The first look is grey: it goes to the plainest baseline.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

_COLOURS = ["#858585", "#e69f00", "#009e73", "#0080c8", "#cc79a7", "#d55e00", "#56b4e9"]
_SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "star", "x", "cross"]
_GLYPHS = ["●", "■", "▲", "◆", "▼", "★", "✖", "✚"]
_DASHES = ["solid", "dash", "dot", "dashdot", "longdash"]
_STROKES = {"solid": "none", "dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "9 4"}
NEUTRAL = "#858585"
DIVERGING = [[0.0, "#d98c3f"], [0.25, "#efc48f"], [0.5, "#f4f4f2"], [0.75, "#8fc1e3"], [1.0, "#3d8fc6"]]
"""From worse over none to better: orange and blue, light enough for dark text."""
GRADES = ["#8d8f9a", "#6f8fb0", "#3f8fc4", "#0f86b8", "#d08a1d", "#d55e00"]
"""From the worst to the best: grey over blue to vermilion, told apart by the colour-blind on white and on black."""


@dataclass(frozen=True)
class Look:
    """An arm's colour, Plotly symbol and dash, and the glyph that stands for the symbol in text."""

    colour: str
    symbol: str
    glyph: str
    dash: str

    @property
    def strokes(self) -> str:
        """The dash as SVG draws it, in pixels."""
        return _STROKES[self.dash]

    def tint(self, opacity: float) -> str:
        """The colour as `rgba(…)`."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """A look for each arm in order; colours repeat after 7 and symbols after 8, so 56 arms differ."""
    return {
        arm: Look(
            _COLOURS[index % len(_COLOURS)],
            _SYMBOLS[index % len(_SYMBOLS)],
            _GLYPHS[index % len(_GLYPHS)],
            _DASHES[index % len(_DASHES)],
        )
        for index, arm in enumerate(arms)
    }


def plain(text: object) -> str:
    """A text as Plotly shows it literally: Plotly reads tags and entities in labels and hover texts."""
    return html.escape(str(text), quote=False).replace("$", "&#36;")


def lines(*texts: str) -> str:
    """Texts that are already plain, one below the other in a hover label."""
    return "<br>".join(texts)


PURPOSES = {
    "teacher": Look("#858585", "circle", "●", "solid"),
    "search": Look("#0080c8", "square", "■", "solid"),
    "confirmation": Look("#d55e00", "diamond", "◆", "solid"),
}
"""How the purposes of trials look, where arms are not told apart."""
