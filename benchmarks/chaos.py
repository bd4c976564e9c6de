"""Kills drivers, workers and a second Ray node at random while a study runs, and compares what is left with peace.

    python -m benchmarks.chaos [--kills 50] [--seed 0] [--study digits_resnet] [--quick]

A head node and a second one run on this machine. Each kill is SIGKILL, without warning, to the driver
(`harness search`), to a process in which a trial runs, or to everything of the second node; a driver is started
again with the same command, and so is the node. If the study ends before the last kill, another run of it begins,
unless nothing at all was killed in this one.

    lost       trials of the undisturbed run that a disturbed run does not have, or that vanished from disk after a kill
    doubled    trials that were completed twice, or that a disturbed run has and the undisturbed one has not
    differing  trials or epochs with another number in them
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import yaml

from harness.record import TrialRecord
from harness.store.live import read_live
from harness.store.parquet import Store, now

BIN = Path(sys.executable).parent
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
VICTIMS = ("driver", "worker", "worker", "node")
IN_FULL_SWING = 0.8
"""The share of kills that wait until trials train; the others may find a driver or a node that is starting."""
PASSING = {"attempt", "train_seconds", "wall_seconds", "started_at", "finished_at", "peak_bytes", "latency"}
"""What two runs of one trial need not share."""
QUICK: dict[str, Any] = {
    "question": "Is anything lost?",
    "data": {"name": "digits", "train": 200, "validation": 200},
    "pairs": [
        {
            "teacher": {"name": "resnet", "depth": 8, "width": 4},
            "students": [{"name": "resnet", "depth": 8, "width": 2}],
        }
    ],
    "training": {"epochs": 60, "batch_size": 32},
    "arms": [
        {"method": {"name": "scratch"}, "space": {"training.learning_rate": {"float": [0.03, 0.5], "log": True}}},
        {"method": {"name": "kd"}, "space": {"training.learning_rate": {"float": [0.03, 0.5], "log": True}}},
    ],
    "search": {"trials": 6, "batch": 6, "stopping": "halving"},
    "confirm": {"seeds": [0, 1]},
}


@dataclass
class Tally:
    """What the kills cost."""

    kills: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    differing: set[str] = field(default_factory=set)


class Cluster:
    """A head node and a second one, each with half of the cores."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self.cpus = max(1, (os.cpu_count() or 2) // 2)
        self.head = self._start("--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={folder}/h")
        _wait_until_listening(self.port)
        self.second = self._start_second()

    @property
    def address(self) -> str:
        """Where drivers find it."""
        return f"127.0.0.1:{self.port}"

    def _start_second(self) -> subprocess.Popen[bytes]:
        return self._start(f"--address={self.address}")

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        line = [BIN / "ray", "start", "--block", "--disable-usage-stats", f"--num-cpus={self.cpus}", *options]
        return subprocess.Popen(
            [*map(str, line), "--node-ip-address=127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"RAY_CHDIR_TO_TRIAL_DIR": "0"},
        )

    def workers(self) -> list[psutil.Process]:
        """Processes that carry out trials, on both nodes."""
        found = []
        for node in (self.head, self.second):
            for process in _below(node.pid):
                try:
                    if "Trainable" in " ".join(process.cmdline()):
                        found.append(process)
                except psutil.Error:
                    continue
        return found

    def kill_second(self) -> None:
        """Kills all of the second node at once, and starts another."""
        _kill_tree(self.second.pid)
        self.second.wait()
        self.second = self._start_second()

    def stop(self) -> None:
        """Leaves nothing behind."""
        for node in (self.second, self.head):
            _kill_tree(node.pid)
            node.wait()


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _kill_tree(pid: int) -> None:
    for process in (*_below(pid), *([psutil.Process(pid)] if psutil.pid_exists(pid) else [])):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"the head node does not listen on port {port}")


def search(study: str, runs: Path, *more: str) -> subprocess.Popen[bytes]:
    """A driver, in a session of its own."""
    log = (runs.parent / f"{runs.name}.log").open("ab")
    line = [*HARNESS, "search", "--study", study, "--runs", str(runs), *more]
    return subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def disturbed(study: str, runs: Path, cluster: Cluster, kills: int, rng: random.Random, tally: Tally) -> Store:
    """Runs a study to its end under so many kills, or fewer if it ends before."""
    line = ("--address", cluster.address)
    driver = search(study, runs, *line)
    store = Store(runs / Path(study).stem)
    on_disk: dict[str, bytes] = {}
    since = now()
    try:
        while True:
            if tally.kills.total() >= kills:
                is_over = _ends_within(driver, 900)
            else:
                if rng.random() < IN_FULL_SWING:
                    _await_training(driver, store, since)
                is_over = _ends_within(driver, rng.uniform(0.2, 5))
            if is_over:
                if driver.returncode:
                    raise RuntimeError(f"the driver ended with {driver.returncode}; see {runs}.log")
                break
            if tally.kills.total() >= kills:
                raise TimeoutError(f"the study does not end; see {runs}.log")
            on_disk |= _files(store)
            victim = rng.choice(VICTIMS)
            if victim == "driver":
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                driver = search(study, runs, *line)
            elif victim == "node":
                cluster.kill_second()
            elif workers := cluster.workers():
                with suppress(psutil.NoSuchProcess):
                    rng.choice(workers).kill()
            else:
                continue  # none runs a trial yet
            since = now()
            tally.kills[victim] += 1
            print(f"kill {tally.kills.total()}: {victim}, {len(on_disk)} trials on disk", flush=True)
    finally:
        _kill_tree(driver.pid)
    left = _files(store)
    tally.lost |= {name for name, content in on_disk.items() if left.get(name) != content}
    return store


def _await_training(driver: subprocess.Popen[bytes], store: Store, since: datetime) -> None:
    """Waits until a trial has trained an epoch, by what its driver said after the last kill."""
    until = time.monotonic() + 90
    while driver.poll() is None and time.monotonic() < until:
        live = read_live(store.root)
        if live and live.updated_at > since and any(one.epoch for one in live.running):
            return
        time.sleep(0.1)


def _ends_within(driver: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _files(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store.root / "trials").glob("*.parquet")}


def compare(peace: Store, war: Store, tally: Tally) -> None:
    """Holds a disturbed run against the undisturbed one."""
    expected, found = ({trial.trial_id: trial for trial in store.trials()} for store in (peace, war))
    completed = Counter(trial.trial_id for trial in war.attempts() if trial.status in ("completed", "stopped"))
    tally.lost |= expected.keys() - found.keys()
    tally.doubled |= {id for id, count in completed.items() if count > 1} | (found.keys() - expected.keys())
    for id in expected.keys() & found.keys():
        if numbers(peace, expected[id]) != numbers(war, found[id]):
            tally.differing.add(id)


def numbers(store: Store, trial: TrialRecord) -> tuple[Any, ...]:
    """All of a trial that must not depend on what happened around it; the code may have been committed meanwhile."""
    epochs = [{**asdict(epoch), "seconds": 0} for epoch in store.epochs(trial)]
    told = {name: value for name, value in asdict(trial).items() if name not in PASSING}
    return told | {"provenance": {**(told["provenance"] or {}), "commit": None}}, epochs


def main() -> None:
    """Runs in peace, then under fire, and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study", default="digits_resnet")
    parser.add_argument("--quick", action="store_true", help="a study of seconds and 4 kills")
    parser.add_argument("--peace", type=Path, help="an undisturbed run of the study that is there already")
    options = parser.parse_args()
    kills = options.kills or (4 if options.quick else 50)
    folder = Path(tempfile.mkdtemp(prefix="chaos"))
    study = options.study
    if options.quick:
        study = str(folder / "quick.yaml")
        Path(study).write_text(yaml.safe_dump(QUICK), encoding="utf-8")
    tally, rng, rounds = Tally(), random.Random(options.seed), 0
    peace = Store(options.peace or folder / "peace" / Path(study).stem)
    if options.peace is None:
        quiet = search(study, folder / "peace", *(["--runner", "inline"] if options.quick else []))
        if quiet.wait():
            sys.exit(f"the undisturbed run failed; see {folder}/peace.log")
    cluster = Cluster(folder)
    try:
        while tally.kills.total() < kills:
            rounds, before = rounds + 1, tally.kills.total()
            war = disturbed(study, folder / f"war{rounds}", cluster, kills, rng, tally)
            compare(peace, war, tally)
            if tally.kills.total() == before:
                print(f"the study ended before anything was killed (see {folder}): give it longer trials")
                break
    finally:
        cluster.stop()
    print(f"{len(peace.trials())} trials, {rounds} rounds, kills: {dict(tally.kills)}")
    print(
        f"chaos kills={tally.kills.total()} lost={len(tally.lost)} doubled={len(tally.doubled)} "
        f"differing={len(tally.differing)}"
    )
    if tally.kills.total() < kills or tally.lost or tally.doubled or tally.differing:
        sys.exit(f"see {folder}: {sorted(tally.lost | tally.doubled | tally.differing)[:5]}")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
