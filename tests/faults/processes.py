"""A search as a process of its own, to be watched, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psutil

from harness.store.parquet import Store
from tests.studies import tiny, written

HARNESS = str(Path(sys.executable).parent / "harness")

LONGER: dict[str, Any] = tiny(
    data__train=128,
    training__epochs=8,
    search={"trials": 4, "replicates": 1, "batch": 4, "sampler": "random"},
    resources={"pack": 1},
)
LONGER_TRIALS = 1 + 2 * (4 + 2)
"""Trials of some tenths of a second each, one after another, so that a kill finds some running and some ended."""


def command(folder: Path, runner: str, *more: str) -> list[str]:
    """The command line of a search of the longer study."""
    study = written(folder, LONGER)
    places = ["--study", str(study), "--runs", str(folder / "runs")]
    return [HARNESS, "search", *places, "--runner", runner, *more]


@contextmanager
def started(line: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, of which nothing is left when the block ends."""
    scratch = tempfile.mkdtemp(prefix="t")  # short: Ray puts sockets in it
    process = subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": scratch, "RAY_TMPDIR": scratch},  # no other test's cluster is found there
    )
    process.scratch = scratch  # type: ignore[attr-defined]
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def finished(line: list[str]) -> subprocess.CompletedProcess[str]:
    """A process that ended by itself."""
    with started(line) as process:
        output, _ = process.communicate(timeout=300)
        return subprocess.CompletedProcess(line, process.returncode, output)


def wait_for(what: Callable[[], Any], seconds: float = 180) -> Any:
    """What a condition gives once it holds; fails after a deadline."""
    until = time.monotonic() + seconds
    while not (held := what()):
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)
    return held


def store(folder: Path) -> Store:
    """The records of the longer study."""
    return Store(folder / "runs" / "tiny")


def trial_files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Trial's file → when it was written, and its content."""
    paths = store(folder).root.glob("trials/[!.]*.parquet")
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def descendants(pid: int) -> dict[int, str]:
    """Process id → command line of all that a process started, directly or not."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if state != "Z":
            parents[int(folder.name)], lines[int(folder.name)] = int(parent), line
    known = {pid}
    while more := {child for child, parent in parents.items() if parent in known} - known:
        known |= more
    return {child: lines[child] for child in known - {pid} if child in lines}


def workers(pid: int) -> list[int]:
    """The processes below a driver in which Ray runs trials; Ray's own agents take a minute to end."""
    return [child for child, line in descendants(pid).items() if line.startswith("ray::") and "Agent" not in line]


def listening(pid: int) -> set[IPv4Address | IPv6Address]:
    """The addresses at which a process listens for TCP."""
    try:
        sockets = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()  # it ended meanwhile
    addresses = {ip_address(one.laddr.ip) for one in sockets if one.status == psutil.CONN_LISTEN}
    return {getattr(address, "ipv4_mapped", None) or address for address in addresses}


def alive(pids: Any) -> list[int]:
    """Those of some processes that still run."""
    return [pid for pid in pids if _state(pid) not in (None, "Z")]


def _state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def assert_whole(folder: Path) -> None:
    """Every trial of the longer study completed, once, and nothing is left lying about."""
    trials = store(folder).trials()
    assert {trial.status for trial in trials} == {"completed"}
    assert len(trials) == len(trial_files(folder)) == LONGER_TRIALS
    assert not list((store(folder).root / "checkpoints").glob("*.pt"))
