"""A step and an epoch of KD and KSAN: ours beside the usual way, torchdistill's loop and RepDistiller's.

    python -m benchmarks.step [--quick] [--repdistiller PATH] [--data FOLDER] [--device cuda] [--precision bfloat16]

All sides train a ResNet-20 with a ResNet-56 on the same 32×32 images in batches of 64, with as many threads as
torch is given (1 by default), in turn in one process. A step is a training epoch's seconds over its steps, loading
included; an epoch is that and an evaluation on a fifth as many images. `--profile` prints where our step's time goes.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import torch

from benchmarks import peers, usual
from benchmarks.measured import interleaved, machine, ratio_line, table
from benchmarks.profiled import profiled
from benchmarks.task import BATCH, Task, task
from harness.distill.attention import Attention
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.distill.method import Pretraining
from harness.train.memory import keep_freed_memory
from harness.train.optim import Precision
from harness.train.seeds import make_repeatable

REMEMBERED, ASKED = "ours, remembered", "ours, teacher run"


class Side:
    """A loop; each call trains and evaluates an epoch, and notes the seconds that training took.

    Only ours computes as a trial does, repeatably: it is not for the others to pay for that.
    """

    def __init__(self, epochs: Iterator[float], is_repeatable: bool) -> None:
        self.epochs, self.is_repeatable, self.training = epochs, is_repeatable, list[float]()

    def __call__(self) -> None:
        torch.use_deterministic_algorithms(self.is_repeatable, warn_only=True)
        self.training.append(next(self.epochs))


def sides_of(of: Task, epochs: int, checkout: Path | None) -> dict[str, Side]:
    """Every loop that can train the task."""
    loops: dict[str, Callable[[], Iterator[float]]] = {
        REMEMBERED: lambda: of.ours(of.remembered(epochs)),
        ASKED: lambda: of.ours(of.asked()),
    }
    if isinstance(of.spec.method, KD):
        loops["plain"] = lambda: usual.kd(of)
        loops["torchdistill"] = lambda: peers.torchdistill(of)
        if checkout and torch.cuda.is_available() == (of.device.type == "cuda"):
            loops["RepDistiller"] = lambda: peers.repdistiller(of, checkout)
    else:
        loops["plain"] = lambda: usual.ksan(of)
    return {name: Side(loop(), name in (REMEMBERED, ASKED)) for name, loop in loops.items()}


def compared(of: Task, rounds: int, seconds: float | None, checkout: Path | None) -> list[str]:
    """Prints the seconds of each side and gives the lines of their ratios."""
    name, kind = of.spec.method.name, "" if of.spec.training.precision == "float32" else "_bfloat16"
    sides = sides_of(of, rounds + 1, checkout)
    taken = interleaved(sides, rounds, seconds, settle=_settled(of.device))
    steps = {side: [spent / of.steps for spent in sides[side].training[-len(taken[side]) :]] for side in sides}
    print(f"\n{name}, a step of {BATCH} images ({of.steps} steps an epoch)\n{table(steps)}")
    print(f"\n{name}, an epoch with its evaluation\n{table(taken)}", flush=True)
    return [
        ratio_line(f"{name}{kind}_{figure}_{theirs.lower()}{suffix}", values[theirs], values[ours])
        for figure, values in (("step", steps), ("epoch", taken))
        for ours, suffix in ((REMEMBERED, ""), (ASKED, "_teacher_run"))
        for theirs in sides
        if theirs not in (REMEMBERED, ASKED)
    ]


def _settled(device: torch.device) -> Callable[[], object]:
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def main() -> None:
    """Prints tables, then a line for each ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a step an epoch, and as many rounds as 20 s hold")
    parser.add_argument("--repdistiller", type=Path, help="a checkout of HobbitLong/RepDistiller")
    parser.add_argument("--data", type=Path, help="a folder of Parquet files with 32×32 images; drawn ones without it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="float32", help="ours; the others stay as they are written"
    )
    parser.add_argument("--images", type=int, default=640, help="training images an epoch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="show where our own step spends its time instead")
    asked = parser.parse_args()
    if asked.quick:
        asked.images, asked.rounds = BATCH, 5
    warnings.filterwarnings("ignore", module="torch.nn._reduction")  # RepDistiller's
    make_repeatable(asked.threads)
    keep_freed_memory()  # as our workers do; in one process the others gain by it too
    device = torch.device(asked.device)
    print(machine())
    brief = Pretraining(steps=1, least_spread=0)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for method in (KD(), KSAN(attention=Attention(pretraining=brief))):
            of = task(method, Path(folder), device, asked.images, asked.data, asked.precision)
            if asked.profile:
                print(profiled(of))
            else:
                lines += compared(of, asked.rounds, 10.0 if asked.quick else None, asked.repdistiller)
    print("", *lines, sep="\n")


if __name__ == "__main__":
    main()
