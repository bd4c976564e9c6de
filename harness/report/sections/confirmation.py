"""Panels of what was confirmed: the front, attainment, differences, heat maps, ranks, and what selection flattered."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.analysis.attainment import attainment
from harness.analysis.cells import Pair, of_pair, pairs
from harness.analysis.configs import readable_floor
from harness.analysis.cost import training_seconds
from harness.analysis.ranking import rankings
from harness.analysis.wording import counted, percent, probability
from harness.report.figures import curse, differences, front, heat, ranks
from harness.report.figures.attainment import attainment_surfaces
from harness.report.findings import Findings
from harness.report.panel import Panel, pair_title

SIZE_CHOICES = {"params": "parameters", "macs": "MACs", "latency": "latency", "train_seconds": "training time"}


def front_panels(found: Findings) -> Iterator[Panel]:
    """A panel per pair; each shows the front of its whole data set, which is taken over all its pairs."""
    searched = found.shown.dropna(subset="accuracy")
    of_shown = found.trials[found.trials["config_id"].isin(searched["config_id"])]
    searched = searched.assign(train_seconds=searched["config_id"].map(training_seconds(of_shown)).astype(float))
    seen = pd.concat([found.confirmed[["dataset", "teacher"]], searched[["dataset", "teacher"]]])
    for pair in pairs(seen):
        own, known = of_pair(found.confirmed, pair), of_pair(searched, pair)
        floor, below = readable_floor(own, known)
        teacher = (found.teachers["dataset"] == pair.dataset) & (found.teachers["teacher"] == pair.teacher)
        figures = {}
        for size in found.sizes:
            best = found.front if size == found.size else found.front_against(size)
            figures[SIZE_CHOICES[size]] = front.accuracy_against_size(
                confirmed=own,
                searched=known,
                front=best[best["dataset"] == pair.dataset],
                teachers=found.teachers[teacher],
                size=size,
                look=found.look,
                floor=floor,
            )
        note = f"{counted(below, 'search config')} below {percent(floor, 1)} % not shown." if below else ""
        note += left_out(found)
        yield Panel(pair_title(pair), figures, note)


def left_out(found: Findings) -> str:
    """What a figure says where not every config is in it."""
    if len(found.shown) == len(found.searched):
        return ""
    return f" {len(found.shown):,} of {len(found.searched):,} search configs shown: the best half and an even choice."


def attainment_panels(found: Findings) -> Iterator[Panel]:
    """Attainment surfaces per pair, against the size that the study minimises."""
    surfaces = attainment(found.confirmed, {"accuracy": "max", found.size: "min"})
    for pair in pairs(surfaces):
        own = of_pair(surfaces, pair)
        yield Panel(pair_title(pair), {"": attainment_surfaces(own, found.size, found.look)})


def difference_panels(found: Findings) -> Iterator[Panel]:
    """A panel per baseline and pair, in the order of the comparisons."""
    families = found.every_difference.groupby(
        ["dataset", "teacher", "baseline", "baseline_arm"], dropna=False, sort=False
    )
    for (dataset, teacher, _, arm), members in families:
        pair = Pair(str(dataset), teacher if isinstance(teacher, str) else None)
        yield Panel(f"against {arm} · {pair_title(pair)}", {"": differences.forest(members, found.look)})


def heat_panels(found: Findings) -> Iterator[Panel]:
    """Every method for every student over the plainest baseline, a panel per pair; and all arms against each other."""
    plainest = found.compared[found.compared["baseline"] == found.compared["baseline"].head(1).squeeze()]
    for (dataset, teacher), members in plainest.groupby(["dataset", "teacher"], dropna=False, sort=False):
        pair = Pair(str(dataset), teacher if isinstance(teacher, str) else None)
        arm = str(members["baseline_arm"].iloc[0])
        yield Panel(f"points over {arm} · {pair_title(pair)}", {"": heat.methods_by_students(members, arm)})
    for (dataset, teacher), members in found.pairwise.groupby(["dataset", "teacher"], dropna=False, sort=False):
        pair = Pair(str(dataset), teacher if isinstance(teacher, str) else None)
        title = f"row over column, mean over students · {pair_title(pair)}"
        yield Panel(title, {"": heat.every_pair(members, found.look)})


def rank_panels(found: Findings) -> Iterator[Panel]:
    """A critical difference diagram per comparable group."""
    for of in rankings(found.confirmed):
        unit = counted(of.blocks, "student") if of.unit == "student" else f"{of.blocks} seeds of one student"
        p = "" if of.p is None else f"; Friedman's {probability(of.p)}"
        yield Panel(f"{of.key['dataset']}, over {unit}{p}", {"": ranks.critical_differences(of, found.look)})


def selection_panels(found: Findings) -> Iterator[Panel]:
    """The finalists of each data set: to the search, on fresh seeds, on test."""
    known = found.curse.dropna(subset=["searched", "fresh"], how="all")
    for dataset, members in known.groupby("dataset", sort=True):
        left_out = len(members) - curse.MOST
        note = f"{counted(left_out, 'finalist')} not shown." if left_out > 0 else ""
        yield Panel(str(dataset), {"": curse.finalists(members, found.look)}, note)
