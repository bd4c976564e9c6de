"""Anytime curves: what was best by then, in device-seconds, and bands over replicates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis import anytime
from harness.analysis.anytime import Replicates, bands, best_so_far, hypervolume_so_far, replicates
from harness.analysis.configs import searched_configs
from harness.analysis.hypervolume import Reference, hypervolume_share
from harness.store.query import Run, read_run
from tests.records import STUDY, failed, stopped, trial, write_run

REFERENCE = Reference({"accuracy": "max", "params": "min"}, (0.5, 20_000.0))


def run(tmp_path: Path, trials: list, **study: object) -> Replicates:
    return found_in(read_run(write_run(tmp_path, trials, {**STUDY, **study})).trials)


def found_in(trials: pd.DataFrame) -> Replicates:
    return replicates(trials, searched_configs(trials))


def test_a_stopped_config_costs_and_finds_nothing(tmp_path: Path) -> None:
    trials = [
        trial(proposal=0, validation=0.90, after=1),
        stopped(trial(proposal=1, validation=0.99, after=2)),
        trial(proposal=2, validation=0.95, after=3),
    ]
    curve = best_so_far(run(tmp_path, trials))
    assert curve["best"].tolist() == [0.90, 0.95]
    assert curve["configs"].tolist() == [1, 3]
    assert curve["device_seconds"].tolist() == [11.0, 33.0]


def test_a_trial_on_half_a_gpu_costs_half_a_device_second(tmp_path: Path) -> None:
    resources = {"cpus_per_trial": 2, "gpus_per_trial": 0.5}
    assert best_so_far(run(tmp_path, [trial()], resources=resources))["device_seconds"].tolist() == [5.5]


def test_each_replicate_is_a_curve_with_its_seed_s_values(tmp_path: Path) -> None:
    values = {(0, 0): 0.90, (0, 1): 0.80, (1, 0): 0.85, (1, 1): 0.95}
    trials = [trial(proposal=p, seed=s, validation=v, after=p * 10 + s) for (p, s), v in values.items()]
    curve = best_so_far(run(tmp_path, trials, search={"replicates": 2}))
    assert curve.groupby("replicate")["best"].apply(list).tolist() == [[0.90, 0.90], [0.80, 0.95]]


def test_the_hypervolume_at_the_end_is_that_of_all_students_together(sample: Run) -> None:
    curves = hypervolume_so_far(found_in(sample.trials), REFERENCE)
    assert set(curves["replicate"]) == {0, 1}
    for (arm, replicate), curve in curves.groupby(["arm", "replicate"]):
        found = best_so_far(found_in(sample.trials))
        own = found[(found["arm"] == arm) & (found["replicate"] == replicate)]
        assert curve["hypervolume"].is_monotonic_increasing
        assert curve["hypervolume"].iloc[-1] == pytest.approx(hypervolume_share(own, REFERENCE))


def test_of_very_many_values_the_steps_alone_give_the_same_bands(sample: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found, by = found_in(sample.trials), ["student", "arm"]
    every, volume = best_so_far(found), hypervolume_so_far(found, REFERENCE)
    monkeypatch.setattr(anytime, "MOST_STEPS", 0)
    steps, few = best_so_far(found), hypervolume_so_far(found, REFERENCE)
    assert len(steps) < len(every)
    assert len(few) < len(volume)
    pd.testing.assert_frame_equal(bands(steps, "best", by), bands(every, "best", by))
    pd.testing.assert_frame_equal(bands(few, "hypervolume", ["arm"]), bands(volume, "hypervolume", ["arm"]))


def test_a_config_that_is_there_at_two_lengths_is_two(tmp_path: Path) -> None:
    """No search makes such records; a folder that somebody put together may hold them."""
    short = replace(failed(trial(proposal=0, seed=1)), epochs=40)
    curve = best_so_far(run(tmp_path, [trial(proposal=0, validation=0.9), trial(proposal=1, validation=0.8), short]))
    assert curve["best"].tolist() == [0.9, 0.9]


def test_a_band_is_the_quartiles_of_the_curves_that_have_begun() -> None:
    curves = pd.DataFrame(
        {
            "arm": "kd",
            "replicate": [0, 0, 1, 1],
            "device_seconds": [0.0, 10.0, 5.0, 10.0],
            "best": [0.1, 0.5, 0.2, 0.3],
        }
    )
    band = bands(curves, "best", by=["arm"], points=3)
    assert band["device_seconds"].tolist() == [0.0, 5.0, 10.0]
    assert band["n"].tolist() == [1, 2, 2]
    assert band["median"].tolist() == pytest.approx([0.1, 0.15, 0.4])
    assert band[["low", "high"]].to_numpy().tolist() == pytest.approx(
        np.array([[0.1, 0.1], [0.125, 0.175], [0.35, 0.45]])
    )


def test_a_curve_that_ended_keeps_its_last_value() -> None:
    curves = pd.DataFrame({"arm": "kd", "replicate": [0, 1], "device_seconds": [1.0, 9.0], "best": [0.4, 0.8]})
    assert bands(curves, "best", by=["arm"], points=2)["median"].tolist() == pytest.approx([0.4, 0.6])


def test_no_search_has_no_curve(tmp_path: Path) -> None:
    none = best_so_far(run(tmp_path, [trial(purpose="confirmation", test=0.9)]))
    assert none.empty
    assert bands(none, "best", by=["arm"]).empty
