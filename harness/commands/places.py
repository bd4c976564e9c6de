"""Where commands find things: the folders and URLs that a command line names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.source import MissingError

RUNS = Path("runs")
REPORTS = Path("reports")
DATA = Path.home() / ".cache" / "ksan-harness" / "data"
COPIES = Path.home() / ".cache" / "ksan-harness" / "runs"
"""Where runs at a URL are copied to be read."""


def _folder(path: Path) -> Path:
    """A folder that a command line names, its `~` for the home folder; it need not be there."""
    from harness.files import at_home

    try:
        found = at_home(path)
    except MissingError as error:
        raise typer.BadParameter(str(error)) from error
    if found.is_file():
        raise typer.BadParameter(f"{path} is a file; name a folder")
    return found


def _folder_or_url(place: str) -> str:
    """A URL as it is, and a folder as `_folder` has it."""
    return place if "://" in place else str(_folder(Path(place)))


Runs = Annotated[Path, typer.Option(help="Folder of the runs' records.", callback=_folder)]
RunsOrUrl = Annotated[str, typer.Option(help="Folder or URL (s3://…) of the runs' records.", callback=_folder_or_url)]
DataRoot = Annotated[Path, typer.Option(help="Folder of downloaded data sets.", callback=_folder)]
Reports = Annotated[Path, typer.Option("--reports", help="Folder of the published record.", callback=_folder)]
StudyName = Annotated[str, typer.Option("--study", "-s", help="Name or path of a study.", show_default=False)]


def here(runs: str) -> Path:
    """The folder of some runs; what lies at a URL is copied to this machine, without the students, to be read."""
    if "://" not in runs:
        return Path(runs)
    from hashlib import sha256

    from harness.store.remote import copied

    return copied(runs, COPIES / sha256(runs.encode()).hexdigest()[:16])


def run_folder(runs: Path, study: str) -> Path:
    """The folder of a study's run; raises `MissingError` where it was never run."""
    folder = runs / Path(study).name.removesuffix(".yaml").removesuffix(".yml")
    if not (folder / "study.json").is_file():
        there = ", ".join(sorted(path.parent.name for path in runs.glob("*/study.json"))) or "none"
        raise MissingError(f"{study} has no run in {runs} (there: {there}); run `harness search --study {study}` first")
    return folder
