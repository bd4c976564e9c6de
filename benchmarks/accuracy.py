"""Whether packs and kept answers cost accuracy: each arm's own settings trained both ways, on the same seeds.

    python -m benchmarks.accuracy                                  digits_resnet, its first student, 5 seeds
    python -m benchmarks.accuracy --study fashion_mnist_resnet --arms kd at ksan
    python -m benchmarks.accuracy --precision bfloat16             packs in bfloat16, single trials as the study says
    python -m benchmarks.accuracy --quick                          two arms, 3 seeds, a fifth of the epochs

One side trains a trial by itself and runs its teacher at every step; the other trains all seeds of all arms as packs,
as a search does, and looks the teacher's answers up. Both see the same images in the same order from the same first
weights and differ by rounding alone, which training multiplies until two runs are as good as strangers: so it is the
mean difference, with its interval over the seeds, that must not leave zero. It is of accuracy on validation; the test
split is for confirmations.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import torch

from benchmarks.measured import machine, ratio_line
from harness.analysis.statistics import Difference, estimate, paired_difference
from harness.commands.places import DATA
from harness.data.resident import ResidentData
from harness.study.plan import plan, replicate
from harness.study.study import Resources, load_study
from harness.train.memory import keep_freed_memory
from harness.train.optim import Precision
from harness.train.pack import Left, Member, run_pack
from harness.train.packing import most_in_a_pack
from harness.train.seeds import make_repeatable
from harness.train.trial import Outcome, TrialSpec, run_trial
from harness.train.workshop import Workshop

PACK = Resources().pack
Accuracies = Mapping[str, float]
"""Of trials, on validation; those without one are left out."""


def main() -> None:
    """Prints a line an arm and one of all arms, each the packs' accuracy less that of single trials."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="scratch and KSAN, 3 seeds, a fifth of the epochs")
    options.add_argument("--study", default="digits_resnet")
    options.add_argument("--arms", nargs="+", help="all that can train in a pack otherwise")
    options.add_argument("--seeds", type=int, help="5, or 3 with --quick")
    options.add_argument("--precision", choices=get_args(Precision), default="float32", help="the packs'")
    options.add_argument("--data-root", type=Path, default=DATA)
    asked = options.parse_args()
    make_repeatable(1)
    keep_freed_memory()
    print(machine())
    arms = asked.arms or (["scratch", "ksan"] if asked.quick else None)
    specs = trials(asked.study, arms, asked.seeds or (3 if asked.quick else 5), fifth=asked.quick)
    with tempfile.TemporaryDirectory() as cache:
        kept = Workshop(asked.data_root, Path(cache), torch.device("cpu"))
        live = Workshop(asked.data_root, Path(cache), torch.device("cpu"), answers_budget=0)
        in_packs = [spec.with_values({"training.precision": asked.precision}) for spec in specs]
        for spec in in_packs:
            kept.side(spec)  # trains the teacher, before a clock runs
        began = time.perf_counter()
        found = packed(in_packs, kept)
        pairs = zip(specs, in_packs, strict=True)
        ours = {spec.id: found[other.id] for spec, other in pairs if other.id in found}
        between = time.perf_counter()
        theirs = alone(specs, live)
        ended = time.perf_counter()
    report(specs, ours, theirs)
    print(ratio_line(f"accuracy_seconds_{asked.study}", [ended - between], [between - began]))


def trials(study: str, arms: Sequence[str] | None, seeds: int, fifth: bool) -> list[TrialSpec]:
    """Each arm's own settings for the study's first student, on so many seeds."""
    cells = plan(load_study(study)).cells
    first = [cell for cell in cells if cell.base.student == cells[0].base.student]
    chosen = [cell for cell in first if (cell.arm.name in arms if arms else most_in_a_pack(cell.base, "cpu") > 1)]
    bases = [cell.base for cell in chosen]
    if fifth:
        epochs = max(1, bases[0].training.epochs // 5)
        bases = [base.with_values({"training.epochs": epochs, "training.evaluate_every": epochs}) for base in bases]
    return [replicate(base, seed) for base in bases for seed in range(seeds)]


def packed(specs: Sequence[TrialSpec], workshop: Workshop) -> Accuracies:
    """Trained as packs, of as many as a search would take."""
    data = workshop.data(specs[0].data)
    assert isinstance(data, ResidentData)
    found, most = {}, min(PACK, most_in_a_pack(specs[0], "cpu"))
    for first in range(0, len(specs), most):
        members = [Member(spec, workshop.side(spec)) for spec in specs[first : first + most]]
        for item in run_pack(members, data, workshop.device):
            if isinstance(item, Left) and item.outcome and item.outcome.validation:
                found[item.member.id] = item.outcome.validation.accuracy
    return found


def alone(specs: Sequence[TrialSpec], workshop: Workshop) -> Accuracies:
    """Trained one after another."""
    ends = {spec.id: end_of(spec, workshop) for spec in specs}
    return {id: end.validation.accuracy for id, end in ends.items() if end.validation}


def end_of(spec: TrialSpec, workshop: Workshop) -> Outcome:
    """A trial, trained to its end."""
    training = run_trial(spec, workshop.data(spec.data), workshop.side(spec), workshop.device)
    while True:
        try:
            next(training)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def report(specs: Sequence[TrialSpec], ours: Accuracies, theirs: Accuracies) -> None:
    """A line an arm, and one of the seeds' means over all arms."""
    print(f"\n{specs[0].student.label} on {specs[0].data.name}, {specs[0].training.epochs} epochs; accuracy, %")
    by_seed: dict[str, dict[int, tuple[float, float]]] = {}
    for spec in specs:
        if spec.id in ours and spec.id in theirs:
            by_seed.setdefault(spec.arm, {})[spec.seeds.data] = ours[spec.id], theirs[spec.id]
        else:
            print(f"{spec.arm}, seed {spec.seeds.data}: diverged in {'the pack' if spec.id not in ours else 'its run'}")
    every: dict[int, list[tuple[float, float]]] = {}
    for arm, pairs in by_seed.items():
        print(f"{arm:10} {told(pairs)}")
        for seed, pair in pairs.items():
            every.setdefault(seed, []).append(pair)
    means = {seed: (mean([a for a, _ in pairs]), mean([b for _, b in pairs])) for seed, pairs in every.items()}
    print(f"{'all arms':10} {told(means)}")


def told(pairs: Mapping[int, tuple[float, float]]) -> str:
    """Both sides' mean and their difference with its interval."""
    ours, theirs = ({seed: pair[side] for seed, pair in pairs.items()} for side in (0, 1))
    difference = paired_difference(ours, theirs)
    assert difference is not None
    sides = f"packs {100 * mean(list(ours.values())):6.2f}  single {100 * mean(list(theirs.values())):6.2f}"
    return f"{sides}  {interval(difference)}"


def interval(difference: Difference) -> str:
    """A difference in points."""
    if difference.low is None or difference.high is None:
        return f"difference {100 * difference.mean:+.2f} n={difference.n}, no spread"
    return (
        f"difference {100 * difference.mean:+.2f} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}] "
        f"n={difference.n}"
    )


def mean(values: Sequence[float]) -> float:
    """Their mean."""
    return estimate(values).mean


if __name__ == "__main__":
    main()
