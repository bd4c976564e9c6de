"""`publish` and `verify`: results that outlive the machine they were made on, and rows that anyone can check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from harness.commands.places import DATA, REPORTS, RUNS, DataRoot, Reports, RunsOrUrl, run_folder
from harness.commands.told import told
from harness.source import MissingError


def publish(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Option("--study", "-s", help="The study whose run ended; without, every page is made anew."),
    ] = None,
    runs: RunsOrUrl = str(RUNS),
    reports: Reports = REPORTS,
) -> None:
    """Publish a run: its frozen study, records, students and report, and the leaderboard made anew. Needs no torch."""
    with told(context):
        from datetime import UTC, datetime

        from harness.report import publishing

        console = Console()
        if study is None:
            folders = publishing.rewrite(reports)
            console.print(Text(f"{reports}: the pages of {len(folders)} published studies were made anew"))
            return
        if "://" in runs:
            raise MissingError("a run at a URL comes without its students; name a folder with --runs")
        folder = publishing.publish(run_folder(Path(runs), study), reports, f"{datetime.now(UTC):%Y-%m-%d}")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        students = len(list((folder / "students").glob("*")))
        console.print(Text(f"published: {folder} ({size / 2**20:.1f} MiB, {students} students)"), soft_wrap=True)
        console.print(Text(f"leaderboard: {reports / 'README.md'}, {reports / 'index.html'}"), soft_wrap=True)
        console.print(Text(f"write what was found into {reports / 'LOG.md'}, then `harness verify`"), soft_wrap=True)


def verify(
    context: typer.Context,
    row: Annotated[str | None, typer.Option(help="A row's id, or its first digits; every row by default.")] = None,
    level: Annotated[
        int,
        typer.Option(min=0, max=2, help="0: record and pages; 1: score stored students again; 2: train seeds again."),
    ] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="At level 2: how many of a row's seeds are trained again.")] = 2,
    reports: Reports = REPORTS,
    data_root: DataRoot = DATA,
) -> None:
    """Verify the published record; every fault is named, and 1 is the exit code of what does not hold."""
    with told(context):
        from harness.analysis.wording import counted
        from harness.report.integrity import faults
        from harness.report.record import read_record

        if not reports.is_dir():
            raise MissingError(f"{reports}: is no folder, so there is nothing to verify; `harness publish` makes it")
        console = Console()
        found = faults(reports)
        for fault in found:
            console.print(Text(str(fault), "red"), soft_wrap=True)
        if found:
            raise typer.Exit(1)
        record = read_record(reports)
        asked = [record.row(row)] if row is not None else [one for _, one in record.rows.iterrows()]
        told_of = f"{len(record.studies)} published, {counted(len(record.rows), 'row')}"
        console.print(Text(f"{reports}: {told_of}; every file, record and page is as it was published", "green"))
        if level:
            _refuse_missing_torch(level)
            from harness.commands.verifying import verify_rows

            if not verify_rows(record, asked, level, seeds, reports, data_root, console):
                raise typer.Exit(1)


def _refuse_missing_torch(level: int) -> None:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingError(f"level {level} computes, and torch is not installed here; level 0 needs none") from error
