"""Single figures and tables of a report as files: pictures for papers, tables for whoever goes on computing.

png svg       figures, on white, by Kaleido and a browser
csv parquet   tables, unrounded, in the units of the records
json          either: tables as rows, figures as Plotly reads them
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import plotly.graph_objects as go

from harness.files import replacing, write_text_whole
from harness.report.findings import Findings
from harness.report.panels import SECTIONS, files
from harness.report.pictures import write_pictures
from harness.report.tables.sections import TABLES
from harness.source import UserError
from harness.store.query import read_run

_PICTURES, _TABLES = ("png", "svg"), ("csv", "parquet")
Exhibit: TypeAlias = go.Figure | pd.DataFrame


def write_exhibits(run_folder: Path, form: str, only: Sequence[str] = (), to: Path | None = None) -> list[Path]:
    """Writes a run's figures or tables, those whose names are given or begin so, and returns the paths.

    They go into the folder `to` (default `RUN/report`); one alone into the file `to`, where that ends like its format.
    Raises `UserError` for a name that there is not, `MissingError` where pictures need what is not here.
    """
    found = Findings(read_run(run_folder))
    chosen = _chosen(found, form, only)
    is_file = to is not None and to.suffix == f".{form}"
    if is_file and len(chosen) != 1:
        raise UserError(f"{to} is one file, and this is {len(chosen)}; name one of {_listed(chosen)} by --only")
    folder = to or run_folder / "report"
    places = {name: to if to and is_file else folder / f"{name}.{form}" for name in chosen}
    for place in places.values():
        place.parent.mkdir(parents=True, exist_ok=True)
    if form in _PICTURES:
        figures = {name: figure for name, figure in chosen.items() if isinstance(figure, go.Figure)}
        write_pictures([(figures[name], places[name]) for name in figures])
    else:
        for name, exhibit in chosen.items():
            _write(exhibit, places[name], form)
    return list(places.values())


def exhibits(found: Findings, form: str) -> Iterator[tuple[str, Exhibit]]:
    """Everything that a format can hold, by name."""
    if form not in _TABLES:
        for section in SECTIONS:
            yield from files(section, found)
    if form not in _PICTURES:
        for make in TABLES.values():
            for table in make(found):
                yield table.name if form in _TABLES else f"{table.name}-table", table.frame


def _chosen(found: Findings, form: str, only: Sequence[str]) -> dict[str, Exhibit]:
    known = dict(exhibits(found, form))
    if not only:
        return known
    wanted: dict[str, Exhibit] = {}
    for asked in only:
        name = asked.removesuffix(f".{form}")
        members = {name: known[name]} if name in known else {k: v for k, v in known.items() if k.startswith(f"{name}-")}
        if not members:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? There are" if near else "there are"
            raise UserError(f"{asked} is no name of a figure or table that {form} can hold; {hint} {_listed(known)}")
        wanted |= members
    return wanted


def _listed(known: dict[str, Exhibit]) -> str:
    return ", ".join(known) or "none"


def _write(exhibit: Exhibit, place: Path, form: str) -> None:
    if isinstance(exhibit, go.Figure):
        write_text_whole(place, str(exhibit.to_json(pretty=True)) + "\n")
    elif form == "csv":
        write_text_whole(place, str(_flat(exhibit).to_csv(index=False)))
    elif form == "json":
        rows = json.loads(exhibit.to_json(orient="records", date_format="iso", double_precision=15))
        write_text_whole(place, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    else:
        with replacing(place) as temporary:
            exhibit.reset_index(drop=True).to_parquet(temporary, index=False)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """The table with lists as words, which a CSV can hold."""
    lists = [name for name in table if table[name].map(lambda value: isinstance(value, list)).any()]
    return table.assign(**{str(name): table[name].map(lambda value: " ".join(map(str, value))) for name in lists})
