"""What keeping a teacher's answers gains: a study of 32 trials with the tables on disk and without.

    python -m benchmarks.cache [--quick] [--data PARQUET]

Half of the trials learn by KD and half by KSAN, from a ResNet-20 of width 16 to a ResNet-8 of width 8 on 32×32 colour
images, each on its own seed and by itself, one after another in one process of one thread. The side that keeps begins
with no table: what filling them takes is in its time. An image has 18 views (shift 1, mirrored) and comes up 24 times a
trial, which is about what CIFAR's 162 views and 240 epochs are to each other. Both sides must end in the same weights.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import torch

from benchmarks.measured import interleaved, machine, ratio_line, table
from benchmarks.task import drawn_images
from harness.data.parquet import Parquet
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.models.resnet import ResNet
from harness.train.memory import keep_freed_memory
from harness.train.optim import Training
from harness.train.seeds import Seeds, make_repeatable, state_digest
from harness.train.trial import TeacherSpec, TrialSpec, run_trial
from harness.train.workshop import ON_DISK, Workshop

TRIALS, IMAGES, EPOCHS = 32, 128, 24
QUICK = 2, 64, 6
"""Trials, images and epochs."""


def main() -> None:
    """Prints a table and a line a figure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="fewer trials, images and epochs, one round")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--data", type=Path, help="a folder of Parquet files with real images; drawn ones otherwise")
    asked = options.parse_args()
    trials, images, epochs = QUICK if asked.quick else (TRIALS, IMAGES, EPOCHS)
    make_repeatable(1)
    keep_freed_memory()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        specs = study(asked.data or drawn_images(folder / "images"), trials, images, epochs)
        begun = folder / "begun"
        Workshop(folder, begun, torch.device("cpu"), answers_budget=0).side(specs[0])  # trains the teacher
        ends: dict[str, list[str]] = {}

        def side(name: str, budget: int) -> None:
            cache = folder / name
            shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(begun, cache)
            ends[name] = ends_of(specs, Workshop(folder, cache, torch.device("cpu"), answers_budget=budget))

        sides = {"asked": lambda: side("asked", 0), "kept": lambda: side("kept", ON_DISK)}
        taken = interleaved(sides, 1 if asked.quick else asked.rounds, warm_ups=0)
    if ends["asked"] != ends["kept"]:
        raise SystemExit("the two sides ended in different weights")
    print(f"\n{trials} trials of {epochs} epochs on {images} images; the same weights on both sides")
    print(table(taken))
    print(ratio_line(f"cache_{trials}_trials", taken["asked"], taken["kept"]))


def study(folder: Path, trials: int, images: int, epochs: int) -> list[TrialSpec]:
    """The trials: seeds of KD and of KSAN in turn."""
    content = {"name": "parquet", "path": str(folder), "validation": 20, "train": images, "shift": 1, "flip": True}
    data = Parquet.model_validate(content).pinned(None)
    return [
        TrialSpec(
            data=data,
            teacher=TeacherSpec(network=ResNet(depth=20), training=Training(epochs=1)),
            student=ResNet(depth=8, width=8),
            method=KSAN() if number % 2 else KD(),
            training=Training(epochs=epochs, batch_size=64, evaluate_every=epochs),
            seeds=Seeds.all(number // 2),
        )
        for number in range(trials)
    ]


def ends_of(specs: list[TrialSpec], workshop: Workshop) -> list[str]:
    """Trains every trial; the digests of the students' weights."""
    found = []
    for spec in specs:
        trial = run_trial(spec, workshop.data(spec.data), workshop.side(spec), workshop.device)
        while True:
            try:
                next(trial)
            except StopIteration as end:
                outcome = end.value
                break
        found.append(state_digest(outcome.student))
    return found


if __name__ == "__main__":
    main()
