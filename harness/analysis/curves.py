"""How values came about: the search's history by cell, and learning curves by epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.analysis.cells import CELL, full_length, numbered
from harness.store.shared import Shared

_HISTORY = [*CELL, "method", "params", "config_id", "configs", "train_seconds", "accuracy", "best", "n"]
_CURVES = [*CELL, "method", "params", "epoch", "measure", "value", "low", "high", "n", "trial_id"]
_NAMED = [*CELL, "method", "params", "epoch", "loss", "value", "n"]


def search_history(configs: pd.DataFrame) -> pd.DataFrame:
    """Per cell, each of `search_configs` in order of its end, and the best validation mean so far.

    `configs` counts from 1; `train_seconds` is what the cell's search had trained by then, stopped, failed
    and diverged trials included. A config whose every replicate is not full-length has no `accuracy` and
    moves only the count and the seconds.
    """
    number = numbered(configs, ["study", *CELL])
    value = configs["accuracy"].where(configs["is_whole"].astype(bool))
    by = configs["train_seconds"].groupby(number)
    table = configs.assign(
        configs=by.cumcount() + 1,
        train_seconds=by.cumsum(),
        accuracy=value,
        best=value.groupby(number).cummax().groupby(number).ffill(),
    )[_HISTORY]
    cells = configs[["study", *CELL]].iloc[np.unique(number, return_index=True)[1]].reset_index(drop=True)
    place = np.argsort(cells.sort_values(["study", *CELL]).index.to_numpy())
    return table.iloc[np.argsort(place[number], kind="stable")].reset_index(drop=True)


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Per cell, epoch and measure (`accuracy`, `loss`, `train_loss`): median and quartiles over trials.

    Only full-length search trials count, so that every epoch of a cell speaks of the same `n` trials.
    `accuracy` is a fraction on validation, `loss` cross-entropy on validation (nats an image), `train_loss`
    the arm's own weighted total, which cannot be compared between arms. `trial_id` is empty.
    """
    joined = _searched_epochs(trials, epochs)
    measures = ["accuracy", "loss", "train_loss"]
    long = joined.melt([*CELL, "method", "params", "epoch"], measures, "measure", "value").dropna(subset="value")
    keys = [*CELL, "method", "params", "epoch", "measure"]
    by = long.groupby(keys, dropna=False, sort=True)["value"]
    table = by.agg(value="median", n="count").assign(low=by.quantile(0.25), high=by.quantile(0.75))
    return pd.DataFrame(table.reset_index(), columns=_CURVES)


def stopped_curves(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Per stopped search trial, epoch and measure (`accuracy`, `loss`): its value on validation, up to its rung."""
    stopped = trials[(trials["purpose"] == "search") & (trials["status"] == "stopped")]
    joined = epochs.merge(stopped[["trial_id", *CELL, "method", "params"]], on="trial_id")
    keys = [*CELL, "method", "params", "trial_id", "epoch"]
    return joined.melt(keys, ["accuracy", "loss"], "measure", "value").dropna(subset="value")


def named_losses(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Per cell, epoch and named loss of the method: the median over full-length search trials, unweighted."""
    joined = _searched_epochs(trials, epochs)
    keys = [*CELL, "method", "params", "epoch"]
    losses = joined["losses"].array
    if not isinstance(losses, Shared):
        return pd.DataFrame(columns=_NAMED)
    row, loss, value = losses.exploded()
    number = numbered(joined, keys)
    long = pd.DataFrame({"row": number[row], "loss": loss.to_pandas(), "value": value.to_numpy()})
    table = long.groupby(["row", "loss"], sort=True)["value"].agg(value="median", n="count").reset_index()
    known = joined[keys].iloc[np.unique(number, return_index=True)[1]]
    named = (
        known.iloc[table["row"]].reset_index(drop=True).assign(**{name: table[name] for name in ["loss", "value", "n"]})
    )
    return named.sort_values([*keys, "loss"], ignore_index=True)[_NAMED]


def _searched_epochs(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    searched = full_length(trials[trials["purpose"] == "search"])
    return epochs.merge(searched[["trial_id", *CELL, "method", "params"]], on="trial_id")
