"""Health checks: each warns of what it is for, and of nothing where all is well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import kendalltau

from harness.analysis.agreement import agreements
from harness.analysis.configs import search_configs
from harness.analysis.confirmed import confirmed_rows, teachers
from harness.analysis.health import Check, health
from harness.analysis.published import below_published
from harness.record import TrialRecord
from harness.store.query import read_run
from tests.records import PROVENANCE, confirmations, failed, frame, stopped, trial, write_run

NONE = pd.DataFrame(columns=["path", "arm"])
SEEDS = {100: 0.9, 101: 0.91, 102: 0.93}


def checks(trials: list[TrialRecord], tmp: Path, edges: pd.DataFrame = NONE, dead: pd.DataFrame = NONE) -> list[Check]:
    rows = frame(trials, tmp)
    return health(rows, search_configs(rows), confirmed_rows(rows), teachers(rows), edges, dead, [])


def warnings(found: list[Check]) -> str:
    return "\n".join(check.text for check in found if check.kind == "warning")


def test_a_sound_run_is_warned_of_nothing(tmp_path: Path) -> None:
    found = checks([trial(), *confirmations(SEEDS)], tmp_path)
    assert warnings(found) == ""
    assert "Every confirmed row stands on 3 seeds or more, and none was lost." in [check.text for check in found]


def test_a_run_without_confirmation_warns_of_it(tmp_path: Path) -> None:
    assert "Nothing is confirmed" in warnings(checks([trial()], tmp_path))


def test_few_and_lost_seeds_are_named(tmp_path: Path) -> None:
    lost = failed(confirmations({102: 0.9})[0])
    told = warnings(checks([*confirmations({100: 0.9, 101: 0.91}), lost], tmp_path))
    assert "1 confirmed row of 1 stand on fewer than 3 seeds" in told
    assert "1 confirmation trial ended without a test accuracy" in told


def test_many_failures_are_named_with_their_cost(tmp_path: Path) -> None:
    told = warnings(checks([failed(trial(seed=n)) for n in range(3)] + confirmations(SEEDS), tmp_path))
    assert "50% of the trials failed or diverged, most of ksan; 30.0 s were lost" in told


def test_edges_and_dead_parts_are_named(tmp_path: Path) -> None:
    edges = pd.DataFrame([{"path": "lr", "arm": "kd", "edge": "high", "bound": 0.5, "searches": 2, "n": 3}])
    dead = pd.DataFrame([{"path": "mu", "arm": "ksan", "low": 0.1, "high": 0.25, "value": None}])
    told = warnings(checks([*confirmations(SEEDS)], tmp_path, edges, dead))
    assert "lr of kd (high edge, 0.5, in 2 of 3)" in told
    assert "mu of ksan (0.1 to 0.25)" in told


def test_mixed_versions_and_uncommitted_changes_are_named(tmp_path: Path) -> None:
    other = replace(PROVENANCE, torch="2.15.0", commit="0123456789ab+")
    trials = [trial(), *(replace(one, provenance=other) for one in confirmations(SEEDS))]
    told = warnings(checks(trials, tmp_path))
    assert "The trials differ in torch and commit" in told
    assert "uncommitted changes" in told


def test_that_some_trials_pack_and_others_never_do_is_no_mixture(tmp_path: Path) -> None:
    alone = replace(PROVENANCE, packed=not PROVENANCE.packed)
    trials = [trial(), *(replace(one, provenance=alone) for one in confirmations(SEEDS))]
    assert "differ in" not in warnings(checks(trials, tmp_path))


def test_a_teacher_below_its_published_accuracy_is_named(tmp_path: Path) -> None:
    kind = {"purpose": "teacher", "arm": "teacher", "teacher": None, "proposal": None, "student": "resnet56-w16"}
    weak = replace(trial(**kind, validation=0.68), dataset="cifar100")  # type: ignore[arg-type]
    good = replace(trial(**kind, validation=0.72, seed=1), dataset="cifar100")  # type: ignore[arg-type]
    found = below_published(teachers(frame([weak, good], tmp_path)))
    assert sorted(zip(found["validation"], found["is_below"], strict=True)) == [(0.68, True), (0.72, False)]
    told = warnings(checks([weak], tmp_path / "two"))
    assert "resnet56-w16 is below its published accuracy: 68.0 % on validation, 72.3 % published" in told


def test_rungs_agree_with_the_end_as_kendall_says(tmp_path: Path) -> None:
    trials = [trial(proposal=n, validation=value) for n, value in enumerate((0.8, 0.9, 0.85, 0.95, 0.7))]
    run = read_run(write_run(tmp_path, [*trials, stopped(trial(proposal=9), epochs_done=5)]))
    [found] = agreements(run.trials, run.epochs)
    at = run.epochs[run.epochs["epoch"] == 5].set_index("trial_id")["accuracy"]
    ends = run.trials[run.trials["status"] == "completed"].set_index("trial_id")["validation_accuracy"]
    assert (found.epoch, found.epochs, found.n) == (5, 20, 5)
    assert found.tau == pytest.approx(kendalltau(at[ends.index], ends).statistic)


def test_without_stopping_there_is_no_rung_to_agree(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, [trial(proposal=n, validation=0.8 + n / 50) for n in range(4)]))
    assert agreements(run.trials, run.epochs) == []
