"""`compare` and `diff`: two rows, arms, studies or trials against each other, by their numbers and by their specs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from harness.commands.places import REPORTS, RUNS, Reports, RunsOrUrl, here
from harness.commands.told import told
from harness.source import MissingError

if TYPE_CHECKING:
    import pandas as pd


def compare(
    context: typer.Context,
    ours: Annotated[str, typer.Argument(metavar="A", help="A row's id, an arm, or a study; STUDY/ARM where needed.")],
    theirs: Annotated[str, typer.Argument(metavar="B", help="The same of another.")],
    runs: RunsOrUrl = str(RUNS),
    reports: Reports = REPORTS,
) -> None:
    """Compare two rows, arms or studies, published or not: paired statistics over their common seeds."""
    with told(context):
        from harness.report.versus import print_versus, side, versus

        rows = _rows(_folders(here(runs), reports))
        a, b = side(rows, ours), side(rows, theirs)
        print_versus(a, b, versus(a, b), Console())


def diff(
    context: typer.Context,
    ours: Annotated[str, typer.Argument(metavar="A", help="A trial's or a row's id, or a study.")],
    theirs: Annotated[str, typer.Argument(metavar="B", help="The same of another.")],
    runs: RunsOrUrl = str(RUNS),
    reports: Reports = REPORTS,
) -> None:
    """Tell in what two specs differ, and which differences break their comparison (exit code 1) or do no harm."""
    with told(context):
        from harness.report.difference import Asked, print_difference, recorded

        folders = _folders(here(runs), reports)
        found = []
        for name in (ours, theirs):
            known = recorded(folders, name)
            found.append(known or Asked(name, _study(name), None))
        if not print_difference(found[0], found[1], Console()):
            raise typer.Exit(1)


def _folders(runs: Path, reports: Path) -> list[Path]:
    """The runs and published studies here; what is published speaks for a study that is both."""
    published = sorted(path.parent for path in reports.glob("*/study.json") if not path.parent.name.startswith("."))
    names = {folder.name for folder in published}
    return published + sorted(path.parent for path in runs.glob("*/study.json") if path.parent.name not in names)


def _rows(folders: list[Path]) -> pd.DataFrame:
    import pandas as pd

    from harness.analysis.cells import distinct
    from harness.analysis.claims import claims
    from harness.report.difference import refuse_unread
    from harness.report.record import every_attempt
    from harness.store.parquet import Store

    stores = [Store(folder) for folder in folders]
    trials = [every_attempt(store).trials for store in stores]
    refuse_unread(stores)
    filled = [frame for frame in trials if len(frame)]
    rows = claims(distinct(pd.concat(filled, ignore_index=True))) if filled else pd.DataFrame()
    if rows.empty:
        raise MissingError("nothing has been confirmed here yet: there are no rows to compare")
    return rows


def _study(name: str) -> dict[str, Any]:
    """A study that was not run, as it resolves now; raises `MissingError` for what looks like an id."""
    from harness.report.difference import could_be_id
    from harness.study.shelf import NotOnShelfError, find

    try:
        find("studies", name)
    except NotOnShelfError as error:
        if could_be_id(name):
            raise MissingError(f"no trial, row or study {name} here; `harness leaderboard` lists ids") from error
    from harness.study.study import load_study

    return load_study(name).resolved
