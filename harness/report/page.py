"""The report: one self-contained HTML file, made from a run's records alone.

The page works offline: Plotly is inside it once, and its content policy forbids every request. Equal records
make an equal page: nothing here asks for the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.analysis.averaged import averaged
from harness.analysis.cells import Pair, arms_in_order, distinct, of_pair, pairs, searched_together, students_in_order
from harness.analysis.comparison import answer, differences, gap, gap_in_words
from harness.analysis.configs import readable_floor, search_configs
from harness.analysis.confirmed import confirmed_rows, teachers
from harness.analysis.curves import learning_curves, named_losses, search_history, stopped_curves
from harness.analysis.pareto import objectives_of, pareto_front
from harness.analysis.stopped import given_up
from harness.analysis.wording import counted, percent
from harness.files import write_text_whole
from harness.report import content, figures
from harness.report.front_figure import SIZES, accuracy_against_size
from harness.report.palette import Look, looks
from harness.source import UserError
from harness.store.query import Run, read_run


@dataclass(frozen=True)
class Panel:
    """One figure of the page with its title and a note below it."""

    title: str
    figure: Markup
    note: str = ""


def write_report(run_folder: Path, to: Path | None = None) -> Path:
    """Writes a run's report, whole or not at all, and returns its path (default `RUN/report.html`).

    Raises `store.query.RunFolderError` for a folder that is no readable run, `UserError` where `to` is a folder.
    """
    path = to or run_folder / "report.html"
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file, such as {path / 'report.html'}")
    page = report_html(read_run(run_folder))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, page)
    return path


def report_html(run: Run) -> str:
    """The whole page as text."""
    environment = Environment(
        loader=PackageLoader("harness.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    trials, study = distinct(run.trials), run.study
    students = trials[trials["purpose"] != "teacher"]
    look = looks(arms_in_order(students))
    confirmed = confirmed_rows(trials)
    compared = differences(confirmed)
    means = averaged(confirmed, compared)
    every = pd.concat([compared, means]) if len(means) else compared
    objectives = objectives_of(study, ["accuracy", *SIZES])
    front = pareto_front(confirmed.dropna(subset=list(objectives)), objectives)
    size = next(name for name in objectives if name in SIZES)
    together = searched_together(trials)
    history = search_history(together).dropna(subset="best")
    stopped, early = stopped_curves(together, run.epochs), given_up(together)
    curves = pd.concat([learning_curves(together, run.epochs), stopped])
    return environment.get_template("page.html.j2").render(
        plotly=Markup(get_plotlyjs()),
        name=str(study.get("name", run.folder.name)),
        question=str(study.get("question", "")),
        standing=content.standing(trials),
        answer=answer(confirmed, compared, means),
        gap=gap_in_words(gap(confirmed)) if len(confirmed) else "",
        arms=look,
        size=SIZES[size],
        front_panels=_front_panels(trials, confirmed, front, size, look),
        confirmed=content.confirmed_tables(confirmed, front),
        forests=_forests(every, look),
        differences=content.difference_table(every),
        history=_by_student(history, lambda rows: figures.search_history(rows, "configs", look)),
        history_by_time=_by_student(history, lambda rows: figures.search_history(rows, "train_seconds", look)),
        curves=_by_student(curves, lambda rows: figures.learning_curves(rows, look)),
        any_stopped=len(stopped) > 0,
        losses=_losses(named_losses(together, run.epochs), look),
        teachers=content.teacher_table(teachers(trials)),
        costs=content.cost_table(trials),
        saving=content.saving(trials, early),
        stopped=content.stopped_table(early),
        failures=content.failure_table(trials),
        provenance=content.provenance_table(trials, study),
    )


def _front_panels(
    trials: pd.DataFrame, confirmed: pd.DataFrame, front: pd.DataFrame, size: str, look: Mapping[str, Look]
) -> list[Panel]:
    """A panel per pair; each shows the front of its whole data set, which is taken over all its pairs."""
    searched, known_teachers = search_configs(trials).dropna(subset="accuracy"), teachers(trials)
    seen = pd.concat([confirmed[["dataset", "teacher"]], searched[["dataset", "teacher"]]])
    panels = []
    for pair in pairs(seen):
        own, found = of_pair(confirmed, pair), of_pair(searched, pair)
        floor, below = readable_floor(own, found)
        figure = accuracy_against_size(
            confirmed=own,
            searched=found,
            front=front[front["dataset"] == pair.dataset],
            teachers=known_teachers[
                (known_teachers["dataset"] == pair.dataset) & (known_teachers["teacher"] == pair.teacher)
            ],
            size=size,
            look=look,
            floor=floor,
        )
        note = f"{counted(below, 'search config')} below {percent(floor, 1)} % not shown." if below else ""
        panels.append(Panel(_pair_title(pair), embedded(figure), note))
    return panels


def _pair_title(pair: Pair) -> str:
    return f"{pair.dataset}, teacher {pair.teacher}" if pair.teacher else pair.dataset


def _by_student(rows: pd.DataFrame, draw: Callable[[pd.DataFrame], go.Figure]) -> list[Panel]:
    """A panel per pair and student."""
    panels = []
    several = len(pairs(rows)) > 1
    for pair in pairs(rows):
        members = of_pair(rows, pair)
        for student in students_in_order(members):
            title = f"{student} · {_pair_title(pair)}" if several else student
            panels.append(Panel(title, embedded(draw(members[members["student"] == student]))))
    return panels


def _forests(compared: pd.DataFrame, look: Mapping[str, Look]) -> list[Panel]:
    """A panel per baseline and pair, in the order of the comparisons."""
    families = compared.groupby(["dataset", "teacher", "baseline", "baseline_arm"], dropna=False, sort=False)
    panels = []
    for (dataset, teacher, _, arm), members in families:
        pair = Pair(str(dataset), teacher if isinstance(teacher, str) else None)
        panels.append(Panel(f"against {arm} · {_pair_title(pair)}", embedded(figures.forest(members, look))))
    return panels


def _losses(losses: pd.DataFrame, look: Mapping[str, Look]) -> list[Panel]:
    panels = []
    for pair in pairs(losses):
        members = of_pair(losses, pair)
        for student in students_in_order(members):
            own = members[members["student"] == student]
            for arm in arms_in_order(own):
                drawn = figures.named_losses(own[own["arm"] == arm], look[arm])
                panels.append(Panel(f"{student} · {arm}", embedded(drawn)))
    return panels


def embedded(figure: go.Figure) -> Markup:
    """A figure as JSON that may stand inside a script element: no character of it can end the element."""
    text = str(figure.to_json())
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
