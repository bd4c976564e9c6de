"""Panels of the search: what was known when, its history, which settings mattered, and what was tried."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.anytime import bands, best_so_far, hypervolume_so_far
from harness.analysis.cells import CELL, arms_in_order, of_pair, pairs, students_in_order
from harness.analysis.coordinates import coordinates
from harness.analysis.curves import search_history
from harness.analysis.wording import counted
from harness.report.figures import anytime, history
from harness.report.figures.coordinates import parallel_coordinates
from harness.report.figures.importance import importance_bars
from harness.report.findings import Findings
from harness.report.panel import Panel, by_student, pair_title


def anytime_panels(found: Findings) -> Iterator[Panel]:
    """Hypervolume per pair, where the study declares a reference, and the best so far per student."""
    if found.reference:
        curves = hypervolume_so_far(found.replicates, found.reference)
        whole = bands(curves, "hypervolume", ["dataset", "teacher", "arm"])
        for pair in pairs(whole):
            own = of_pair(whole, pair)
            title = "hypervolume on validation, %"
            yield Panel(f"hypervolume · {pair_title(pair)}", {"": anytime.anytime(own, found.look, title)})
    best = best_so_far(found.replicates_together)
    sizes = best.groupby("student")["params"].min()
    by_student = bands(best, "best", ["dataset", "teacher", "student", "arm"])
    by_student = by_student.assign(params=by_student["student"].map(sizes))
    several = len(pairs(by_student)) > 1
    for pair in pairs(by_student):
        members = of_pair(by_student, pair)
        for student in students_in_order(members):
            own = members[members["student"] == student]
            figure = anytime.anytime(own, found.look, "best validation, %")
            own_pair = f" · {pair_title(pair)}" if several else ""
            yield Panel(f"best so far · {student}{own_pair}", {"": figure})


def history_panels(found: Findings) -> Iterator[Panel]:
    """Config by config per student, over configs or over training time."""
    rows = search_history(found.searched_together).dropna(subset="best")
    is_better = rows.groupby([*CELL], dropna=False)["best"].diff().fillna(1.0) > 0
    is_last = ~rows.duplicated(CELL, keep="last")
    rows = rows[is_better | is_last | rows["config_id"].isin(found.shown["config_id"])]
    return by_student(
        rows,
        lambda own: {
            "configs": history.search_history(own, "configs", found.look),
            "training time": history.search_history(own, "train_seconds", found.look),
        },
    )


def importance_panels(found: Findings) -> Iterator[Panel]:
    """An arm's settings by importance, for the arms with more than one."""
    for arm in found.look:
        own = found.importances[found.importances["arm"] == arm]
        pooled = own[own["dataset"].isna()]
        if len(pooled) > 1:
            title = f"{arm}, {counted(int(pooled['n'].max()), 'config')}"
            yield Panel(title, {"": importance_bars(own, found.look[arm])})


def coordinate_panels(found: Findings) -> Iterator[Panel]:
    """Parallel coordinates per pair and arm."""
    searched = found.searched_together
    several = len(pairs(searched)) > 1
    for pair in pairs(searched):
        configs = of_pair(searched, pair)
        for arm in arms_in_order(configs):
            of = coordinates(configs[configs["arm"] == arm])
            if of:
                title = f"{arm} · {pair_title(pair)}" if several else arm
                note = f"{counted(of.left_out, 'config')} of the worse half not shown." if of.left_out else ""
                yield Panel(title, {"": parallel_coordinates(of)}, note)
