"""Panels of the trainings: learning curves, named losses, and the use of the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.analysis.cells import arms_in_order, of_pair, pairs, students_in_order
from harness.analysis.curves import learning_curves, named_losses, stopped_curves
from harness.analysis.usage import usage_over_time
from harness.report.figures import curves, usage
from harness.report.findings import Findings
from harness.report.panel import Panel, by_student, pair_title

_MOST_STOPPED = 500
"""Curves of stopped trials, each a line of its own."""


def curve_panels(found: Findings) -> Iterator[Panel]:
    """Learning curves per student, with the first of the trials that were stopped."""
    epochs = found.run.epochs
    stopped = stopped_curves(found.followed, epochs)
    some = stopped["trial_id"].drop_duplicates().head(_MOST_STOPPED)
    rows = pd.concat([learning_curves(found.followed, epochs), stopped[stopped["trial_id"].isin(some)]])
    return by_student(rows, lambda own: {"": curves.learning_curves(own, found.look)})


def loss_panels(found: Findings) -> Iterator[Panel]:
    """Named losses per student and arm."""
    losses = named_losses(found.followed, found.run.epochs)
    several = len(pairs(losses)) > 1
    for pair in pairs(losses):
        members = of_pair(losses, pair)
        for student in students_in_order(members):
            own = members[members["student"] == student]
            for arm in arms_in_order(own):
                figure = curves.named_losses(own[own["arm"] == arm], found.look[arm])
                own_pair = f" · {pair_title(pair)}" if several else ""
                yield Panel(f"{student} · {arm}{own_pair}", {"": figure})


def usage_panels(found: Findings) -> Iterator[Panel]:
    """The whole run on the wall clock."""
    if len(found.trials):
        yield Panel("the whole run", {"": usage.usage_over_time(usage_over_time(found.trials))})
