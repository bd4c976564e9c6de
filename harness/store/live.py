"""The live file: what a driver is doing now, for whoever looks on from another terminal.

    runs/STUDY/live.json   replaced about once a second while a driver runs, and once at its end

It is a convenience: nothing follows from it, and whoever reads it goes on without it. It is whole or absent, but not
synced, for after a crash of the machine nothing in it is true. Ages are taken by a clock that nobody sets, where
writer and reader share a boot; elsewhere by the wall clock.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from harness.record import Purpose
from harness.store.parquet import LOCK, now

NAME = "live.json"
SILENCE = 30.0
"""Seconds without a word after which a driver whose lock cannot be seen counts as gone."""


@dataclass(frozen=True)
class RunningTrial:
    """A trial that a worker has."""

    trial_id: str
    arm: str
    student: str
    purpose: Purpose
    seed: int
    epoch: int
    """The last that was told of, which on Ray may be five seconds ago; 0 before the first."""
    epochs: int
    started_at: datetime


@dataclass(frozen=True)
class Live:
    """What a driver says of itself."""

    state: Literal["running", "finished", "stopped"]
    total: int
    """Trials in all, those of earlier runs among them; with early stopping or a budget at most so many."""
    total_is_bound: bool
    seconds_left: float | None
    """With early stopping or a budget at most so many; None as long as there is no pace."""
    running: tuple[RunningTrial, ...]
    updated_at: datetime
    monotonic: float
    boot: str
    """Of the machine, by which `monotonic` counts; as of `boot`."""


_LIVE = TypeAdapter(Live)


def write_live(root: Path, live: Live) -> None:
    """Puts the file in its place, whole."""
    temporary = root / f".{NAME}.{os.getpid()}.tmp"
    temporary.write_bytes(_LIVE.dump_json(live))
    temporary.replace(root / NAME)


def read_live(root: Path) -> Live | None:
    """What the file says; None where there is none, or none that can be read."""
    try:
        return _LIVE.validate_json((root / NAME).read_bytes())
    except (OSError, ValueError):
        return None


def is_running(root: Path, live: Live | None) -> bool:
    """Whether a driver runs: it holds the run's lock or, where locks cannot be seen, wrote a moment ago."""
    held = is_held(root)
    if held or live is None or live.state != "running":
        return bool(held)
    sees_locks = held is not None and live.boot == boot() != ""
    return not sees_locks and age(live) < SILENCE


def age(live: Live) -> float:
    """Seconds since a driver last wrote; 0 where a wall clock that was set back says that it has yet to."""
    if live.boot and live.boot == boot():
        return max(0.0, time.monotonic() - live.monotonic)
    return max(0.0, (now() - live.updated_at).total_seconds())


def is_held(root: Path) -> bool | None:
    """Whether a process that this one can see writes the run; None where the system does not tell.

    It looks the lock up and never takes it: a driver that begins at that moment must find it free. The device beside
    the file's number is left out, for layered file systems show another one.
    """
    locks = Path("/proc/locks")
    try:
        number = (root / LOCK).stat().st_ino if (root / LOCK).exists() else None
        return any(line.split()[-3].rpartition(":")[2] == str(number) for line in locks.read_text("ascii").splitlines())
    except (OSError, IndexError):
        return None


@cache
def boot() -> str:
    """The id of this machine's boot and of the processes that are seen here; empty where the system gives none."""
    try:
        id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{id} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
