"""Accuracy of every method's defaults over many seeds: the noise that a study must see through.

    python benchmarks/seed_spread.py --seeds 8 --epochs 60 --batch-size 64
    python benchmarks/seed_spread.py --seeds 1 --epochs 4 --methods kd crd --data '{name: parquet, path: FOLDER}'

Prints mean and sample standard deviation of the test accuracy, and the seconds that a training took, on
one thread. The test split is read n times for each method: this measures the method, it selects nothing.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import get_args

import torch
import yaml
from pydantic import TypeAdapter

from harness.data.catalog import AnyDataset
from harness.distill.catalog import AnyMethod
from harness.distill.method import Method
from harness.models.catalog import AnyArchitecture
from harness.record import TrialRecord
from harness.search.runner import accounts
from harness.train.account import Assignment, Places
from harness.train.optim import Training
from harness.train.seeds import Seeds, make_repeatable
from harness.train.trial import TeacherSpec, TrialSpec
from harness.train.workshop import Workshop

METHODS: dict[str, Method] = {method.name: method for method in (kind() for kind in get_args(get_args(AnyMethod)[0]))}


def main() -> None:
    """Trains, and prints a line a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--data", default="{name: digits}", help="as in a study")
    parser.add_argument("--teacher", default="{name: resnet, depth: 20}", help="as in a study")
    parser.add_argument("--student", default="{name: resnet, depth: 8, width: 4}", help="as in a study")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--teacher-epochs", type=int, help="as many as the students' by default")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--data-root", type=Path, default=Path.home() / ".cache" / "ksan-harness" / "data")
    asked = parser.parse_args()

    make_repeatable(threads=1)
    workshop = Workshop(asked.data_root, asked.cache, torch.device("cpu"))
    data, teacher, student = (
        TypeAdapter(kind).validate_python(yaml.safe_load(text))
        for kind, text in ((AnyDataset, asked.data), (AnyArchitecture, asked.teacher), (AnyArchitecture, asked.student))
    )
    training = Training(
        epochs=asked.epochs, batch_size=asked.batch_size, evaluate_every=asked.epochs, channels_last=True
    )
    taught = training.at("epochs", asked.teacher_epochs or asked.epochs)
    print(f"{student.label} on {data.name}, {asked.epochs} epochs of batch {asked.batch_size}, n = {asked.seeds}")
    for method in map(METHODS.__getitem__, asked.methods):
        spec = TrialSpec(
            purpose="confirmation",
            data=data,
            teacher=TeacherSpec(network=teacher, training=taught) if method.needs_teacher else None,
            student=student,
            method=method,
            training=training,
        )
        trials = [_trained(spec.at("seeds", Seeds.all(seed)), workshop) for seed in range(asked.seeds)]
        print(f"  {method.name:8} {_summary(trials)}", flush=True)


def _trained(spec: TrialSpec, workshop: Workshop) -> TrialRecord:
    nowhere = Places(workshop.cache / "checkpoints", workshop.cache / "students")
    (account,) = accounts((Assignment(spec, "seed_spread", spec.method.name),), workshop, nowhere, lambda epoch: None)
    return account.trial


def _summary(trials: list[TrialRecord]) -> str:
    accuracies = [100 * trial.test_accuracy for trial in trials if trial.test_accuracy is not None]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
    lost = f", {len(trials) - len(accuracies)} without a number" if len(accuracies) < len(trials) else ""
    seconds = statistics.median(trial.train_seconds for trial in trials)
    return f"test {statistics.mean(accuracies):.2f} ± {spread:.2f} % (sd), median {seconds:.1f} s{lost}"


if __name__ == "__main__":
    main()
