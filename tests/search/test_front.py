"""Early stopping keeps the small students: at equal cost the front is no worse than without."""

from __future__ import annotations

from statistics import fmean

from benchmarks.stopping import CONFIGS, EPOCHS, RULES, searched, volume


def test_at_equal_cost_stopping_finds_no_worse_a_front_and_keeps_its_small_end() -> None:
    seeds = range(3)
    plain, stopped = ([searched(seed, RULES[name]) for seed in seeds] for name in ("none", "dominance"))
    assert fmean(map(volume, stopped)) >= fmean(map(volume, plain))
    for trials in (*plain, *stopped):
        assert sum(trial.epochs_done for trial in trials) <= (CONFIGS + 8) * EPOCHS
        assert min(trial.params for trial in trials if trial.is_full_length) < 1000
    assert {trial.status for trials in stopped for trial in trials} == {"completed", "stopped"}
