"""What the report says in sentences, made from what `analysis` computed.

Nothing here is HTML: the template escapes every text, for a study's name is anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from harness.analysis.cost import STATUSES, cost_summary
from harness.analysis.usage import usage
from harness.analysis.wording import counted, duration

SIZE_WORDS = {"params": "parameters", "macs": "multiply-adds an image", "latency": "microseconds an image"}


def group_title(key: Mapping[str, object]) -> str:
    """What the rows of a comparable group share: `digits, 20 epochs, data ffffffffffff`."""
    data = str(key["data_fingerprint"])[:12] or "of unknown content"
    return f"{key['dataset']}, {counted(int(str(key['epochs'])), 'epoch')}, data {data}"


def saving(trials: pd.DataFrame, given_up: pd.DataFrame) -> str:
    """What early stopping saved, in a sentence; nothing where it gave up nothing."""
    if given_up.empty:
        return ""
    searched = trials.loc[trials["purpose"] == "search", ["config_id", "epochs_done"]]
    trained, saved = int(searched["epochs_done"].sum()), int(given_up["saved"].sum())
    of = searched["config_id"].nunique()
    return (
        f"The search gave up {counted(int(given_up['configs'].sum()), 'config')} of {of} early, which left {saved:,} "
        f"epochs untrained; it trained {trained:,}."
    )


def standing(trials: pd.DataFrame) -> str:
    """How far the study is, in a sentence."""
    if trials.empty:
        return "No trial has finished yet."
    costs = cost_summary(trials)
    by_purpose = [f"{counted(int(row[STATUSES].sum()), row['purpose'] + ' trial')}" for _, row in costs.iterrows()]
    lost = int(costs["failed"].sum() + costs["diverged"].sum())
    stopped = int(costs["stopped"].sum())
    early = f"{stopped} stopped early; " if stopped else ""
    total = duration(float(costs["train_seconds"].sum()))
    return f"{', '.join(by_purpose)}; {early}{lost} failed or diverged; {total} of training."


def use(trials: pd.DataFrame) -> str:
    """How the run used its machine, in a sentence."""
    of = usage(trials)
    if of is None:
        return ""
    idle = of.seconds - of.busy_seconds
    paused = f", idle for {duration(idle)}" if idle > 0.01 * of.seconds else ""
    wall = f"{duration(of.seconds)} on the wall clock{paused}"
    return (
        f"Over {wall}, {of.mean:.2g} trials ran at a time on average, at most {of.peak}. "
        f"Training was {of.train_share:.0%} of the time that they held a worker. Only last attempts are on record."
    )


def optional(value: object) -> str:
    """A text, or nothing where there is none."""
    return value if isinstance(value, str) else ""
