"""What a search costs beside training: real `harness search` runs of KD trials of about 1, 5 and 20 seconds.

    python -m benchmarks.overhead [--quick] [--workers 2]

A trial's slot is busy for its training (`train_seconds`), for the rest of the trial (data, teacher, evaluation,
records), and until the next trial begins there: overhead is all of that over training alone, 1.00 being none. The
figure with the start counts from the search's first trial to its last, times the workers: the workers' start and idle
ends are in it, which a longer search spreads over more trials.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import yaml

from benchmarks.measured import machine, table, value_line
from harness.data.digits import Digits
from harness.models.resnet import ResNet
from harness.record import TrialRecord
from harness.store.parquet import Store
from harness.train.optim import Training
from harness.train.seeds import make_repeatable
from harness.train.trial import TrialSpec, run_trial
from harness.train.workshop import Workshop

LENGTHS = {1.0: 24, 5.0: 8, 20.0: 4}
"""Seconds of training → trials a search, in both the workers' number and its batch of four."""
QUICK = {1.0: 4}
DATA = {"name": "digits", "validation": 400}
STUDENT = {"name": "resnet", "depth": 8, "width": 4}
TRAINING = {"batch_size": 64, "evaluate_every": 10_000}


@dataclass(frozen=True)
class Search:
    """What one search came to."""

    overhead: float
    with_start: float
    between: list[float]
    beside: list[float]
    trained: list[float]
    to_first_epoch: float
    driver_cpu: float
    seconds: float


def study(epochs: int, trials: int) -> dict[str, Any]:
    """A search of KD alone, over the learning rate."""
    return {
        "question": "What does a search cost beside training?",
        "data": DATA,
        "pairs": [
            {
                "teacher": {"name": "resnet", "depth": 8, "width": 4},
                "teacher_training": {**TRAINING, "epochs": 1},
                "students": [STUDENT],
            }
        ],
        "training": {**TRAINING, "epochs": epochs},
        "arms": [{"method": {"name": "kd"}, "space": {"training.learning_rate": {"float": [0.03, 0.3], "log": True}}}],
        "search": {"trials": trials, "sampler": "random"},
        "confirm": {"seeds": [0]},
        "resources": {"pack": 1},  # what a trial costs beside its training; in a pack they begin and end together
    }


def epoch_seconds(folder: Path) -> float:
    """Seconds of one epoch of such a trial, by itself."""
    data, training = Digits.model_validate(DATA), Training.model_validate({**TRAINING, "epochs": 30})
    spec = TrialSpec(data=data, student=ResNet.model_validate(STUDENT), method={"name": "scratch"}, training=training)
    workshop = Workshop(folder, folder, torch.device("cpu"))
    records = list(run_trial(spec, workshop.data(data), None, workshop.device))
    return min(record.seconds for record in records)


def searched(folder: Path, epochs: int, trials: int, workers: int) -> Search:
    """Runs the command in a process of its own and reads its records."""
    folder.mkdir()
    path = folder / "overhead.yaml"
    path.write_text(yaml.safe_dump(study(epochs, trials)))
    line = [sys.executable, "-m", "benchmarks.overhead", "--drive", str(path), "--workers", str(workers)]
    began, clock = time.time(), time.perf_counter()
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - clock
    if ran.returncode:
        raise SystemExit(f"the search ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    told = json.loads((folder / "driver.json").read_text())
    store = Store(folder / "runs" / "overhead")
    ended = sorted((trial for trial in store.trials() if trial.purpose == "search"), key=lambda trial: trial.started_at)
    if len(ended) != trials or any(trial.status != "completed" for trial in ended):
        raise SystemExit(f"{len(ended)} of {trials} trials are there, not all completed; see {folder}")
    trained = [trial.train_seconds for trial in ended]
    window = (max(trial.finished_at for trial in ended) - ended[0].started_at).total_seconds()
    first = min((_first_epoch_end(trial) for trial in ended), default=math.nan)
    between, beside = _between(ended, workers), [trial.wall_seconds - trial.train_seconds for trial in ended]
    return Search(
        overhead=1 + (fmean(between) + fmean(beside)) / fmean(trained),
        with_start=window * workers / sum(trained),
        between=between,
        beside=beside,
        trained=trained,
        to_first_epoch=first - began,
        driver_cpu=told["cpu"],
        seconds=seconds,
    )


def _first_epoch_end(trial: TrialRecord) -> float:
    """Roughly: a trial's epochs are of one length."""
    return trial.started_at.timestamp() + trial.train_seconds / trial.epochs


def _between(trials: list[TrialRecord], workers: int) -> list[float]:
    """Seconds between the end of a trial and the start of the one that took its place, in the order of starts."""
    free: list[datetime] = []
    gaps, ends = [], sorted(trial.finished_at for trial in trials)
    for number, trial in enumerate(trials):
        if number >= workers:
            free = [end for end in ends if end <= trial.started_at]
            if free:
                ends.remove(free[-1])
                gaps.append((trial.started_at - free[-1]).total_seconds())
    return gaps


def drive(path: Path, workers: int) -> None:
    """The command itself; leaves its processor seconds beside the study."""
    from harness.cli import main as command

    sys.argv = ["harness", "search", "--study", str(path), "--runs", str(path.parent / "runs")]
    sys.argv += ["--workers", str(workers), "--device", "cpu"]
    try:
        command()
    finally:
        (path.parent / "driver.json").write_text(json.dumps({"cpu": time.process_time()}))


def report(length: float, found: list[Search]) -> list[str]:
    """Prints a table and gives the lines of a length."""
    name = f"{length:g}s"
    print(f"\ntrials of {name}, {len(found)} searches of {len(found[0].trained)}")
    rows = {
        "training of a trial": [value for each in found for value in each.trained],
        "between two trials": [value for each in found for value in each.between],
        "a trial's rest": [value for each in found for value in each.beside],
        "command to first epoch": [each.to_first_epoch for each in found],
        "driver, processor": [each.driver_cpu for each in found],
        "whole command": [each.seconds for each in found],
    }
    print(table({row: values for row, values in rows.items() if values}), flush=True)
    return [
        value_line(f"overhead_{name}", [each.overhead for each in found]),
        value_line(f"overhead_{name}_with_start", [each.with_start for each in found]),
    ]


def main() -> None:
    """Prints tables, then a line a length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 trials of 1 s, once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.drive:
        drive(asked.drive, asked.workers)
        return
    make_repeatable(1)
    print(machine())
    lengths, rounds = (QUICK, 1) if asked.quick else (LENGTHS, asked.rounds)
    found: dict[float, list[Search]] = {length: [] for length in lengths}
    with tempfile.TemporaryDirectory() as folder:
        epoch = epoch_seconds(Path(folder) / "pilot")
        for number in range(rounds):
            for length, trials in lengths.items():
                place = Path(folder) / f"{number}-{length:g}"
                found[length].append(searched(place, max(1, round(length / epoch)), trials, asked.workers))
    lines = [line for length, searches in found.items() for line in report(length, searches)]
    print("", *lines, sep="\n")


if __name__ == "__main__":
    main()
