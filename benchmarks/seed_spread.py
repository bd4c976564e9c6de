"""Accuracy of every method's defaults on digits over many seeds: the noise that a study must see through.

    python benchmarks/seed_spread.py --seeds 8 --depth 8 --width 4 --epochs 60 --batch-size 64

Prints mean and sample standard deviation of the test accuracy, and the seconds that a training took, on
one thread. The test split is read n times for each method: this measures the method, it selects nothing.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from harness.data.digits import Digits
from harness.distill.anc import ANC
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.distill.l2 import L2
from harness.distill.method import Method
from harness.distill.scratch import Scratch
from harness.models.resnet import ResNet
from harness.record import TrialRecord
from harness.search.runner import accounts
from harness.train.account import Assignment, Places
from harness.train.optim import Training
from harness.train.seeds import Seeds, make_repeatable
from harness.train.trial import TeacherSpec, TrialSpec
from harness.train.workshop import Workshop

METHODS: tuple[Method, ...] = (Scratch(), KD(), L2(), ANC(), KSAN())


def main() -> None:
    """Trains, and prints a line a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--methods", nargs="+", default=[method.name for method in METHODS])
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    asked = parser.parse_args()

    make_repeatable(threads=1)
    workshop = Workshop(Path(), asked.cache, torch.device("cpu"))
    training = Training(
        epochs=asked.epochs, batch_size=asked.batch_size, evaluate_every=asked.epochs, channels_last=True
    )
    print(f"resnet{asked.depth}-w{asked.width}, {asked.epochs} epochs of batch {asked.batch_size}, n = {asked.seeds}")
    for method in METHODS:
        if method.name in asked.methods:
            student = ResNet(depth=asked.depth, width=asked.width)
            trials = [_trained(method, student, training, seed, workshop) for seed in range(asked.seeds)]
            print(f"  {method.name:8} {_summary(trials)}", flush=True)


def _trained(method: Method, student: ResNet, training: Training, seed: int, workshop: Workshop) -> TrialRecord:
    teacher = TeacherSpec(network=ResNet(depth=20), training=training)
    spec = TrialSpec(
        purpose="confirmation",
        data=Digits(),
        teacher=teacher if method.needs_teacher else None,
        student=student,
        method=method,
        training=training,
        seeds=Seeds.all(seed),
    )
    nowhere = Places(workshop.cache / "checkpoints", workshop.cache / "students")
    (account,) = accounts((Assignment(spec, "seed_spread", method.name),), workshop, nowhere, lambda epoch: None)
    return account.trial


def _summary(trials: list[TrialRecord]) -> str:
    accuracies = [100 * trial.test_accuracy for trial in trials if trial.test_accuracy is not None]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
    lost = f", {len(trials) - len(accuracies)} without a number" if len(accuracies) < len(trials) else ""
    seconds = statistics.median(trial.train_seconds for trial in trials)
    return f"test {statistics.mean(accuracies):.2f} ± {spread:.2f} % (sd), median {seconds:.1f} s{lost}"


if __name__ == "__main__":
    main()
