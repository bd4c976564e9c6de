"""What telling costs: 10⁴, 10⁵ and 10⁶ made-up trials × 20 epochs through store, query, front and report.

    python -m benchmarks.report [--quick]

    store    writing a trial and reading it back, a file each, as while a study runs; of some 300 trials
    query    reading the published run's Parquet into frames
    front    labels, confirmed rows, configs of the search, front with its probabilities
    report   everything else that the page needs, the page, and writing it

Each repetition is a process of its own, on a run made before it is timed. `peak` is the most memory of that process,
its libraries (some 200 MB) included. `--quick` measures 10⁴ trials once.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

TARGETS = {"seconds": 10.0, "gigabytes": 2.0}
"""Of front and report together at a million trials."""


def measured(folder: Path) -> dict[str, float]:
    """Seconds of clock and of processor by stage, and the most memory in MB, of one run in this process."""
    from harness.analysis.pareto import pareto_front
    from harness.report.findings import Findings
    from harness.report.page import report_html
    from harness.store.query import read_run

    found: dict[str, float] = {}
    with _timed(found, "query"):
        findings = Findings(read_run(folder))
    with _timed(found, "front"):
        assert len(findings.searched)
        assert len(pareto_front(findings.certain, findings.objectives))
    with _timed(found, "report"):
        page = report_html(findings.run, findings)
        (folder / "report.html").write_text(page, encoding="utf-8")
    return {**found, "page_mb": len(page.encode()) / 1e6, "peak_mb": _peak_mb()}


@contextmanager
def _timed(found: dict[str, float], stage: str) -> Iterator[None]:
    clock, cpu = time.perf_counter(), time.process_time()
    yield
    found[stage], found[f"{stage}_cpu"] = time.perf_counter() - clock, time.process_time() - cpu


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stored(folder: Path, trials: int = 300) -> dict[str, float]:
    """Milliseconds of clock a trial to write and to read back, a file for each as while a study runs."""
    from benchmarks.large_run import write_large_run
    from harness.record import EpochRecord, TrialRecord
    from harness.store.parquet import Store, read_records, records_in

    published = folder.parent / "few"
    write_large_run(published, trials)
    records = records_in(read_records(published / "trials.parquet", TrialRecord), TrialRecord)
    epochs: dict[str, list[EpochRecord]] = {trial.trial_id: [] for trial in records}
    for epoch in records_in(read_records(published / "epochs.parquet", EpochRecord), EpochRecord):
        epochs[epoch.trial_id].append(epoch)
    run = Store(folder)
    begun = time.perf_counter()
    with run.writing():
        for trial in records:
            run.write(trial, epochs[trial.trial_id])
    written = time.perf_counter()
    assert len(Store(folder).trials()) == len(records)
    read = time.perf_counter()
    return {
        "store_write_ms": 1e3 * (written - begun) / len(records),
        "store_read_ms": 1e3 * (read - written) / len(records),
    }


def in_a_process(folder: Path) -> dict[str, float]:
    """What `measured` says, in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.report", "--in", str(folder)]
    told = subprocess.run(line, check=True, capture_output=True, text=True)
    return dict(json.loads(told.stdout.splitlines()[-1]))


def main() -> None:
    """Prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10⁴ trials, once")
    parser.add_argument("--trials", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--in", dest="folder", type=Path, help="measure the run in this folder once, and print JSON")
    asked = parser.parse_args()
    if asked.folder:
        print(json.dumps(measured(asked.folder)))
        return
    from benchmarks.large_run import write_large_run  # it imports torch, which telling must not

    sizes, repeat = ([10_000], 1) if asked.quick else (asked.trials, asked.repeat)
    with tempfile.TemporaryDirectory() as place:
        for name, value in stored(Path(place) / "stored").items():
            _say("figure", name, [value])
        for trials in sizes:
            folder = Path(place) / str(trials)
            write_large_run(folder, trials)
            runs = [in_a_process(folder) for _ in range(repeat)]
            for name in runs[0]:
                _say("figure", f"{name}_{trials}", [run[name] for run in runs])
            _say("ratio", f"report_{trials}_seconds_of_target", [_seconds(run) / TARGETS["seconds"] for run in runs])
            shares = [run["peak_mb"] / 1e3 / TARGETS["gigabytes"] for run in runs]
            _say("ratio", f"report_{trials}_memory_of_target", shares)


def _seconds(run: dict[str, float]) -> float:
    return run["front"] + run["report"]


def _say(kind: str, name: str, values: list[float]) -> None:
    spread = max(values) - min(values)
    print(f"{kind} {name} {median(values):.3f} n={len(values)} spread={spread:.3f}", flush=True)


if __name__ == "__main__":
    main()
