"""What packs gain: N trials as one vectorised step, against the same trials one after another and in N processes.

    python -m benchmarks.pack                  resnet8-w4 on digits by scratch, KD, ANC and KSAN, N = 1 … 64
    python -m benchmarks.pack --methods ksan --sizes 8 32
    python -m benchmarks.pack --quick          N = 8 by scratch and KSAN, and 32 by scratch, one epoch, no processes

A measurement trains N seeds for a few epochs, one thread each, teacher's answers remembered; the sides alternate. The
processes are there before the clock runs, share the machine's cores, and are as many as find room in its free memory;
a pack has one core, so one a core would do that many times as much.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psutil
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

METHODS: dict[str, Method] = {method.name: method for method in (Scratch(), KD(), ANC(), KSAN())}
SIZES = (1, 2, 4, 8, 16, 32, 64)
A_PROCESS = 10**9
"""Bytes that a process with torch, data and a trial takes, rounded up."""
EPOCHS = 30
"""Of the schedule, so that all nine views are worth remembering; a measurement trains the first few."""


def main() -> None:
    """Prints a table a method, and a line a figure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="N = 8 by scratch and KSAN, and 32 by scratch, one epoch")
    options.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    options.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--epochs", type=int, default=2, help="epochs of a measurement")
    asked = options.parse_args()
    print(machine())
    quick = [("scratch", 8), ("scratch", 32), ("ksan", 8)]
    chosen = quick if asked.quick else [(name, size) for name in asked.methods for size in asked.sizes]
    rounds, epochs = (3, 1) if asked.quick else (asked.rounds, asked.epochs)
    with tempfile.TemporaryDirectory() as folder:
        workshop = workshop_in(Path(folder), asked.device)
        for name, size in chosen:
            print("\n".join(measured(METHODS[name], size, workshop, rounds, epochs, not asked.quick)), flush=True)


@cache
def workshop_in(folder: Path, device: str) -> Workshop:
    """Where trials of a process get data and teacher."""
    make_repeatable(1)
    keep_freed_memory()
    return Workshop(Path("unused"), folder, torch.device(device))


def measured(
    method: Method, size: int, workshop: Workshop, rounds: int, epochs: int, with_processes: bool
) -> Sequence[str]:
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
    sides = {"alone": partial(alone, specs, workshop, epochs), "pack": partial(packed, specs, workshop, epochs)}
    name = f"pack_{method.name}_{size}"
    has_room = size * A_PROCESS < psutil.virtual_memory().available
    if not (with_processes and has_room):
        taken = interleaved(sides, rounds)
    else:
        spawn = multiprocessing.get_context("spawn")
        settled = spawn.Barrier(size), workshop.cache, workshop.device.type
        with ProcessPoolExecutor(size, spawn, _get_ready, settled) as pool:
            taken = interleaved({**sides, "processes": partial(side_by_side, pool, specs, workshop, epochs)}, rounds)
    lines = [ratio_line(name, taken["alone"], taken["pack"])]
    if "processes" in taken:
        lines.append(ratio_line(f"{name}_over_processes", taken["processes"], taken["pack"]))
    return [f"\n{method.name}, {size} trials, {epochs} epochs", table(taken), *lines]


def _get_ready(all_are: Barrier, folder: Path, device: str) -> None:
    workshop_in(folder, device)
    all_are.wait(600)


def side_by_side(pool: ProcessPoolExecutor, specs: Sequence[TrialSpec], workshop: Workshop, epochs: int) -> float:
    """Seconds until as many processes as trials trained one each, which they begin at once."""
    began = time.perf_counter()
    for waiting in [pool.submit(_one, spec, workshop.cache, workshop.device.type, epochs) for spec in specs]:
        waiting.result()
    return time.perf_counter() - began


def _one(spec: TrialSpec, folder: Path, device: str, epochs: int) -> float:
    return alone([spec], workshop_in(folder, device), epochs)


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
