"""Health checks: what a careful reader would look for before believing a run, each answered with its numbers.

A warning is no verdict: it names what may bend the result. What could not be checked is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from harness.analysis.agreement import LOW, Agreement
from harness.analysis.cells import CELL
from harness.analysis.cost import origins
from harness.analysis.published import below_published
from harness.analysis.space_warnings import LEAST
from harness.analysis.wording import counted, duration, listed, percent

_MOST = 4
"""Names in a sentence."""


@dataclass(frozen=True)
class Check:
    """One answer."""

    kind: Literal["good", "warning"]
    text: str


def health(
    trials: pd.DataFrame,
    searched: pd.DataFrame,
    confirmed: pd.DataFrame,
    teachers: pd.DataFrame,
    edges: pd.DataFrame,
    dead: pd.DataFrame,
    agreed: Sequence[Agreement],
) -> list[Check]:
    """All checks that the records allow, the warnings first.

    `searched` is as of `search_configs`, `edges` and `dead` are as of `space_warnings`.
    """
    if trials.empty:
        return []
    found = [
        *_confirmation(confirmed),
        *_looks(confirmed),
        *_losses(trials),
        *_edges(edges, searched),
        *_dead(dead),
        *_stopping(agreed),
        *_teachers(teachers),
        *_origins(trials),
    ]
    return sorted(found, key=lambda check: check.kind != "warning")


def _confirmation(confirmed: pd.DataFrame) -> Iterator[Check]:
    if confirmed.empty:
        yield Check("warning", "Nothing is confirmed: every value is one that the search selected by.")
        return
    few, lost = int((confirmed["n"] < 3).sum()), int(confirmed["lost"].sum())
    if few:
        yield Check("warning", f"{counted(few, 'confirmed row')} of {len(confirmed)} stand on fewer than 3 seeds.")
    if lost:
        yield Check(
            "warning",
            f"{counted(lost, 'confirmation trial')} ended without a test accuracy; the means are over the others.",
        )
    if not few and not lost:
        least = int(confirmed["n"].min())
        yield Check("good", f"Every confirmed row stands on {least} seeds or more, and none was lost.")


def _looks(confirmed: pd.DataFrame) -> Iterator[Check]:
    if confirmed.empty:
        return
    again = confirmed[confirmed["looks"] > 1]
    if len(again):
        names = listed([f"{row['arm']} on {row['student']}" for _, row in again.head(_MOST).iterrows()])
        yield Check("warning", f"The test split was read more than once for {counted(len(again), 'row')}: {names}.")
    else:
        yield Check("good", "The test split was read once for each confirmation trial.")


def _losses(trials: pd.DataFrame) -> Iterator[Check]:
    lost = trials[trials["status"].isin(["failed", "diverged"])]
    share = len(lost) / len(trials)
    worst = lost["arm"].value_counts()
    if share > 0.1:
        wasted = duration(float(lost["train_seconds"].sum()))
        yield Check(
            "warning", f"{share:.0%} of the trials failed or diverged, most of {worst.index[0]}; {wasted} were lost."
        )
    else:
        yield Check("good", f"{len(lost)} of {counted(len(trials), 'trial')} failed or diverged.")


def _edges(edges: pd.DataFrame, searched: pd.DataFrame) -> Iterator[Check]:
    if len(edges):
        named = [_edge(row) for _, row in edges.head(_MOST).iterrows()]
        more = f" and {len(edges) - _MOST} more" if len(edges) > _MOST else ""
        yield Check(
            "warning",
            f"The best configs lie at the edge of what was searched, so better may lie beyond: {listed(named)}{more}.",
        )
    elif len(searched) and searched.groupby(CELL, dropna=False).size().max() >= 2 * LEAST:
        yield Check("good", "No optimum lies at the edge of its search space, where a search had 10 configs or more.")


def _edge(row: pd.Series) -> str:
    where = f"{row['edge']} edge, {row['bound']:.3g}, in {row['searches']} of {row['n']}"
    return f"{row['path']} of {row['arm']} ({where})"


def _dead(dead: pd.DataFrame) -> Iterator[Check]:
    if len(dead):
        named = [f"{row['path']} of {row['arm']} ({_part(row)})" for _, row in dead.head(_MOST).iterrows()]
        more = f" and {len(dead) - _MOST} more" if len(dead) > _MOST else ""
        yield Check(
            "warning", f"Parts of the space never held a config of its search's better half: {listed(named)}{more}."
        )


def _part(row: pd.Series) -> str:
    return f"{row['low']:.3g} to {row['high']:.3g}" if pd.notna(row["low"]) else str(row["value"])


def _stopping(agreed: Sequence[Agreement]) -> Iterator[Check]:
    for of in agreed:
        told = f"The order at epoch {of.epoch} of {of.epochs}, where configs were given up"
        size = f"(Kendall's τ {of.tau:.2f}, {counted(of.n, 'trial')} that went on)"
        if of.tau < LOW:
            yield Check("warning", f"{told}, hardly agrees with that at the end {size}: more budget may be needed.")
        else:
            yield Check("good", f"{told}, agrees with that at the end {size}.")


def _teachers(teachers: pd.DataFrame) -> Iterator[Check]:
    for _, row in below_published(teachers).iterrows():
        values = f"{percent(row['validation'], 1)} % on validation, {percent(row['published'], 1)} % published on test"
        if row["is_below"]:
            yield Check("warning", f"The teacher {row['teacher']} is below its published accuracy: {values}.")
        else:
            yield Check("good", f"The teacher {row['teacher']} reaches about its published accuracy: {values}.")


def _origins(trials: pd.DataFrame) -> Iterator[Check]:
    known = origins(trials)
    own = ("data_fingerprint", "packed")  # a data set's and a config's: teachers and some methods never pack
    mixed = [name.replace("_", " ") for name, counts in known.items() if len(counts) > 1 and name not in own]
    if mixed:
        yield Check("warning", f"The trials differ in {listed(mixed)}: equal configs need not give equal numbers.")
    if any(commit.endswith("+") for commit in known.get("commit", {})):
        yield Check("warning", "Some trials ran from a source tree with uncommitted changes.")
    if known and not mixed:
        yield Check("good", "All trials ran with the same versions on the same kind of machine.")
