"""The figures of a report by section: which there are for a run, and what each is called on the page and as a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import plotly.graph_objects as go

from harness.analysis.anytime import bands, best_so_far, hypervolume_so_far
from harness.analysis.attainment import attainment
from harness.analysis.cells import CELL, Pair, arms_in_order, of_pair, pairs, students_in_order
from harness.analysis.configs import readable_floor
from harness.analysis.coordinates import coordinates
from harness.analysis.cost import training_seconds
from harness.analysis.curves import learning_curves, named_losses, search_history, stopped_curves
from harness.analysis.ranking import rankings
from harness.analysis.usage import usage_over_time
from harness.analysis.wording import counted, percent, probability
from harness.report.figures import anytime, curse, curves, differences, front, heat, history, ranks, usage
from harness.report.figures.attainment import attainment_surfaces
from harness.report.figures.coordinates import parallel_coordinates
from harness.report.figures.importance import importance_bars
from harness.report.findings import Findings
from harness.report.palette import plain

_MOST_STOPPED = 500
"""Curves of stopped trials, each a line of its own."""


@dataclass(frozen=True)
class Panel:
    """One place on the page: a title, a figure for each choice (one, without a name, where there is none), a note."""

    title: str
    figures: Mapping[str, go.Figure]
    note: str = ""
    name: str = ""
    """What its file is called."""

    @property
    def height(self) -> int:
        """The pixels that the page keeps free until the figure is drawn."""
        return max(int(figure.layout.height) for figure in self.figures.values())


def panels(section: str, found: Findings) -> list[Panel]:
    """The panels of one section of `SECTIONS`, each with a name of its own."""
    made: list[Panel] = []
    taken: set[str] = set()
    every = list(SECTIONS[section](found))
    for panel in every:
        name = stem = section if len(every) == 1 else f"{section}-{slug(panel.title)}"
        while name in taken:
            name = f"{stem}-{len(taken) + 1}"
        taken.add(name)
        made.append(replace(panel, name=name))
    return made


def files(section: str, found: Findings) -> Iterator[tuple[str, go.Figure]]:
    """The figures of a section with the names of their files."""
    for panel in panels(section, found):
        for choice, figure in panel.figures.items():
            yield f"{panel.name}-{slug(choice)}" if choice else panel.name, figure


def slug(text: str) -> str:
    """A text as part of a file's name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _front(found: Findings) -> Iterator[Panel]:
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


SIZE_CHOICES = {"params": "parameters", "macs": "MACs", "latency": "latency", "train_seconds": "training time"}


def pair_title(pair: Pair) -> str:
    """`digits, teacher resnet20-w16`."""
    return f"{pair.dataset}, teacher {pair.teacher}" if pair.teacher else pair.dataset


def _by_student(rows: pd.DataFrame, draw: Callable[[pd.DataFrame], Mapping[str, go.Figure]]) -> Iterator[Panel]:
    """A panel per pair and student."""
    several = len(pairs(rows)) > 1
    for pair in pairs(rows):
        members = of_pair(rows, pair)
        for student in students_in_order(members):
            title = f"{student} · {pair_title(pair)}" if several else student
            own = members[members["student"] == student]
            meta = {"group": group_key(pair.dataset, student)}
            figures = {choice: figure.update_layout(meta=meta) for choice, figure in draw(own).items()}
            yield Panel(title, figures)


def group_key(dataset: object, student: object) -> str:
    """What tells the page which panels of one student a config belongs to."""
    return plain(f"{dataset} · {student}")


def _differences(found: Findings) -> Iterator[Panel]:
    """A panel per baseline and pair, in the order of the comparisons."""
    families = found.every_difference.groupby(
        ["dataset", "teacher", "baseline", "baseline_arm"], dropna=False, sort=False
    )
    for (dataset, teacher, _, arm), members in families:
        pair = Pair(str(dataset), teacher if isinstance(teacher, str) else None)
        yield Panel(f"against {arm} · {pair_title(pair)}", {"": differences.forest(members, found.look)})


def _history(found: Findings) -> Iterator[Panel]:
    rows = search_history(found.together, found.searched_together).dropna(subset="best")
    is_better = rows.groupby([*CELL], dropna=False)["best"].diff().fillna(1.0) > 0
    is_last = ~rows.duplicated(CELL, keep="last")
    rows = rows[is_better | is_last | rows["config_id"].isin(found.shown["config_id"])]
    return _by_student(
        rows,
        lambda own: {
            "configs": history.search_history(own, "configs", found.look),
            "training time": history.search_history(own, "train_seconds", found.look),
        },
    )


def _coordinates(found: Findings) -> Iterator[Panel]:
    columns = ["dataset", "teacher", "arm", "method", "purpose", "config_id", "point"]
    searched = found.together.loc[found.together["purpose"] == "search", columns]
    several = len(pairs(searched)) > 1
    for pair in pairs(searched):
        members = of_pair(searched, pair)
        for arm in arms_in_order(members):
            configs = of_pair(found.searched_together, pair)
            of = coordinates(members[members["arm"] == arm], configs=configs[configs["arm"] == arm])
            if of:
                title = f"{arm} · {pair_title(pair)}" if several else arm
                note = f"{counted(of.left_out, 'config')} of the worse half not shown." if of.left_out else ""
                yield Panel(title, {"": parallel_coordinates(of)}, note)


def _curves(found: Findings) -> Iterator[Panel]:
    epochs = found.run.epochs
    stopped = stopped_curves(found.followed, epochs)
    some = stopped["trial_id"].drop_duplicates().head(_MOST_STOPPED)
    rows = pd.concat([learning_curves(found.followed, epochs), stopped[stopped["trial_id"].isin(some)]])
    return _by_student(rows, lambda own: {"": curves.learning_curves(own, found.look)})


def _losses(found: Findings) -> Iterator[Panel]:
    losses = named_losses(found.followed, found.run.epochs)
    for pair in pairs(losses):
        members = of_pair(losses, pair)
        for student in students_in_order(members):
            own = members[members["student"] == student]
            for arm in arms_in_order(own):
                figure = curves.named_losses(own[own["arm"] == arm], found.look[arm])
                yield Panel(f"{student} · {arm}", {"": figure})


def _usage(found: Findings) -> Iterator[Panel]:
    if len(found.trials):
        yield Panel("the whole run", {"": usage.usage_over_time(usage_over_time(found.trials))})


def _heat(found: Findings) -> Iterator[Panel]:
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


def _ranks(found: Findings) -> Iterator[Panel]:
    for of in rankings(found.confirmed):
        unit = counted(of.blocks, "student") if of.unit == "student" else f"{of.blocks} seeds of one student"
        p = "" if of.p is None else f"; Friedman's {probability(of.p)}"
        yield Panel(f"{of.key['dataset']}, over {unit}{p}", {"": ranks.critical_differences(of, found.look)})


def _anytime(found: Findings) -> Iterator[Panel]:
    if found.reference:
        curves = hypervolume_so_far(found.trials, found.reference, found.searched)
        whole = bands(curves, "hypervolume", ["dataset", "teacher", "arm"])
        for pair in pairs(whole):
            own = of_pair(whole, pair)
            title = "hypervolume on validation, %"
            yield Panel(f"hypervolume · {pair_title(pair)}", {"": anytime.anytime(own, found.look, title)})
    best = best_so_far(found.together, found.searched_together)
    sizes = best.groupby("student")["params"].min()
    by_student = bands(best, "best", ["dataset", "teacher", "student", "arm"])
    by_student = by_student.assign(params=by_student["student"].map(sizes))
    for pair in pairs(by_student):
        members = of_pair(by_student, pair)
        for student in students_in_order(members):
            own = members[members["student"] == student]
            figure = anytime.anytime(own, found.look, "best validation, %")
            yield Panel(f"best so far · {student}", {"": figure})


def _attainment(found: Findings) -> Iterator[Panel]:
    surfaces = attainment(found.confirmed, {"accuracy": "max", found.size: "min"})
    for pair in pairs(surfaces):
        own = of_pair(surfaces, pair)
        yield Panel(pair_title(pair), {"": attainment_surfaces(own, found.size, found.look)})


def _selection(found: Findings) -> Iterator[Panel]:
    known = found.curse.dropna(subset=["searched", "fresh"], how="all")
    for dataset, members in known.groupby("dataset", sort=True):
        left_out = len(members) - curse.MOST
        note = f"{counted(left_out, 'finalist')} not shown." if left_out > 0 else ""
        yield Panel(str(dataset), {"": curse.finalists(members, found.look)}, note)


def _importance(found: Findings) -> Iterator[Panel]:
    for arm in found.look:
        own = found.importances[found.importances["arm"] == arm]
        pooled = own[own["dataset"].isna()]
        if len(pooled) > 1:
            title = f"{arm}, {counted(int(pooled['n'].max()), 'config')}"
            yield Panel(title, {"": importance_bars(own, found.look[arm])})


SECTIONS: Mapping[str, Callable[[Findings], Iterator[Panel]]] = {
    "front": _front,
    "attainment": _attainment,
    "differences": _differences,
    "heat": _heat,
    "ranks": _ranks,
    "selection": _selection,
    "anytime": _anytime,
    "history": _history,
    "importance": _importance,
    "coordinates": _coordinates,
    "curves": _curves,
    "losses": _losses,
    "usage": _usage,
}
"""Every section that has figures → what makes them."""


def choices(of: Sequence[Panel]) -> list[str]:
    """What a section lets a reader choose between; empty where there is nothing to choose."""
    found = list(dict.fromkeys(choice for panel in of for choice in panel.figures if choice))
    return found if len(found) > 1 else []
