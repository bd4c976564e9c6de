"""What early stopping gave up, where, and how many epochs were not trained since.

A config that is given up leaves the rest of its running seed and all of its other seeds untrained. Where it was
given up after a whole seed, no record says so: its search went on to confirmation without the other seeds.
"""

from __future__ import annotations

import pandas as pd

from harness.analysis.cells import CELL, groups

RUNG, BUDGET = "rung", "budget"
_SPENT = "the budget was spent"
"""What records say of the second kind; of the first they name the rung and the accuracy there."""
_COLUMNS = [*CELL, "method", "params", "epoch", "epochs", "why", "configs", "trained", "saved"]


def given_up(trials: pd.DataFrame) -> pd.DataFrame:
    """Per search and the epoch at which they were given up: how many configs, and epochs trained and not trained.

    `why` is `rung`, or `budget` where what was running paused when the budget was spent.
    """
    rows = [
        row
        for _, cell in groups(trials, ["study", *CELL])
        for _, members in groups(cell[cell["purpose"] == "search"], ["config_id", "proposal"])
        if (row := _given_up(members, bool((cell["purpose"] == "confirmation").any())))
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    keys = [*CELL, "method", "epoch", "epochs", "why"]
    by = table.groupby(keys, dropna=False, sort=True, as_index=False)
    return pd.DataFrame(
        by.agg(params=("params", "min"), configs=("configs", "sum"), trained=("trained", "sum"), saved=("saved", "sum"))
    )


def _given_up(members: pd.DataFrame, is_over: bool) -> dict[str, object] | None:
    """What was saved with one config; None for one that was not given up."""
    stopped = members[members["status"] == "stopped"]
    first, replicates = members.iloc[0], max(int(members["replicates"].iloc[0]), len(members))
    is_dropped = is_over and len(members) < replicates and (members["status"] == "completed").all()
    if stopped.empty and not is_dropped:
        return None
    trained = int(members["epochs_done"].sum())
    return {
        **{name: first[name] for name in [*CELL, "method", "params", "epochs"]},
        "epoch": int((members if stopped.empty else stopped)["epochs_done"].max()),
        "why": BUDGET if (stopped["stopped_because"] == _SPENT).any() else RUNG,
        "configs": 1,
        "trained": trained,
        "saved": replicates * int(first["epochs"]) - trained,
    }
