"""A record can be trained again, and its numbers are held against it one by one."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.search.reproduce import compare, find_trial, note_look, train_again
from harness.source import MissingError, UserError
from harness.store.parquet import Store
from tests.conftest import FinishedRun
from tests.search.inline import numbers, search


def test_a_trial_is_found_by_the_first_digits_of_its_id(finished: FinishedRun) -> None:
    trial = finished.store.trials()[0]
    assert find_trial([Path("nowhere"), finished.runs], trial.trial_id[:8]) == trial


@pytest.mark.parametrize(
    ("digits", "told"), [("ffffffff", "no trial ffffffff"), ("abc", "abc is too short"), ("", "too short")]
)
def test_what_names_no_trial_is_told(digits: str, told: str, finished: FinishedRun) -> None:
    with pytest.raises(UserError, match=told):
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


def test_only_what_read_the_test_split_is_a_look(finished: FinishedRun, tmp_path: Path) -> None:
    by_purpose = {trial.purpose: trial for trial in finished.store.trials()}
    for trial in by_purpose.values():
        note_look(trial, Store(tmp_path))
    (look,) = Store(tmp_path).looks()
    confirmed = by_purpose["confirmation"]
    assert (look.trial_id, look.config_id, look.seed) == (confirmed.trial_id, confirmed.config_id, confirmed.seed)
    assert (look.test_accuracy, look.provenance) == (confirmed.test_accuracy, confirmed.provenance)


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


def test_a_record_with_another_trials_spec_is_named_and_not_used(finished: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished.store.root, tmp_path / "tiny")
    store = Store(tmp_path / "tiny")
    trials = [trial for trial in store.trials() if trial.purpose == "search"]
    altered = replace(trials[0], spec=trials[1].spec)
    store.write(altered, store.epochs(altered))
    with pytest.raises(MissingError, match=f"the spec in the record {altered.trial_id} is not the one"):
        train_again(altered, finished.runs / "cache", Path("unused"), fresh=False)
    again, _, said = search(tmp_path / "tiny", cache=finished.runs / "cache")
    assert f"Not used: {altered.trial_id}: the spec in the record is not the one that its id names." in said
    assert numbers(again) == numbers(finished.store)
    assert {trial.attempt for trial in again.trials() if trial.trial_id == altered.trial_id} == {2}


def test_a_torn_record_is_named_and_left_where_it_is(finished: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    path = next((tmp_path / "runs" / "tiny" / "trials").glob("*.parquet"))
    path.write_bytes(b"torn")
    with pytest.raises(MissingError, match=f"could not be read: .*{path.name}"):
        find_trial([tmp_path / "runs"], path.name[:16])
    assert path.read_bytes() == b"torn"
    other = next(trial for trial in finished.store.trials() if not path.name.startswith(trial.trial_id))
    assert find_trial([tmp_path / "runs"], other.trial_id) == other


def test_ones_own_run_is_found_before_a_published_one(finished: FinishedRun, tmp_path: Path) -> None:
    """Whoever ran the demo means that, and not what somebody else's machine published."""
    trial = finished.store.trials()[0]
    published = Store(tmp_path / "reports" / "tiny")
    published.freeze_study({"name": "tiny"}, "")
    published.write(replace(trial, student_digest="0" * 64), finished.store.epochs(trial))
    assert find_trial([finished.runs, tmp_path / "reports"], trial.trial_id) == trial
    assert find_trial([tmp_path / "reports", finished.runs], trial.trial_id).student_digest == "0" * 64
