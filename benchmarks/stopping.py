"""What early stopping does to an accuracy-versus-size front, on a surface whose true front is known.

    python -m benchmarks.stopping [--quick]

A search over width, depth and learning rate trains nothing: accuracies come from a formula in which larger
students end better, learn more slowly and want another learning rate, plus noise of 0.5 points a seed. Searches
with and without stopping may spend the same number of epochs. Prints the hypervolume of what each found (true
accuracy against the logarithm of parameters), paired over seeds.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from harness.analysis.hypervolume import hypervolume
from harness.record import EpochRecord, TrialRecord
from harness.search.agenda import Agenda
from harness.store.parquet import Store, now
from harness.study.plan import Plan, plan
from harness.study.study import Study, StudySpec
from harness.train.account import Account, Assignment, failed
from harness.train.cost import size
from harness.train.trial import TrialSpec

EPOCHS, CONFIGS = 60, 40
REFERENCE = (0.9, 6.0)
"""The worst error and the largest log10 of parameters that count."""
RULES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "dominance": {"name": "halving", "rungs": [1 / 3]},
    "band": {"name": "halving", "rungs": [1 / 3], "compare": "band"},
    "accuracy_alone": {"name": "halving", "rungs": [1 / 3], "compare": "band", "band": 1e9},  # what others do
}


def planned(seed: int, rule: dict[str, Any] | None, sampler: str = "nsga2") -> Plan:
    """A search over the student itself, which may spend as many epochs as 40 whole configs have."""
    content = {
        "question": "Does stopping keep the small students?",
        "data": {"name": "digits"},
        "pairs": [{"teacher": {"name": "resnet", "depth": 8}, "students": [{"name": "resnet", "depth": 8}]}],
        "training": {"epochs": EPOCHS},
        "arms": [
            {
                "method": {"name": "scratch"},
                "space": {
                    "student.width": {"int": [1, 16], "log": True},
                    "student.depth": {"choice": [8, 14, 20]},
                    "training.learning_rate": {"float": [0.003, 1.0], "log": True},
                },
            }
        ],
        "search": {
            "trials": 10 * CONFIGS,
            "budget": {"epochs": CONFIGS * EPOCHS},
            "batch": 8,
            "sampler": sampler,
            "seed": seed,
            "stopping": rule,
        },
        "confirm": {"best": 1, "seeds": [0]},
    }
    return plan(Study("surface", StudySpec.model_validate(content), "", Path("surface.yaml")))


def true_accuracy(spec: TrialSpec) -> float:
    """What a config comes to at the end, without noise."""
    scale = _scale(spec)
    best_rate = 10 ** (-0.3 - 0.5 * scale)
    return max(0.1, 0.55 + 0.4 * scale - 0.12 * math.log10(spec.training.learning_rate / best_rate) ** 2)


def accuracy_at(spec: TrialSpec, epoch: int) -> float:
    """What validation says after an epoch: the larger the student, the later it gets there."""
    slowness = 0.06 + 0.24 * _scale(spec)
    noise = random.Random(spec.id).gauss(0, 0.005)
    reached = 0.1 + (true_accuracy(spec) - 0.1) * (1 - math.exp(-epoch / EPOCHS / slowness))
    return min(1.0, max(0.0, reached + noise))


def _scale(spec: TrialSpec) -> float:
    """0 for the smallest student, 1 for the largest."""
    return (math.log10(_params(spec)) - 2.5) / 3


def _params(spec: TrialSpec) -> int:
    return size(spec.student, spec.data.shape, spec.data.classes).params


def carried_out(assignment: Assignment) -> Account:
    """The account that a trial on the surface has."""
    spec, until = assignment.spec, assignment.until or EPOCHS
    is_over = until == EPOCHS
    record = replace(
        failed(assignment, RuntimeError(), now()),
        status="completed" if is_over else "stopped",
        **dict.fromkeys(("error_class", "error_message", "traceback_digest")),
        epochs_done=until,
        validation_accuracy=accuracy_at(spec, EPOCHS) if is_over else None,
        test_accuracy=true_accuracy(spec) if spec.purpose == "confirmation" else None,
    )
    return Account(record, tuple(_epoch(spec, epoch) for epoch in range(1, until + 1)))


def _epoch(spec: TrialSpec, epoch: int) -> EpochRecord:
    accuracy = accuracy_at(spec, epoch)
    return EpochRecord(spec.id, epoch, EPOCHS, accuracy, 1 - accuracy, 400, 1.0, {}, 0.1, 0.0)


def searched(seed: int, rule: dict[str, Any] | None, sampler: str = "nsga2") -> list[TrialRecord]:
    """All search trials of one search."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        agenda = Agenda(planned(seed, rule, sampler), store)
        while pack := agenda.next_pack():
            for assignment in pack:
                agenda.ended(carried_out(assignment))
        return [trial for trial in store.trials() if trial.purpose == "search"]


def volume(trials: list[TrialRecord]) -> float:
    """The hypervolume of what trained to its end, by its true accuracy."""
    specs = [TrialSpec.model_validate_json(trial.spec) for trial in trials if trial.is_full_length]
    return hypervolume(np.array([[1 - true_accuracy(spec), math.log10(_params(spec))] for spec in specs]), REFERENCE)


def main() -> None:
    """Prints a line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 seeds instead of 12")
    seeds = range(4 if parser.parse_args().quick else 12)
    for sampler in ("nsga2", "tpe"):
        found = {name: [searched(seed, rule, sampler) for seed in seeds] for name, rule in RULES.items()}
        volumes = {name: [volume(trials) for trials in runs] for name, runs in found.items()}
        for name, runs in found.items():
            configs = fmean(len(trials) for trials in runs)
            smallest = fmean(min(trial.params for trial in trials if trial.is_full_length) for trials in runs)
            print(
                f"figure {sampler}_{name}_hypervolume {fmean(volumes[name]):.4f} n={len(seeds)} "
                f"spread={stdev(volumes[name]):.4f} configs={configs:.0f} smallest={smallest:.0f}"
            )
            if name != "none":
                gains = [ours - theirs for ours, theirs in zip(volumes[name], volumes["none"], strict=True)]
                print(
                    f"ratio {sampler}_{name}_over_none {fmean(volumes[name]) / fmean(volumes['none']):.4f} "
                    f"n={len(seeds)} spread={stdev(gains) / fmean(volumes['none']):.4f} "
                    f"not_worse={sum(gain >= 0 for gain in gains)}"
                )


if __name__ == "__main__":
    main()
