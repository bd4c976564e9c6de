"""What packs and kept answers are worth to a whole study: `harness search` as shipped, and without both.

    python -m benchmarks.whole [--quick] [--study digits_resnet] [--rounds 1]

The other side has `resources: {pack: 1, answers_gigabytes: 0}`: each trial by itself, its teacher run at every step.
Both start from nothing, in folders of their own; the time is the whole command's, imports, teacher, report and all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measured import interleaved, machine, ratio_line, table
from harness.store.parquet import Store
from harness.study.shelf import find

WITHOUT = {"pack": 1, "answers_gigabytes": 0}


def main() -> None:
    """Prints a table and a line a figure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument(
        "--quick", action="store_true", help="one student, one arm and a twentieth of the epochs, without Ray"
    )
    options.add_argument("--study", default="digits_resnet")
    options.add_argument("--rounds", type=int, default=1)
    asked = options.parse_args()
    content = yaml.safe_load(find("studies", asked.study).read_text(encoding="utf-8"))
    if asked.quick:
        content = shortened(content)
    workers = 1 if asked.quick else os.cpu_count() or 1
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides = {
            "by itself": lambda: searched(folder, "alone", {**content, "resources": WITHOUT}, workers),
            "as shipped": lambda: searched(folder, "shipped", content, workers),
        }
        taken = interleaved(sides, asked.rounds, warm_ups=0)
    print(table(taken))
    print(ratio_line(f"whole_{asked.study}", taken["by itself"], taken["as shipped"]))


def shortened(content: dict[str, Any]) -> dict[str, Any]:
    """A study with its first pair's first student and its last arm, trained for a twentieth of the epochs."""
    pair = content["pairs"][0]
    trainings = {key: _twentieth(pair[key]) for key in ("teacher_training",) if key in pair}
    pairs = [{**pair, **trainings, "students": pair["students"][:1]}]
    return {**content, "pairs": pairs, "arms": content["arms"][-1:], "training": _twentieth(content["training"])}


def _twentieth(training: dict[str, Any]) -> dict[str, Any]:
    epochs = max(1, training["epochs"] // 20)
    return {**training, "epochs": epochs, "evaluate_every": epochs}


def searched(folder: Path, side: str, content: dict[str, Any], workers: int) -> float:
    """Seconds of a search from nothing to its report; raises `SystemExit` where it does not end well."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / f"{side}.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        line = [sys.executable, "-c", "from harness.cli import main; main()", "search", "--study", str(path)]
        began = time.perf_counter()
        line += ["--runs", f"{name}/runs"]
        line += ["--workers", str(workers)] if workers > 1 else ["--runner", "inline"]
        ran = subprocess.run(line, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if ran.returncode:
            raise SystemExit(f"the search ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        print(f"{side}: {accounted(seconds, Store(Path(name) / 'runs' / side), workers)}", flush=True)
        return seconds


def accounted(seconds: float, store: Store, workers: int) -> str:
    """What a command's seconds and its workers' went into."""
    ended = store.trials()
    span = (max(t.finished_at for t in ended) - min(t.started_at for t in ended)).total_seconds()
    training, busy = sum(t.train_seconds for t in ended), sum(t.wall_seconds for t in ended)
    return (
        f"{seconds:.1f} s, {seconds - span:.1f} of them before the first of {len(ended)} trials and after the last; "
        f"{workers} worker(s): training {training:.1f} s, preparing, evaluating and recording {busy - training:.1f}, "
        f"waiting {workers * span - busy:.1f}"
    )


if __name__ == "__main__":
    main()
