"""The leaderboard: what is ranked together, and that every command can be copied whole."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from harness.literal import markdown
from harness.report.leaderboard import (
    fronts,
    leaderboard_markdown,
    leaderboard_rows,
    print_front,
    print_leaderboard,
)
from tests.records import PROVENANCE, confirmations, trial, write_run

HIGH, LOW = {1: 0.95, 2: 0.951, 3: 0.949}, {1: 0.85, 2: 0.853, 3: 0.852}


def terminal(width: int) -> Console:
    return Console(file=StringIO(), width=width, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_studies_on_the_same_data_and_schedule_are_ranked_together(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", confirmations(LOW))
    two = write_run(tmp_path / "two", [replace(t, study="second") for t in confirmations(HIGH, arm="kd")])
    (board,) = leaderboard_rows([one, two])
    assert board.rows[["rank", "study"]].values.tolist() == [[1, "second"], [2, "sample"]]


def test_other_data_or_another_schedule_has_a_board_of_its_own(tmp_path: Path) -> None:
    other = replace(PROVENANCE, data_fingerprint="0" * 64)
    runs = [
        write_run(tmp_path / "one", confirmations(LOW)),
        write_run(tmp_path / "two", [replace(t, provenance=other) for t in confirmations(HIGH)]),
        write_run(tmp_path / "three", [replace(t, epochs=60, epochs_done=60) for t in confirmations(HIGH)]),
    ]
    assert [len(board.rows) for board in leaderboard_rows(runs)] == [1, 1, 1]


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path, confirmations(HIGH))
    (board,) = leaderboard_rows([folder, folder])
    assert board.rows["n"].tolist() == [3]


def test_a_front_of_the_search_serves_only_where_nothing_is_confirmed(tmp_path: Path) -> None:
    searched = write_run(tmp_path / "one", [trial(validation=0.99)])
    confirmed = write_run(tmp_path / "two", confirmations(HIGH))
    assert [set(board.front["evidence"]) for board in fronts([searched])] == [{"validation"}]
    assert [set(board.front["evidence"]) for board in fronts([searched, confirmed])] == [{"test"}]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_every_line_fits_and_every_command_is_whole(sample_folder: Path, width: int) -> None:
    console = terminal(width)
    print_leaderboard([sample_folder], console)
    lines = printed(console).splitlines()
    assert max(len(line) for line in lines if not line.startswith("harness reproduce")) <= width
    (board,) = leaderboard_rows([sample_folder])
    for command in board.rows["command"]:
        assert any(line.startswith(command + "  #") for line in lines)


def test_a_narrow_terminal_folds_and_drops_nothing(sample_folder: Path) -> None:
    console = terminal(40)
    print_leaderboard([sample_folder], console)
    board = printed(console).partition("To repeat")[0]
    assert max(map(len, board.splitlines())) <= 40
    assert [board.count(part) for part in ("ksan", "scra", "anc ", "kd ")] == [3, 3, 3, 3]


def test_a_shared_rank_is_marked(sample_folder: Path) -> None:
    console = terminal(80)
    print_leaderboard([sample_folder], console)
    assert "1= * resnet14-w4" in printed(console)


def test_the_front_begins_with_the_smallest_student(sample_folder: Path) -> None:
    console = terminal(80)
    print_front([sample_folder], console)
    text = printed(console)
    assert text.index("resnet8-w2") < text.index("resnet8-w4") < text.index("resnet14-w4")


def test_an_unconfirmed_front_says_that_it_is_on_validation(tmp_path: Path) -> None:
    console = terminal(80)
    print_front([write_run(tmp_path, [trial()])], console)
    assert "Not confirmed: means on validation" in printed(console)


def test_a_run_with_nothing_says_so(tmp_path: Path) -> None:
    console, folder = terminal(80), write_run(tmp_path, [])
    print_leaderboard([folder], console)
    print_front([folder], console)
    assert "nothing to rank" in printed(console)
    assert "there is no front" in printed(console)
    assert "No config has been confirmed yet." in leaderboard_markdown([folder])


def test_no_runs_are_no_error() -> None:
    assert leaderboard_rows([]) == []
    assert fronts([]) == []


def test_names_are_neither_markup_nor_terminal_codes(tmp_path: Path) -> None:
    name = "[red]x[/red]\x1b[31m"
    console = terminal(120)
    print_leaderboard([write_run(tmp_path, [replace(t, arm=name) for t in confirmations(HIGH)])], console)
    assert "[red]x[/red]�[31m" in printed(console)
    assert "\x1b" not in printed(console)


def test_markdown_shows_names_literally() -> None:
    assert markdown("a|b <i> *c*\n`d`") == "a&#124;b &lt;i> \\*c\\*�\\`d\\`"


def test_the_markdown_page_has_a_row_and_a_command_each(sample_folder: Path) -> None:
    page = leaderboard_markdown([sample_folder])
    assert page.count("`harness reproduce ") == 12
    assert "## digits, 20 epochs, data ffffffffffff" in page
