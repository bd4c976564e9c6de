"""The leaderboard: confirmed rows of one or many runs, ranked, each with the command that reproduces it.

Rows of different studies are ranked together only where data set, data fingerprint and schedule (epochs)
are the same; every other combination has a board of its own. Ranks are shared within the noise, as
`analysis.confirmed` tells. Texts of users reach the terminal as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.cells import COMPARABLE, distinct, groups, with_fingerprint
from harness.analysis.configs import search_configs, whole_configs
from harness.analysis.confirmed import confirmed_rows, reproduce
from harness.analysis.pareto import Direction, objectives_of, pareto_front
from harness.analysis.wording import count, counted, duration, percent, plus_minus
from harness.literal import markdown, printable
from harness.report.content import group_title, optional
from harness.store.query import Run, read_run

_RANKS = "Rows that share a rank (=) cannot be told apart; * stands on the front."
_LOOKS = "looks: how often the test split was read for a row; after the first its number may have been chosen by."
_SIZES = ("params", "macs", "latency")
_NARROW = 60
"""Columns of a terminal below which numbers fold too: otherwise they would leave no room for names."""


@dataclass(frozen=True)
class Board:
    """Comparable rows: confirmed ones with their ranks, or a front of one kind of evidence."""

    title: str
    rows: pd.DataFrame
    """Columns as of `confirmed_rows` (evidence `test`) or `search_configs` (evidence `validation`)."""
    front: pd.DataFrame
    """The rows that no other beats in every objective, the smallest first."""
    size: str
    """Which size is an objective beside accuracy."""


def leaderboard_rows(folders: Sequence[Path]) -> list[Board]:
    """A board of confirmed rows per comparable group; none where nothing was confirmed.

    Raises `store.query.RunFolderError` for a folder that is no readable run.
    """
    runs = [read_run(folder) for folder in folders]
    if not runs:
        return []
    rows, places = confirmed_rows(_all_trials(runs)), {id: run.folder.parent for run in runs for id in _ids(run)}
    commands = [reproduce(id, places[id]) for id in rows["trial_id"]]
    return _boards(rows.assign(command=commands), _objectives(runs))


def fronts(folders: Sequence[Path]) -> list[Board]:
    """The front of every comparable group: of confirmed rows, or, where none is confirmed, of the search.

    A group's front is of one kind: the search's values on validation serve only where nothing is confirmed.
    """
    return boards_of([read_run(folder) for folder in folders])


def boards_of(runs: Sequence[Run]) -> list[Board]:
    """The fronts of runs that are read already."""
    if not runs:
        return []
    trials, objectives = _all_trials(runs), _objectives(runs)
    confirmed = _boards(confirmed_rows(trials), objectives)
    known = {board.title for board in confirmed}
    searched = _boards(whole_configs(search_configs(trials)), objectives)
    return confirmed + [board for board in searched if board.title not in known]


def _ids(run: Run) -> list[str]:
    return list(run.trials["trial_id"])


def _all_trials(runs: Sequence[Run]) -> pd.DataFrame:
    """Every trial once, also where a run is given twice."""
    trials = with_fingerprint(pd.concat([run.trials for run in runs], ignore_index=True))
    once = trials.drop_duplicates(["study", "trial_id", "data_fingerprint", "epochs"], keep="last", ignore_index=True)
    return distinct(once)


def _objectives(runs: Sequence[Run]) -> dict[str, Direction]:
    """The objectives that all the studies share; accuracy against parameters where they differ."""
    asked = [objectives_of(run.study, ["accuracy", *_SIZES]) for run in runs]
    return asked[0] if all(one == asked[0] for one in asked) else objectives_of({}, _SIZES)


def _boards(rows: pd.DataFrame, objectives: Mapping[str, Direction]) -> list[Board]:
    size = next(name for name in objectives if name in _SIZES)
    return [
        Board(group_title(key), members, pareto_front(members.dropna(subset=list(objectives)), objectives), size)
        for key, members in groups(rows, COMPARABLE)
    ]


def print_leaderboard(folders: Sequence[Path], console: Console) -> None:
    """Prints the boards, each row's commands below its board, so that none is cut at 80 columns."""
    boards = leaderboard_rows(folders)
    if not boards:
        console.print("No config has been confirmed yet: there is nothing to rank.")
    for board in boards:
        _print_board(board, board.rows, console)
        console.print(_RANKS, style="dim")
        if _was_looked_at_again(board):
            console.print(_LOOKS, style="dim")
        _print_commands(board.rows, console)


def print_front(folders: Sequence[Path], console: Console) -> None:
    """Prints each group's front, the smallest first; says where its values are only on validation."""
    boards = fronts(folders)
    if not boards:
        console.print("No trial has completed its whole schedule yet: there is no front.")
    for board in boards:
        _print_board(board, board.front, console, "front of ")
        if not _is_confirmed(board):
            console.print("Not confirmed: means on validation, which flatter what the search selected.", style="dim")


def _print_board(board: Board, rows: pd.DataFrame, console: Console, which: str = "") -> None:
    console.print()
    console.print(_text(which + board.title), style="bold")
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    columns = _columns(board)
    for name, (is_number, _) in columns.items():
        table.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number and console.width >= _NARROW,
        )
    for _, row in rows.iterrows():
        table.add_row(*(_text(said(row)) for _, said in columns.values()))
    console.print(table)


def _columns(board: Board) -> dict[str, tuple[bool, Callable[[pd.Series], str]]]:
    """Heading → (is a number, what a row says); a column that says the same everywhere is left out."""
    standing = set(board.front["config_id"])
    shared = _shared_ranks(board)

    def ranked(row: pd.Series) -> str:
        return f"{row['rank']}{'=' if row['rank'] in shared else ''}"

    def measured(row: pd.Series) -> str:
        return f"{percent(row['accuracy'])} {plus_minus(row['low'], row['high'])}"

    confirmed, rows = _is_confirmed(board), board.rows
    columns: dict[str, tuple[bool, Callable[[pd.Series], str] | None]] = {
        "rank": (True, ranked if confirmed else None),
        "": (False, lambda row: "*" if row["config_id"] in standing else ""),
        "student": (False, lambda row: str(row["student"])),
        "arm": (False, lambda row: str(row["arm"])),
        "teacher": (False, (lambda row: optional(row["teacher"])) if rows["teacher"].notna().any() else None),
        "study": (False, (lambda row: str(row["study"])) if rows["study"].nunique() > 1 else None),
        "test, %": (True, measured if confirmed else None),
        "validation, %": (True, None if confirmed else lambda row: percent(row["accuracy"])),
        "n": (True, lambda row: str(row["n"])),
        "looks": (True, (lambda row: str(row["looks"])) if confirmed and _was_looked_at_again(board) else None),
        "params": (True, lambda row: count(row["params"])),
        "MACs": (True, lambda row: count(row["macs"])),
        "µs": (True, (lambda row: count(row["latency"])) if rows["latency"].notna().any() else None),
        "train": (True, (lambda row: duration(row["train_seconds"])) if confirmed else None),
    }
    return {name: (is_number, said) for name, (is_number, said) in columns.items() if said is not None}


def _was_looked_at_again(board: Board) -> bool:
    return _is_confirmed(board) and int(board.rows["looks"].max()) > 1


def _shared_ranks(board: Board) -> set[int]:
    if not _is_confirmed(board):
        return set()
    counts = board.rows["rank"].value_counts()
    return {int(str(rank)) for rank, n in counts.items() if n > 1}


def _is_confirmed(board: Board) -> bool:
    return set(board.rows["evidence"]) == {"test"}


def _print_commands(rows: pd.DataFrame, console: Console) -> None:
    console.print("\nTo repeat a row (its first seed):", style="dim")
    for _, row in rows.iterrows():
        console.print(
            _text(row["command"]).append(f"  # {printable(row['student'])}, {printable(row['arm'])}", "dim"),
            soft_wrap=True,
        )


def _text(value: object) -> Text:
    return Text(printable(value))


def leaderboard_markdown(folders: Sequence[Path]) -> str:
    """The leaderboard as a Markdown page."""
    lines = ["# Leaderboard", "", "Confirmed rows: mean test accuracy over fresh seeds ± half its 95 % t interval."]
    lines += [_RANKS.replace("*", "\\*"), ""]
    boards = leaderboard_rows(folders)
    for board in boards:
        columns = _columns(board)
        lines += [f"## {markdown(board.title)}", ""]
        lines += ["| " + " | ".join([*(name or "front" for name in columns), "reproduce"]) + " |"]
        lines += ["| " + " | ".join([*("--:" if number else ":--" for number, _ in columns.values()), ":--"]) + " |"]
        for _, row in board.rows.iterrows():
            cells = [
                *(markdown(said(row)) for _, said in columns.values()),
                f"`{printable(row['command']).replace('`', '')}`",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", f"{counted(len(board.rows), 'row')}.{' ' + _LOOKS if _was_looked_at_again(board) else ''}", ""]
    if not boards:
        lines += ["No config has been confirmed yet.", ""]
    return "\n".join(lines)
