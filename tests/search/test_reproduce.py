"""A record can be trained again, and its numbers are held against it one by one."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.search.reproduce import compare, find_trial, train_again
from harness.source import MissingError
from tests.conftest import FinishedRun


def test_a_trial_is_found_by_the_first_digits_of_its_id(finished: FinishedRun) -> None:
    trial = finished.store.trials()[0]
    assert find_trial([Path("nowhere"), finished.runs], trial.trial_id[:8]) == trial


@pytest.mark.parametrize(
    ("digits", "told"), [("ffffffff", "no trial ffffffff"), ("abc", "abc is too short"), ("", "too short")]
)
def test_what_names_no_trial_is_told(digits: str, told: str, finished: FinishedRun) -> None:
    with pytest.raises(MissingError, match=told):
        find_trial([finished.runs], digits)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("purpose", ["teacher", "search", "confirmation"])
def test_every_trial_can_be_trained_again(purpose: str, fresh: bool, finished: FinishedRun) -> None:
    record = [trial for trial in finished.store.trials() if trial.purpose == purpose][-1]
    again = train_again(record, finished.runs / "cache", Path("unused"), fresh)
    screen = io.StringIO()
    assert compare(record, again, Console(file=screen, width=200))
    assert "reproduced, bit for bit" in screen.getvalue()
    assert "≠" not in screen.getvalue()


@pytest.mark.parametrize(
    "change", [{"test_accuracy": 0.5}, {"test_loss": 0.1}, {"student_digest": "0" * 64}, {"validation_accuracy": 0.3}]
)
def test_one_other_number_is_no_reproduction(change: dict, finished: FinishedRun) -> None:
    record = next(trial for trial in finished.store.trials() if trial.purpose == "confirmation")
    screen = io.StringIO()
    assert not compare(replace(record, **change), record, Console(file=screen, width=200))
    (line,) = [line for line in screen.getvalue().splitlines() if "≠" in line]
    assert line.split()[: len(next(iter(change)).split("_"))] == next(iter(change)).split("_")
    assert "not reproduced; same surroundings" in screen.getvalue()


def test_another_machine_is_named_where_numbers_differ(finished: FinishedRun) -> None:
    record = next(trial for trial in finished.store.trials() if trial.purpose == "confirmation")
    assert record.provenance is not None
    elsewhere = replace(record, test_accuracy=0.5, provenance=replace(record.provenance, torch="1.0"))
    screen = io.StringIO()
    assert not compare(elsewhere, record, Console(file=screen, width=200))
    assert "what differs: torch 1.0 →" in screen.getvalue()
