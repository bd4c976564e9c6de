"""What early stopping gave up, where, and how many epochs were not trained since.

A config that is given up leaves the rest of its running seed and all of its other seeds untrained. Where it was
given up after a whole seed, no record says so: its search went on to confirmation without the other seeds.
"""

from __future__ import annotations

import pandas as pd

from harness.analysis.cells import CELL

RUNG, BUDGET = "rung", "budget"
_SPENT = "the budget was spent"
"""What records say of the second kind; of the first they name the rung and the accuracy there."""
_COLUMNS = [*CELL, "method", "epoch", "epochs", "why", "params", "configs", "trained", "saved"]


def given_up(trials: pd.DataFrame) -> pd.DataFrame:
    """Per search and the epoch at which they were given up: how many configs, and epochs trained and not trained.

    `why` is `rung`, or `budget` where what was running paused when the budget was spent.
    """
    table = _configs(trials).groupby([*CELL, "method", "epoch", "epochs", "why"], dropna=False, sort=True)
    summed = table.agg(
        params=("params", "min"), configs=("config_id", "size"), trained=("trained", "sum"), saved=("saved", "sum")
    ).reset_index()
    summed["teacher"] = summed["teacher"].astype("object").where(summed["teacher"].notna(), None)
    return summed[_COLUMNS]


def _configs(trials: pd.DataFrame) -> pd.DataFrame:
    """The configs that were given up, with the epoch, the reason, and the epochs trained and not trained."""
    search = ["study", *CELL]
    confirmed = trials["purpose"].eq("confirmation").groupby([trials[name] for name in search], dropna=False)
    searched = trials.assign(
        is_over=confirmed.transform("any"),
        is_stopped=trials["status"] == "stopped",
        is_completed=trials["status"] == "completed",
        is_spent=trials["stopped_because"] == _SPENT,
        stopped_at=trials["epochs_done"].where(trials["status"] == "stopped"),
    )[trials["purpose"] == "search"]
    table = searched.groupby([*search, "config_id", "proposal"], dropna=False, sort=False).agg(
        method=("method", "first"),
        params=("params", "first"),
        epochs=("epochs", "first"),
        replicates=("replicates", "first"),
        seeds=("trial_id", "size"),
        is_over=("is_over", "first"),
        is_stopped=("is_stopped", "any"),
        is_completed=("is_completed", "all"),
        is_spent=("is_spent", "any"),
        last=("epochs_done", "max"),
        stopped_at=("stopped_at", "max"),
        trained=("epochs_done", "sum"),
    )
    replicates = table[["replicates", "seeds"]].max(axis=1)
    is_dropped = table["is_over"] & (table["seeds"] < replicates) & table["is_completed"]
    table = table.assign(
        epoch=table["stopped_at"].fillna(table["last"]).astype(int),
        why=table["is_spent"].map({True: BUDGET, False: RUNG}),
        saved=replicates * table["epochs"] - table["trained"],
    )
    return table[table["is_stopped"] | is_dropped].reset_index()
