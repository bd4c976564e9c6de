"""How a run used its machine over time: trials at a time, and device time spent.

A trial uses one worker from `started_at` to `finished_at`, waiting and evaluation included; what it trained is less.
Only the last attempt of a trial is on record, so what a killed attempt used shows as idle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cost import PURPOSES

_COLUMNS = ["purpose", "seconds", "running", "spent"]


@dataclass(frozen=True)
class Usage:
    """A run on the wall clock: how long, how many trials at a time, and how much of it nothing ran."""

    seconds: float
    """From the first start to the last end."""
    busy_seconds: float
    """Of these, while at least one trial ran."""
    mean: float
    """Trials at a time while at least one ran."""
    peak: int
    train_share: float
    """Training seconds a second that a worker was held; the rest is start-up, evaluation and waiting."""


def usage(trials: pd.DataFrame) -> Usage | None:
    """The whole run in five numbers; None where no trial ended."""
    if trials.empty:
        return None
    starts, ends = _seconds(trials)
    starts, ends = np.sort(starts), np.sort(ends)
    # Who starts finds those that started before and have not ended; from the nth end to a later start nothing runs.
    running = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")
    busy = float(ends[-1] - np.maximum(starts[1:] - ends[:-1], 0.0).sum())
    held = float((ends - starts).sum())
    return Usage(
        seconds=float(ends[-1]),
        busy_seconds=busy,
        mean=held / busy if busy else 0.0,
        peak=int(running.max()),
        train_share=float(trials["train_seconds"].sum()) / held if held else 0.0,
    )


def usage_over_time(trials: pd.DataFrame, bins: int = 160) -> pd.DataFrame:
    """Per purpose and bin of the wall clock: `running`, the mean number of trials at a time, and `spent`.

    `seconds` is the end of the bin since the first start, `spent` the seconds of workers held by then.
    """
    if trials.empty:
        return pd.DataFrame(columns=_COLUMNS)
    starts, ends = _seconds(trials)
    edges = np.linspace(0.0, max(float(ends.max()), 1e-9), bins + 1)
    tables = []
    for purpose in PURPOSES:
        of = (trials["purpose"] == purpose).to_numpy()
        if of.any():
            spent = _held_until(edges, starts[of], ends[of])
            running = np.diff(spent) / np.diff(edges)
            tables.append(
                pd.DataFrame({"purpose": purpose, "seconds": edges[1:], "running": running, "spent": spent[1:]})
            )
    return pd.concat(tables, ignore_index=True)


def _seconds(trials: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Starts and ends since the first start; a clock that was set back makes no trial end before it began."""
    first = trials["started_at"].min()
    starts = (trials["started_at"] - first).dt.total_seconds().to_numpy(dtype=float)
    ends = (trials["finished_at"] - first).dt.total_seconds().to_numpy(dtype=float)
    return starts, np.maximum(starts, ends)


def _held_until(
    moments: npt.NDArray[np.float64], starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Seconds of workers held until each moment: those since the starts before it, less those since the ends."""
    held = _passed(moments, starts) - _passed(moments, ends)
    return np.maximum.accumulate(held)  # where nothing ran, rounding would take some back


def _passed(moments: npt.NDArray[np.float64], since: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Σ (t − s) over what came before each moment t."""
    in_order = np.sort(since)
    before = np.searchsorted(in_order, moments)
    return np.asarray(before * moments - np.concatenate([[0.0], np.cumsum(in_order)])[before])
