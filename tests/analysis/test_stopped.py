"""What early stopping saved is counted to the epoch, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.analysis.configs import searched_configs
from harness.analysis.cost import failures
from harness.analysis.stopped import BUDGET, RUNG, given_up
from harness.record import TrialRecord
from tests.records import STUDY, confirmations, diverged, failed, frame, stopped, trial

TWO_SEEDS = {**STUDY, "search": {"replicates": 2}}


def rows(trials: list[TrialRecord], folder: Path, study: dict[str, Any] | None = None) -> list[list[object]]:
    """Epoch, configs, epochs trained and not trained, and the reason."""
    found = frame(trials, folder, study)
    table = given_up(found, searched_configs(found))
    return table[["epoch", "configs", "trained", "saved", "why"]].to_numpy().tolist()


def test_the_rest_of_a_stopped_trial_is_saved(tmp_path: Path) -> None:
    trials = [trial(proposal=0), stopped(trial(proposal=1), 5), stopped(trial(proposal=2), 5)]
    assert rows(trials, tmp_path) == [[5, 2, 10, 30, RUNG]]
    assert failures(frame(trials, tmp_path / "again")).empty


def test_so_are_its_other_seeds(tmp_path: Path) -> None:
    trials = [trial(proposal=0, seed=0), trial(proposal=0, seed=1), stopped(trial(proposal=1, seed=0), 5)]
    assert rows(trials, tmp_path, TWO_SEEDS) == [[5, 1, 5, 35, RUNG]]


def test_a_config_given_up_after_its_first_seed_counts_once_its_search_is_over(tmp_path: Path) -> None:
    trials = [trial(proposal=0, seed=0), trial(proposal=0, seed=1), trial(proposal=1, seed=0)]
    assert rows(trials, tmp_path / "running", TWO_SEEDS) == []
    trials += confirmations({100: 0.9}, proposal=0)
    assert rows(trials, tmp_path / "over", TWO_SEEDS) == [[20, 1, 20, 20, RUNG]]


def test_what_failed_or_diverged_was_not_given_up(tmp_path: Path) -> None:
    trials = [failed(trial(proposal=0)), diverged(trial(proposal=1)), *confirmations({100: 0.9}, proposal=2)]
    assert rows(trials, tmp_path, TWO_SEEDS) == []


def test_a_spent_budget_is_told_from_a_rung(tmp_path: Path) -> None:
    spent = replace(stopped(trial(proposal=1), 5), stopped_because="the budget was spent")
    assert rows([stopped(trial(proposal=0), 5), spent], tmp_path) == [[5, 1, 5, 15, BUDGET], [5, 1, 5, 15, RUNG]]
