"""The display counts what ended, and shows every name as it was written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.search.agenda import Agenda
from harness.search.display import Display
from harness.store.parquet import Store
from harness.study.plan import plan
from tests.search.made_up import Judge, broken, completed, walk
from tests.studies import LABEL, TRIALS, study, tiny


class Clock:
    """A minute passes between two looks."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


def shown(
    tmp_path: Path,
    terminal: bool,
    judge: Judge = completed,
    stop_after: int | None = None,
    content: dict[str, Any] | None = None,
) -> tuple[Display, str]:
    planned, screen = plan(study(content)), io.StringIO()
    display = Display(planned, Console(file=screen, width=200, force_terminal=terminal), 1, Clock())
    agenda = Agenda(planned, Store(tmp_path), [display])
    display.resume(agenda)
    with display:
        walk(agenda, judge, stop_after=stop_after)
        if terminal:
            display.console.print(display)
    return display, screen.getvalue()


def test_plain_lines_tell_how_far_it_is(tmp_path: Path) -> None:
    _, text = shown(tmp_path, terminal=False)
    lines = text.splitlines()
    assert lines[0].startswith(f"1/{TRIALS} trials, 0 failed")
    assert lines[-1].startswith(f"{TRIALS}/{TRIALS} trials, 0 failed, best on validation")
    assert "left" in lines[0]
    assert "\x1b" not in text


def test_a_second_run_says_what_it_does_not_repeat(tmp_path: Path) -> None:
    shown(tmp_path, terminal=False, stop_after=5)
    display, text = shown(tmp_path, terminal=False)
    assert text.startswith("Continuing: 5 trials are on disk and are not run again.")
    assert display.done == TRIALS


def test_a_failure_is_told_when_it_happens(tmp_path: Path) -> None:
    _, text = shown(
        tmp_path,
        terminal=False,
        judge=lambda a: broken(a) if a.proposal == 0 else completed(a),
        stop_after=2,
        content=tiny(resources__pack=1),
    )
    assert "failed: scratch on resnet8-w2: RuntimeError: broken" in text


def test_a_trial_that_is_tried_again_counts_once(tmp_path: Path) -> None:
    """In the same run, where it fails again, and in the next, where it goes well."""
    due = ("scratch", 1, 10_000)
    for attempts, told in ((9, "1 failed"), (0, "0 failed")):
        display, text = shown(
            tmp_path,
            terminal=False,
            judge=lambda a, until=attempts: (
                broken(a) if a.attempt < until and (a.arm, a.proposal, a.spec.seeds.data) == due else completed(a)
            ),
        )
        assert display.done == display.total == TRIALS
        assert text.splitlines()[-1].startswith(f"{TRIALS}/{TRIALS} trials, {told}")


def test_a_config_that_is_proposed_again_leaves_no_trial_to_wait_for(tmp_path: Path) -> None:
    one_of_two = {"method": {"name": "scratch"}, "space": {"training.batch_size": {"choice": [16, 32]}}}
    _, text = shown(tmp_path, terminal=False, content=tiny(arms=[one_of_two], search__trials=6))
    done, total = text.splitlines()[-1].split()[0].split("/")
    assert done == total


def test_the_table_shows_labels_as_text(tmp_path: Path) -> None:
    display, text = shown(tmp_path, terminal=True)
    assert LABEL in text
    assert display.seconds_left is not None


STOPPING = tiny(search__stopping={"name": "halving", "rungs": [0.5], "least": 2}, search__trials=4, search__batch=4)


def test_stopped_trials_are_counted_and_the_time_left_is_a_bound(tmp_path: Path) -> None:
    display, text = shown(tmp_path, terminal=False, content=STOPPING)
    assert display.counts["stopped"] > 0
    assert f", {display.counts['stopped']} stopped, best on validation" in text.splitlines()[-1]
    assert ", at most " in text.splitlines()[0]


def test_the_time_left_falls_to_nothing(tmp_path: Path) -> None:
    for name, content in (("whole", tiny()), ("stopped", STOPPING)):
        display, _ = shown(tmp_path / name, terminal=False, content=content)
        assert (display.pace.searching, display.pace.others) == (0, 0)
        assert display.seconds_left == 0


def test_the_time_left_does_not_exceed_what_a_budget_allows(tmp_path: Path) -> None:
    hours = {"wall_hours": 0.5}
    free, _ = shown(tmp_path / "free", terminal=False, stop_after=4)
    bound, _ = shown(tmp_path / "bound", terminal=False, stop_after=4, content=tiny(search__budget=hours))
    assert bound.seconds_left is not None
    assert free.seconds_left is not None
    assert bound.seconds_left <= 1800 + free.seconds_left
