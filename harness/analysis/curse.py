"""The winner's curse: what a finalist's value loses once nobody chooses by it any more.

    search value      mean over the search's replicates, on validation: the search chose by it
    fresh value       mean over the confirmation's seeds, on the same validation images
    test value        mean over the same seeds, on test: images that no choice has seen

Search minus fresh is what selection flattered; fresh minus test is how much easier the validation images are, or how
far the search has fitted them.
"""

from __future__ import annotations

import pandas as pd

from harness.analysis.cells import CELL, COMPARABLE, groups
from harness.analysis.statistics import estimate

_COLUMNS = [*COMPARABLE, *CELL[1:], "config_id", "searched", "fresh", "test", "flattery", "gap", "n"]
_KINDS = ["flattery", "gap"]


def winners_curse(confirmed: pd.DataFrame) -> pd.DataFrame:
    """Per confirmed row its three values and their differences, fractions; NaN where one was not measured.

    `flattery` is searched minus fresh, `gap` fresh minus test; `n` is the confirmation's seeds.
    """
    searched, fresh, test = (
        confirmed[name].astype(float) for name in ["validation", "confirmed_validation", "accuracy"]
    )
    table = confirmed.assign(searched=searched, fresh=fresh, test=test, flattery=searched - fresh, gap=fresh - test)
    return table[_COLUMNS].reset_index(drop=True)


def winners_curse_summary(curse: pd.DataFrame) -> pd.DataFrame:
    """Per comparable group, arm (None: all) and kind (`flattery`, `gap`): mean over the rows, with a 95 % interval.

    Columns: COMPARABLE, arm, kind, mean, sd, low, high, n. The rows of a group share images, so its intervals speak of
    other finalists on these images, not of other images.
    """
    rows = [
        {**key, "arm": arm, "kind": kind, "mean": of.mean, "sd": of.sd, "low": of.low, "high": of.high, "n": of.n}
        for key, group in groups(curse, COMPARABLE)
        for arm, members in [(None, group), *((str(arm), own) for arm, own in group.groupby("arm", sort=True))]
        for kind in _KINDS
        if len(members[kind].dropna())
        for of in [estimate(list(members[kind].dropna()))]
    ]
    table = pd.DataFrame(rows, columns=[*COMPARABLE, "arm", "kind", "mean", "sd", "low", "high", "n"])
    return table.astype(dict.fromkeys(["sd", "low", "high"], float))
