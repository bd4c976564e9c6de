"""What the driver itself costs: 2,000 trials that train nothing, from agenda and sampling to store and live file.

    python -m benchmarks.driver [--quick]

The accounts come from the surface of `benchmarks.stopping`, 60 epochs each, and making them is not counted. Every
repetition is a process of its own: a run from nothing, and a second one that finds all its records. Prints seconds
of processor and clock a trial, the most memory, and what of it lies above that of the imports. `--profile` prints
where the time of one run goes.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import psutil
from rich.console import Console

from benchmarks.stopping import EPOCHS, carried_out
from harness.search.agenda import Agenda
from harness.search.display import Display
from harness.search.live import LiveFile
from harness.store.parquet import Store
from harness.study.plan import Plan, plan
from harness.study.study import Study, StudySpec
from harness.train.cost import size

METHODS = ("scratch", "kd", "l2", "ksan")
WIDTHS = (2, 4, 8)
CONFIRMATIONS = 5


@dataclass
class Spent:
    """Time in the driver's own code, and the most memory of the process."""

    cpu: float = 0.0
    wall: float = 0.0
    trials: int = 0
    peak_mb: float = 0.0
    imports_mb: float = 0.0
    own_mb: float = 0.0
    """At the end, without the pages of the libraries' files, which the driver and its workers share."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts the block."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall


def planned(trials: int) -> Plan:
    """A study of twelve cells, searched by TPE, that comes to about so many trials."""
    cells = len(METHODS) * len(WIDTHS)
    content = {
        "question": "What does the driver cost?",
        "data": {"name": "digits"},
        "pairs": [
            {
                "teacher": {"name": "resnet", "depth": 14, "width": 8},
                "students": [{"name": "resnet", "depth": 8, "width": width} for width in WIDTHS],
            }
        ],
        "training": {"epochs": EPOCHS},
        "arms": [
            {
                "method": {"name": name},
                "space": {
                    "training.learning_rate": {"float": [0.003, 1.0], "log": True},
                    "training.weight_decay": {"float": [1e-5, 1e-2], "log": True},
                    "training.momentum": {"float": [0.5, 0.99]},
                    "training.batch_size": {"choice": [32, 64, 128]},
                },
            }
            for name in METHODS
        ],
        "search": {"trials": trials // cells - CONFIRMATIONS, "batch": 4, "sampler": "tpe"},
        "confirm": {"best": 1, "seeds": list(range(CONFIRMATIONS))},
    }
    return plan(Study("driver", StudySpec.model_validate(content), "", Path("driver.yaml")))


def carried_through(folder: Path, trials: int) -> Spent:
    """Runs the study in a folder, or goes on with it."""
    spent, its_plan = Spent(), planned(trials)
    for cell in its_plan.cells:
        size(cell.base.student, cell.base.data.shape, cell.base.data.classes)
    spent.imports_mb = _peak_mb()
    store = Store(folder)
    with spent.counted():
        display = Display(its_plan, Console(file=io.StringIO()), 2)
        live = LiveFile(store, display)
    with store.writing():
        with spent.counted():
            agenda = Agenda(its_plan, store, [display, live])
            display.resume(agenda)
        spent.trials = agenda.resumed
        with display, live.of(agenda):
            while not agenda.is_finished:
                with spent.counted():
                    pack = agenda.next_pack()
                for assignment in pack or ():
                    account = carried_out(assignment)
                    spent.trials += 1
                    with spent.counted():
                        for epoch in account.epochs:
                            agenda.trained(epoch)
                        agenda.ended(account)
    spent.peak_mb = _peak_mb()
    info = psutil.Process().memory_info()
    spent.own_mb = (info.rss - info.shared) / 2**20
    return spent


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(folder: Path, trials: int) -> Spent:
    """The same in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.driver", "--trials", str(trials), "--in", str(folder)]
    told = subprocess.run(line, check=True, capture_output=True, text=True)
    return Spent(**json.loads(told.stdout.splitlines()[-1]))


def main() -> None:
    """Prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one repetition of 1,000 trials instead of three of 2,000")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--in", dest="folder", type=Path, help="run once, in this folder, and print JSON")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.trials = min(asked.trials, 1000)
    if asked.folder:
        print(json.dumps(vars(carried_through(asked.folder, asked.trials))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if asked.profile:
            for name in ("run", "resume"):
                profile = cProfile.Profile()
                profile.runcall(carried_through, Path(folder), asked.trials)
                print(name)
                pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
            return
        repetitions = range(1 if asked.quick else 3)
        runs = [(measured(Path(folder) / str(n), asked.trials), n) for n in repetitions]
        again = [measured(Path(folder) / str(n), asked.trials) for n in repetitions]
    first = [run for run, _ in runs]
    trials = first[0].trials
    _say("driver_cpu_ms_a_trial", [1e3 * run.cpu / trials for run in first], trials)
    _say("driver_wall_ms_a_trial", [1e3 * run.wall / trials for run in first], trials)
    _say("driver_peak_mb", [run.peak_mb for run in first], trials)
    _say("driver_own_mb", [run.own_mb for run in first], trials)
    _say("driver_peak_mb_above_imports", [run.peak_mb - run.imports_mb for run in first], trials)
    _say("resume_seconds", [run.wall for run in again], trials)
    _say("resume_peak_mb", [run.peak_mb for run in again], trials)
    _say("resume_peak_mb_above_imports", [run.peak_mb - run.imports_mb for run in again], trials)


def _say(name: str, values: list[float], trials: int) -> None:
    spread = stdev(values) if len(values) > 1 else 0.0
    print(f"figure {name} {fmean(values):.3f} n={len(values)} spread={spread:.3f} trials={trials}", flush=True)


if __name__ == "__main__":
    main()
