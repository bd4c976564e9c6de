"""The figures of a report by section: which there are for a run, and what each is called on the page and as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from harness.report.findings import Findings
from harness.report.panel import Panel, slug
from harness.report.sections import confirmation, search, training

SECTIONS: Mapping[str, Callable[[Findings], Iterator[Panel]]] = {
    "front": confirmation.front_panels,
    "attainment": confirmation.attainment_panels,
    "differences": confirmation.difference_panels,
    "heat": confirmation.heat_panels,
    "ranks": confirmation.rank_panels,
    "selection": confirmation.selection_panels,
    "anytime": search.anytime_panels,
    "history": search.history_panels,
    "importance": search.importance_panels,
    "coordinates": search.coordinate_panels,
    "curves": training.curve_panels,
    "losses": training.loss_panels,
    "usage": training.usage_panels,
}
"""Every section that has figures → what makes them."""


def panels(section: str, found: Findings) -> list[Panel]:
    """The panels of one section of `SECTIONS`, each with a name of its own."""
    made: list[Panel] = []
    taken: set[str] = set()
    every = list(SECTIONS[section](found))
    for panel in every:
        name = stem = section if len(every) == 1 else f"{section}-{slug(panel.title)}"
        while name in taken:
            name = f"{stem}-{len(taken) + 1}"
        taken.add(name)
        made.append(replace(panel, name=name))
    return made


def files(section: str, found: Findings) -> Iterator[tuple[str, go.Figure]]:
    """The figures of a section with the names of their files."""
    for panel in panels(section, found):
        for choice, figure in panel.figures.items():
            yield f"{panel.name}-{slug(choice)}" if choice else panel.name, figure


def choices(of: Sequence[Panel]) -> list[str]:
    """What a section lets a reader choose between; empty where there is nothing to choose."""
    found = list(dict.fromkeys(choice for panel in of for choice in panel.figures if choice))
    return found if len(found) > 1 else []
