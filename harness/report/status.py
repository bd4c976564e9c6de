"""How a run stands, for another terminal: from its records and its live file alone, neither of which it touches.

running    a driver has the run; `silent_for` says how long ago it last wrote
stopped    none has it, and it did not say that all was done: it was interrupted or killed
finished   the last driver said that nothing is left
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.cells import CELL, distinct, groups, searched_together
from harness.analysis.configs import search_configs, whole_configs
from harness.analysis.wording import count, duration, percent
from harness.literal import printable
from harness.record import TrialRecord
from harness.report.leaderboard import Board, boards_of
from harness.store.live import RunningTrial, age, is_running, read_live
from harness.store.parquet import Store, now
from harness.store.query import Run, device_share, run_of

State = Literal["running", "stopped", "finished"]
ENDINGS = ("completed", "stopped", "diverged", "failed")
_MOST_RUNNING = 20
_HOUR = 3600.0


@dataclass(frozen=True)
class Best:
    """The best of one search so far: a mean on validation."""

    dataset: str
    teacher: str | None
    student: str
    arm: str
    accuracy: float | None
    configs: int


@dataclass(frozen=True)
class OnFront:
    """A row of the front so far; `evidence` says what its accuracy was measured on."""

    evidence: str
    dataset: str
    student: str
    arm: str
    accuracy: float
    size: float
    size_is: str


@dataclass(frozen=True)
class Limit:
    """What of one budget is used, in its unit."""

    name: str
    used: float
    limit: float | None


@dataclass(frozen=True)
class Status:
    """How a run stands."""

    study: str
    state: State
    silent_for: float | None
    """Seconds since a driver last wrote the live file; None where there is none that can be read."""
    counts: dict[str, int]
    total: int | None
    total_is_bound: bool
    seconds_left: float | None
    left_is_bound: bool
    running: tuple[RunningTrial, ...]
    """What runs, or of a stopped run what was running."""
    best: tuple[Best, ...]
    front: tuple[OnFront, ...]
    budgets: tuple[Limit, ...]
    damaged: tuple[str, ...]

    @property
    def done(self) -> int:
        """Trials that ended."""
        return sum(self.counts.values())


def read_status(store: Store) -> Status:
    """How the run in a store's folder stands; raises `MissingError` for a folder that is no readable run."""
    study = store.frozen_study() or {}
    live = read_live(store.root)
    store.unread.clear()
    trials = store.trials()
    known = {trial.trial_id for trial in trials if trial.status != "failed"}
    state: State = "running" if is_running(store.root, live) else "stopped"
    if state == "stopped" and live and live.state == "finished":
        state = "finished"
    run = run_of(store.root, study, trials)
    counts = Counter[str](trial.status for trial in trials)
    return Status(
        study=str(study.get("name", store.root.name)),
        state=state,
        silent_for=age(live) if live else None,
        counts={ending: counts[ending] for ending in ENDINGS},
        total=max(live.total, len(trials)) if live else None,
        total_is_bound=bool(live and live.total_is_bound),
        seconds_left=live.seconds_left if live and state == "running" else None,
        left_is_bound=bool(live and live.total_is_bound),
        running=tuple(one for one in live.running if one.trial_id not in known) if live else (),
        best=tuple(_best(run)) if trials else (),
        front=tuple(_front(run)) if trials else (),
        budgets=tuple(_budgets(study, trials, store)),
        damaged=tuple(str(path) for path in (*store.damaged, *dict.fromkeys(store.unread))),
    )


def _best(run: Run) -> list[Best]:
    configs = search_configs(searched_together(distinct(run.trials)))
    whole = whole_configs(configs)
    rows = []
    for key, members in groups(configs, CELL):
        values = whole.loc[whole.index.intersection(members.index), "accuracy"]
        best = float(values.max()) if len(values) else None
        rows.append(Best(accuracy=best, configs=len(members), **{name: key[name] for name in CELL}))  # type: ignore[arg-type]
    return rows


def _front(run: Run) -> list[OnFront]:
    return [row for board in boards_of([run]) for row in _rows(board)]


def _rows(board: Board) -> list[OnFront]:
    size = board.size
    return [
        OnFront(
            evidence=str(row["evidence"]),
            dataset=str(row["dataset"]),
            student=str(row["student"]),
            arm=str(row["arm"]),
            accuracy=float(row["accuracy"]),
            size=float(row[size]),
            size_is=size,
        )
        for _, row in board.front.iterrows()
    ]


def _budgets(study: dict[str, Any], trials: list[TrialRecord], store: Store) -> list[Limit]:
    """The hours so far, with their limits, and the epochs of the search that spent most where they are limited."""
    limits = (study.get("search") or {}).get("budget") or {}
    searched = [trial for trial in trials if trial.purpose == "search"]
    device = device_share(study) * sum(trial.wall_seconds for trial in searched) / _HOUR
    found = [
        Limit("hours on the wall", store.wall_seconds() / _HOUR, limits.get("wall_hours")),
        Limit("hours of devices, search", device, limits.get("device_hours")),
    ]
    if limits.get("epochs"):
        frame = pd.DataFrame([(one.teacher, one.arm, one.epochs_done) for one in searched], columns=["t", "a", "n"])
        spent = frame.groupby(["t", "a"], dropna=False)["n"].sum().max() if len(frame) else 0
        found.append(Limit("epochs, most of any search", float(spent), limits["epochs"]))
    return found


def shown(status: Status) -> RenderableType:
    """The status for a terminal of any width."""
    parts: list[RenderableType] = [_headline(status), _ended(status)]
    if status.running:
        parts += [Text(), Text("running" if status.state == "running" else "was running", "dim"), _running(status)]
    if any(best.accuracy is not None for best in status.best):
        parts += [Text(), Text("best on validation so far", "dim"), _best_table(status)]
    for evidence, told in (("test", "front so far, on test"), ("validation", "front so far, on validation")):
        if any(row.evidence == evidence for row in status.front):
            parts += [Text(), Text(told, "dim"), _front_table(status, evidence)]
    parts += [Text(), *(Text(_used(limit)) for limit in status.budgets)]
    parts += [Text(f"could not be read: {printable(path)}", "yellow") for path in status.damaged]
    return Group(*parts)


def _headline(status: Status) -> Text:
    style = {"running": "bold green", "stopped": "bold yellow", "finished": "bold"}[status.state]
    text = Text.assemble((printable(status.study), "bold"), ": ", (status.state, style))
    if status.state == "running" and status.silent_for is not None and status.silent_for > 10:
        text.append(f", without a word for {duration(status.silent_for)}")
    if status.state == "stopped":
        said = "; the same command continues" if status.total is not None else "; what is left of it is not known"
        text.append(said)
    if status.seconds_left is not None:
        text.append(f", {'at most ' if status.left_is_bound else 'about '}{duration(status.seconds_left)} left")
    return text


def _ended(status: Status) -> Text:
    of = "" if status.total is None else f" of {'at most ' if status.total_is_bound else ''}{status.total}"
    endings = ", ".join(f"{n} {ending}" for ending, n in status.counts.items() if n or ending == "failed")
    return Text(f"{status.done}{of} trials ended: {endings}")


def _running(status: Status) -> Table:
    table = _table("arm", "student", "for", "seed", "epoch", "since")
    for one in status.running[:_MOST_RUNNING]:
        since = max(0.0, (now() - one.started_at).total_seconds())
        words = (one.arm, one.student, one.purpose, str(one.seed), f"{one.epoch}/{one.epochs}", duration(since))
        table.add_row(*(Text(printable(word)) for word in words))
    if status.running[_MOST_RUNNING:]:
        table.add_row(Text(f"and {len(status.running) - _MOST_RUNNING} more"))
    return table


def _best_table(status: Status) -> Table:
    several = len({(best.dataset, best.teacher) for best in status.best if best.teacher}) > 1
    table = _table("student", "arm", *(["teacher"] if several else []), "%", "configs")
    for best in status.best:
        teacher = [best.teacher or ""] if several else []
        words = (best.student, best.arm, *teacher, percent(best.accuracy), str(best.configs))
        table.add_row(*(Text(printable(word)) for word in words))
    return table


def _front_table(status: Status, evidence: str) -> Table:
    rows = [row for row in status.front if row.evidence == evidence]
    table = _table("student", "arm", "%", rows[0].size_is)
    for row in rows:
        words = (row.student, row.arm, percent(row.accuracy), count(row.size))
        table.add_row(*(Text(printable(word)) for word in words))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _used(limit: Limit) -> str:
    of = "" if limit.limit is None else f" of {limit.limit:g}"
    return f"{limit.name}: {limit.used:.0f}{of}" if "epochs" in limit.name else f"{limit.name}: {limit.used:.2f}{of}"


def as_json(status: Status) -> dict[str, Any]:
    """The status for machines: times in seconds, accuracies as fractions, moments as ISO 8601."""
    content = dataclasses.asdict(status)
    for one in content["running"]:
        one["started_at"] = one["started_at"].isoformat()
    return {**content, "done": status.done}
