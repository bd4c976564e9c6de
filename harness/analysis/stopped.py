"""What early stopping gave up, where, and how many epochs were not trained since.

A config that is given up leaves the rest of its running seed and all of its other seeds untrained. Where it was
given up after a whole seed, no record says so: its search went on to confirmation without the other seeds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import CELL, numbered
from harness.analysis.configs import Searched

RUNG, BUDGET = "rung", "budget"
_SPENT = "the budget was spent"
"""What records say of the second kind; of the first they name the rung and the accuracy there."""
_COLUMNS = [*CELL, "method", "epoch", "epochs", "why", "params", "configs", "trained", "saved"]


def given_up(trials: pd.DataFrame, searched: Searched) -> pd.DataFrame:
    """Per search and the epoch at which they were given up: how many configs, and epochs trained and not trained.

    `why` is `rung`, or `budget` where what was running paused when the budget was spent. `searched` is
    `searched_configs(trials)`.
    """
    table = _configs(trials, searched.own).groupby([*CELL, "method", "epoch", "epochs", "why"], dropna=False, sort=True)
    summed = table.agg(
        params=("params", "min"), configs=("config_id", "size"), trained=("trained", "sum"), saved=("saved", "sum")
    ).reset_index()
    summed["teacher"] = summed["teacher"].astype("object").where(summed["teacher"].notna(), None)
    return summed[_COLUMNS]


def _configs(trials: pd.DataFrame, own: npt.NDArray[np.int64]) -> pd.DataFrame:
    """The configs that were given up, with the epoch, the reason, and the epochs trained and not trained."""
    search = ["study", *CELL]
    kept = [*search, "config_id", "proposal", "method", "params", "epochs", "replicates"]
    rows, config = _candidates(trials, own)
    searched = trials[[*kept, "status", "stopped_because", "epochs_done"]].iloc[rows]
    confirmed = trials.loc[trials["purpose"] == "confirmation", search].drop_duplicates()
    number = numbered(pd.concat([searched[search], confirmed]), search)
    is_over = np.isin(number[: len(rows)], number[len(rows) :])
    searched = searched.assign(
        is_over=is_over,
        is_stopped=searched["status"] == "stopped",
        is_completed=searched["status"] == "completed",
        is_spent=searched["stopped_because"] == _SPENT,
        stopped_at=searched["epochs_done"].where(searched["status"] == "stopped"),
    )
    firsts = searched.iloc[np.unique(config, return_index=True)[1]][kept].reset_index(drop=True)
    sums = searched.groupby(config, sort=True).agg(
        seeds=("epochs", "size"),
        is_over=("is_over", "first"),
        is_stopped=("is_stopped", "any"),
        is_completed=("is_completed", "all"),
        is_spent=("is_spent", "any"),
        last=("epochs_done", "max"),
        stopped_at=("stopped_at", "max"),
        trained=("epochs_done", "sum"),
    )
    table = pd.concat([firsts, sums], axis=1)
    replicates = table[["replicates", "seeds"]].max(axis=1)
    is_dropped = table["is_over"] & (table["seeds"] < replicates) & table["is_completed"]
    table = table.assign(
        epoch=table["stopped_at"].fillna(table["last"]).astype(int),
        why=table["is_spent"].map({True: BUDGET, False: RUNG}),
        saved=replicates * table["epochs"] - table["trained"],
    )
    return table[table["is_stopped"] | is_dropped].reset_index(drop=True)


def _candidates(
    trials: pd.DataFrame, own: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows of the trials whose config has a stopped one, or fewer than replicates, and each one's config, whatever
    its data and length; in most runs there are none."""
    rows = np.flatnonzero(trials["purpose"] == "search")
    proposal, replicates = (trials[name].to_numpy()[rows] for name in ("proposal", "replicates"))
    config = numbered(pd.DataFrame({"own": own, "proposal": proposal}), ["own", "proposal"])
    stopped = np.bincount(config, (trials["status"] == "stopped").to_numpy()[rows])
    chosen = (stopped[config] > 0) | (np.bincount(config)[config] < replicates)
    return rows[chosen], numbered(trials.iloc[rows[chosen]], ["study", *CELL, "config_id", "proposal"])
