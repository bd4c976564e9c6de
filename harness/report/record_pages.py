"""The record's pages, made of the published folders alone: equal records make equal pages, so that anyone can check.

README.md          what was found, how sure it is and how to repeat it, for a code host that runs no scripts
index.html         every row: sort, filter, compare two with their paired test
leaderboard.json   every row with all that it claims, for machines
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from harness.files import write_text_whole
from harness.report.index import index_html
from harness.report.readme import readme
from harness.report.record import Record, read_record
from harness.report.row_facts import facts

README, INDEX, ROWS = "README.md", "index.html", "leaderboard.json"


def pages(record: Record) -> Mapping[str, str]:
    """File name → text of each page."""
    return {README: readme(record), INDEX: index_html(record), ROWS: rows_json(record)}


def rows_json(record: Record) -> str:
    """All rows as JSON, one a line, so that a change of one shows as one."""
    rows = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in facts(record)]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def write_pages(reports: Path) -> list[Path]:
    """Writes every page, each whole or not at all, and returns their paths."""
    written = []
    for name, text in pages(read_record(reports)).items():
        write_text_whole(reports / name, text)
        written.append(reports / name)
    return written
