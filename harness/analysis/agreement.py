"""Does a trial's beginning tell its end? Rank agreement between accuracies at a rung and at the end.

Kendall's τ-b over the pairs of full-length search trials of one cell, pooled over cells by their number of pairs. It
is measured on the survivors: what was stopped has no end, which makes τ smaller than it would be without stopping.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from scipy.stats import kendalltau

from harness.analysis.cells import CELL, full_length, groups

LOW = 0.3
"""Below this τ a rung's order says little about the end's: two trials in three at most stand in the same order."""


@dataclass(frozen=True)
class Agreement:
    """How well accuracies at one epoch order trials as their ends do."""

    epoch: int
    epochs: int
    tau: float
    n: int
    """Trials."""


def agreements(trials: pd.DataFrame, epochs: pd.DataFrame) -> list[Agreement]:
    """One for every epoch at which the search stopped a trial; none where it stopped none or too few are left."""
    searched = trials[trials["purpose"] == "search"]
    stopped = searched[searched["status"] == "stopped"]
    lengths = full_length(searched)
    found = []
    for at, total in sorted(set(zip(stopped["epochs_done"].astype(int), stopped["epochs"].astype(int), strict=True))):
        of = lengths[lengths["epochs"] == total].merge(
            epochs.loc[epochs["epoch"] == at, ["trial_id", "accuracy"]].dropna(), on="trial_id"
        )
        pooled = [_tau(cell) for _, cell in groups(of, CELL)]
        known = [(tau, n) for tau, n in pooled if tau is not None]
        weight = sum(n * (n - 1) / 2 for _, n in known)
        if weight:
            tau = sum(tau * n * (n - 1) / 2 for tau, n in known) / weight
            found.append(Agreement(at, total, tau, sum(n for _, n in known)))
    return found


def _tau(cell: pd.DataFrame) -> tuple[float | None, int]:
    """Kendall's τ-b of one cell; None where all values of a side are equal."""
    rung, end = cell["accuracy"].astype(float), cell["validation_accuracy"].astype(float)
    if len(cell) < 3 or rung.nunique() < 2 or end.nunique() < 2:
        return None, len(cell)
    return float(kendalltau(rung, end).statistic), len(cell)
