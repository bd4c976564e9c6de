"""The confirmed table: who stands in it, with what numbers, and when two rows share a rank."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.confirmed import confirmed_rows, ranks, reproduce, teachers
from harness.store.query import Run
from tests.records import PROVENANCE, confirmations, diverged, failed, frame, stopped, trial

FIVE = {100: 0.950, 101: 0.955, 102: 0.945, 103: 0.952, 104: 0.948}


def test_a_row_is_the_mean_over_its_fresh_seeds(tmp_path: Path) -> None:
    searched = [trial(seed=0, validation=0.96), trial(seed=1, validation=0.94)]
    row = confirmed_rows(frame([*searched, *confirmations(FIVE)], tmp_path)).iloc[0]
    assert row["accuracy"] == pytest.approx(0.95)
    assert row["validation"] == pytest.approx(0.95)
    assert row["confirmed_validation"] == pytest.approx(0.9)
    assert (row["n"], row["lost"], row["validation_n"], row["rank"]) == (5, 0, 2, 1)
    assert row["seeds"] == [100, 101, 102, 103, 104]
    assert row["evidence"] == "test"


def test_the_command_repeats_the_smallest_seed(tmp_path: Path) -> None:
    trials = confirmations({7: 0.9, 3: 0.8})
    row = confirmed_rows(frame(trials, tmp_path)).iloc[0]
    assert row["trial_id"] == trials[1].trial_id
    assert row["command"] == f"harness reproduce {trials[1].trial_id}"


def test_an_id_from_a_strange_file_cannot_run_a_command() -> None:
    assert reproduce("x; rm -rf ~") == "harness reproduce 'x; rm -rf ~'"


def test_a_search_alone_confirms_nothing(tmp_path: Path) -> None:
    assert confirmed_rows(frame([trial()], tmp_path)).empty


def test_a_lost_confirmation_is_counted_not_hidden(tmp_path: Path) -> None:
    trials = confirmations(FIVE)
    row = confirmed_rows(frame([diverged(trials[0]), *trials[1:]], tmp_path)).iloc[0]
    assert (row["n"], row["lost"]) == (4, 1)


def test_a_confirmation_that_failed_before_it_had_a_machine_is_counted_too(tmp_path: Path) -> None:
    trials = confirmations(FIVE)
    lost = replace(failed(trials[0]), provenance=None)
    row = confirmed_rows(frame([lost, *trials[1:]], tmp_path)).iloc[0]
    assert (row["n"], row["lost"]) == (4, 1)


def test_a_confirmation_of_less_than_full_length_is_no_confirmation(tmp_path: Path) -> None:
    assert confirmed_rows(frame([stopped(one) for one in confirmations(FIVE)], tmp_path)).empty


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    row = confirmed_rows(frame(confirmations({100: 0.9}), tmp_path)).iloc[0]
    assert row[["sd", "low", "high"]].isna().all()


def test_rows_within_the_noise_share_a_rank(tmp_path: Path) -> None:
    noisy = {seed: value + (0.01 if seed % 2 else -0.01) for seed, value in FIVE.items()}
    worse = {seed: value - 0.05 - seed / 1e5 for seed, value in FIVE.items()}
    arms = {"ksan": FIVE, "kd": noisy, "at": worse}
    trials = [one for arm, values in arms.items() for one in confirmations(values, arm=arm)]
    table = confirmed_rows(frame(trials, tmp_path))
    assert dict(zip(table["arm"], table["rank"], strict=True)) == {"ksan": 1, "kd": 1, "at": 3}


def test_any_two_rows_of_a_rank_cannot_be_told_apart(tmp_path: Path) -> None:
    # Each row is within the noise of its neighbour, the third is not within that of the first.
    noise = {100: 0.004, 101: -0.004, 102: 0.002, 103: -0.002}
    first = {seed: 0.95 + by for seed, by in noise.items()}
    second = {seed: 0.947 - by for seed, by in noise.items()}
    third = {seed: 0.940 + by + seed / 1e5 - 1e-3 for seed, by in noise.items()}
    table = [one for arm, v in zip("abc", (first, second, third), strict=True) for one in confirmations(v, arm=arm)]
    assert ranks(confirmed_rows(frame(table, tmp_path))) == [1, 1, 3]


def test_a_single_seed_can_be_told_apart_from_nothing(tmp_path: Path) -> None:
    trials = [*confirmations(FIVE, arm="ksan"), *confirmations({100: 0.5}, arm="kd")]
    assert confirmed_rows(frame(trials, tmp_path))["rank"].tolist() == [1, 1]


def test_other_data_or_another_schedule_is_ranked_apart(tmp_path: Path) -> None:
    other_data = replace(PROVENANCE, data_fingerprint="0" * 64)
    here = confirmations(FIVE, arm="a")
    there = [replace(one, provenance=other_data) for one in confirmations(FIVE, arm="b")]
    longer = [replace(one, epochs=60, epochs_done=60) for one in confirmations(FIVE, arm="c")]
    table = confirmed_rows(frame([*here, *there, *longer], tmp_path))
    assert table["rank"].tolist() == [1, 1, 1]
    assert len(table[["data_fingerprint", "epochs"]].drop_duplicates()) == 3


def test_a_teacher_is_told_on_validation(sample: Run) -> None:
    table = teachers(sample.trials)
    assert table[["teacher", "validation"]].values.tolist() == [["resnet20-w16", 0.985]]
