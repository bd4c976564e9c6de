"""What packs gain: N trials as one vectorised step, against the same trials one after another.

    python -m benchmarks.pack            resnet8-w4 on digits by scratch, KD, ANC and KSAN, N = 1 … 64
    python -m benchmarks.pack --quick    N = 8 by scratch and KSAN, and 32 by scratch, one epoch

A measurement trains N seeds for a few epochs, one thread, teacher's answers remembered; the sides alternate.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.measured import interleaved, machine, ratio_line, table
from harness.data.digits import Digits
from harness.data.resident import ResidentData
from harness.distill.anc import ANC
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.distill.method import Method
from harness.distill.scratch import Scratch
from harness.models.resnet import ResNet
from harness.train.memory import keep_freed_memory
from harness.train.optim import Training
from harness.train.pack import Left, Member, run_pack
from harness.train.seeds import Seeds, make_repeatable
from harness.train.trial import TeacherSpec, TrialSpec, run_trial
from harness.train.workshop import Workshop

SIZES = (1, 2, 4, 8, 16, 32, 64)
EPOCHS = 30
"""Of the schedule, so that all nine views are worth remembering; a measurement trains the first few."""


def main() -> None:
    """Prints a table a method, and a line a figure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="N = 8 by scratch and KSAN, and 32 by scratch, one epoch")
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--epochs", type=int, default=2, help="epochs of a measurement")
    asked = options.parse_args()
    make_repeatable(1)
    keep_freed_memory()
    print(machine())
    every: list[Method] = [Scratch(), KD(), ANC(), KSAN()]
    quick: list[tuple[Method, int]] = [(Scratch(), 8), (Scratch(), 32), (KSAN(), 8)]
    chosen = quick if asked.quick else [(method, size) for method in every for size in SIZES]
    rounds, epochs = (3, 1) if asked.quick else (asked.rounds, asked.epochs)
    with tempfile.TemporaryDirectory() as cache:
        workshop = Workshop(Path("unused"), Path(cache), torch.device(asked.device))
        for method, size in chosen:
            print("\n".join(measured(method, size, workshop, rounds, epochs)), flush=True)


def measured(method: Method, size: int, workshop: Workshop, rounds: int, epochs: int) -> Sequence[str]:
    """The lines of one method and one size of pack."""
    specs = [
        TrialSpec(
            data=Digits(validation=400),
            teacher=TeacherSpec(network=ResNet(depth=8, width=16), training=Training(epochs=3)),
            student=ResNet(depth=8, width=4),
            method=method,
            training=Training(epochs=EPOCHS, batch_size=64, evaluate_every=EPOCHS),
            seeds=Seeds.all(seed),
        )
        for seed in range(size)
    ]
    sides = {"alone": lambda: alone(specs, workshop, epochs), "pack": lambda: packed(specs, workshop, epochs)}
    taken = interleaved(sides, rounds)
    name = f"pack_{method.name}_{size}"
    return [
        f"\n{method.name}, {size} trials, {epochs} epochs",
        table(taken),
        ratio_line(name, taken["alone"], taken["pack"]),
    ]


def alone(specs: Sequence[TrialSpec], workshop: Workshop, epochs: int) -> float:
    """Seconds of training, one trial after another."""
    seconds = 0.0
    for spec in specs:
        trial = run_trial(spec, workshop.data(spec.data), workshop.side(spec), workshop.device)
        seconds += sum(next(trial).seconds for _ in range(epochs))
        trial.close()
    return seconds


def packed(specs: Sequence[TrialSpec], workshop: Workshop, epochs: int) -> float:
    """Seconds of training, as one step."""
    data = workshop.data(specs[0].data)
    assert isinstance(data, ResidentData)
    seconds, wanted = 0.0, epochs * len(specs)
    pack = run_pack([Member(spec, workshop.side(spec)) for spec in specs], data, workshop.device)
    for item in pack:
        if not isinstance(item, Left):
            seconds += item.seconds
            wanted -= 1
        if not wanted:
            break
    pack.close()
    return seconds


if __name__ == "__main__":
    main()
