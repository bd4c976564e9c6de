"""Histories and learning curves count what was really trained, and hide nothing that was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.cells import searched_together
from harness.analysis.configs import readable_floor, search_configs, whole_configs
from harness.analysis.confirmed import confirmed_rows
from harness.analysis.curves import learning_curves, named_losses, search_history, stopped_curves
from harness.store.query import Run, read_run
from tests.records import STUDY, diverged, frame, stopped, trial, write_run


def test_a_config_is_the_mean_over_its_replicates(tmp_path: Path) -> None:
    trials = [trial(seed=0, validation=0.90), trial(seed=1, validation=0.94)]
    config = search_configs(frame(trials, tmp_path)).iloc[0]
    assert (config["accuracy"], config["n"], config["evidence"]) == (pytest.approx(0.92), 2, "validation")
    assert config["train_seconds"] == 20.0


def test_a_config_whose_replicate_diverged_is_not_whole(tmp_path: Path) -> None:
    configs = search_configs(frame([trial(seed=0), diverged(trial(seed=1))], tmp_path))
    assert (configs["n"][0], configs["ended"][0]) == (1, 2)
    assert whole_configs(configs).empty


def test_the_best_so_far_never_falls_and_stopped_trials_cost_time(tmp_path: Path) -> None:
    trials = [
        trial(proposal=0, validation=0.90, after=1),
        trial(proposal=1, validation=0.80, after=2),
        stopped(trial(proposal=2, validation=0.99, after=3)),
        trial(proposal=3, validation=0.95, after=4),
    ]
    history = search_history(search_configs(frame(trials, tmp_path)))
    assert history["configs"].tolist() == [1, 2, 3, 4]
    assert history["best"].tolist() == [0.90, 0.90, 0.90, 0.95]
    assert history["accuracy"].isna().tolist() == [False, False, True, False]
    assert history["train_seconds"].tolist() == [10, 20, 22.5, 32.5]


def test_each_cell_has_its_own_history(sample: Run) -> None:
    history = search_history(search_configs(sample.trials))
    assert history.groupby(["student", "arm"])["configs"].max().tolist() == [6] * 12


def test_learning_curves_are_medians_over_full_length_trials(tmp_path: Path) -> None:
    trials = [trial(seed=n, validation=v) for n, v in enumerate((0.90, 0.92, 0.98))]
    run = read_run(write_run(tmp_path, [*trials, stopped(trial(seed=9, validation=0.1))]))
    curves = learning_curves(run.trials, run.epochs)
    last = curves[(curves["epoch"] == 20) & (curves["measure"] == "accuracy")].iloc[0]
    assert (last["value"], last["n"]) == (pytest.approx(0.92), 3)
    assert (last["low"], last["high"]) == (pytest.approx(0.91), pytest.approx(0.95))


def test_epochs_that_were_not_evaluated_leave_no_point(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, [trial()]))
    epochs = run.epochs.assign(accuracy=run.epochs["accuracy"].where(run.epochs["epoch"] % 5 == 0))
    curves = learning_curves(run.trials, epochs)
    assert curves.loc[curves["measure"] == "accuracy", "epoch"].tolist() == [5, 10, 15, 20]


def test_losses_keep_their_names(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, [trial(arm="kd")]))
    losses = named_losses(run.trials, run.epochs)
    assert sorted(losses["loss"].unique()) == ["cross_entropy", "kl"]


def test_a_run_without_trials_has_empty_curves(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, []))
    assert search_history(search_configs(run.trials)).empty
    assert learning_curves(run.trials, run.epochs).empty
    assert named_losses(run.trials, run.epochs).empty


def test_the_figure_begins_where_most_configs_are_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    trials = [trial(proposal=n, validation=0.9 + n / 1000) for n in range(19)]
    lost = replace(trial(proposal=99, validation=0.1))
    table = frame([*trials, lost], tmp_path)
    floor, below = readable_floor(confirmed_rows(table), search_configs(table))
    assert 0.89 < floor < 0.92
    assert below == 2


def test_a_stopped_trial_has_a_curve_of_its_own_up_to_its_rung(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, [trial(seed=0), stopped(trial(seed=1), 7)]))
    curves = stopped_curves(run.trials, run.epochs)
    assert curves.groupby("measure")["epoch"].max().to_dict() == {"accuracy": 7, "loss": 7}


def test_a_config_whose_other_seeds_were_left_out_is_not_whole(tmp_path: Path) -> None:
    trials = [trial(proposal=0, seed=0), trial(proposal=0, seed=1), trial(proposal=1, seed=0, validation=0.99)]
    configs = search_configs(frame(trials, tmp_path, {**STUDY, "search": {"replicates": 2}}))
    assert configs["is_whole"].tolist() == [True, False]
    assert whole_configs(configs)["proposal"].tolist() == [0]


def test_a_search_over_the_student_is_one_search(tmp_path: Path) -> None:
    sizes = ("resnet8-w2", "resnet8-w4", "resnet14-w4")
    trials = [trial(proposal=n, student=student) for n, student in enumerate(sizes)]
    varied = [replace(one, point={"student.width": "2"}) for one in trials]
    history = search_history(search_configs(searched_together(frame([*varied, trial(arm="kd")], tmp_path))))
    assert history.groupby("student")["configs"].max().to_dict() == {"resnet8-w2 to resnet14-w4": 3, "resnet8-w4": 1}
