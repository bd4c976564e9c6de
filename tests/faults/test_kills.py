"""Whatever is killed, and whenever: nothing that ended is lost or run again, and nothing lives on."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from typer.testing import CliRunner

from harness.cli import app
from harness.store.parquet import Store
from tests.faults.processes import (
    HARNESS,
    LONGER_TRIALS,
    alive,
    assert_whole,
    command,
    descendants,
    finished,
    listening,
    started,
    store,
    trial_files,
    wait_for,
    workers,
)
from tests.search.inline import numbers, search
from tests.studies import TRIALS, tiny, written

pytestmark = pytest.mark.xdist_group("kills")  # beside those that interrupt and those about nodes
AFTER = 3
"""Trials on disk when the blow falls."""
PACKED: dict[str, Any] = tiny(
    data__train=256, training__epochs=80, search={"trials": 4, "replicates": 1, "batch": 4, "sampler": "random"}
)
PACKED["arms"], PACKED["confirm"]["seeds"] = PACKED["arms"][:1], [0]
"""Four trials that train as one for some seconds, also on a quick machine: they are kept every two."""


def test_a_killed_search_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    with started(command(tmp_path, "ray", "--workers", "1")) as process:
        wait_for(lambda: len(trial_files(tmp_path)) >= AFTER)
        below = workers(process.pid)
        assert below
        lines = {process.pid: "driver", **descendants(process.pid)}
        at = {pid: listening(pid) for pid in lines}
        assert all(any(at[pid] for pid, line in lines.items() if part in line) for part in ("gcs_server", "raylet"))
        assert all(address.is_loopback for addresses in at.values() for address in addresses)  # nobody else is let in
        os.kill(process.pid, signal.SIGKILL)  # the driver alone: the rest must notice
        process.wait()
        wait_for(lambda: not alive(below), seconds=60)
    before = trial_files(tmp_path)
    assert AFTER <= len(before) < LONGER_TRIALS
    again = CliRunner().invoke(app, command(tmp_path, "inline")[1:])
    assert again.exit_code == 0, again.output
    assert f"Continuing: {len(before)} trials are on disk" in again.output
    assert_whole(tmp_path)
    after = trial_files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert "harness reproduce" in again.output  # the leaderboard is there, and the report
    assert (store(tmp_path).root / "report.html").stat().st_size > 10_000


def test_killed_workers_cost_no_trial(tmp_path: Path) -> None:
    """What they had goes on from its checkpoint, in other processes, whether they worked or waited."""
    with started(command(tmp_path, "ray", "--workers", "2")) as process:
        wait_for(lambda: len(trial_files(tmp_path)) >= AFTER)
        victims = wait_for(lambda: both if len(both := workers(process.pid)) == 2 else None)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        wait_for(lambda: set(workers(process.pid)) - set(victims))
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        assert "raylet" not in output  # which would say at length what is mended already
    assert_whole(tmp_path)


@pytest.fixture(scope="module")
def undisturbed_pack(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the packed study comes to in peace."""
    store, _, _ = search(tmp_path_factory.mktemp("quiet") / "tiny", PACKED)
    return store


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_pack_goes_on_from_where_its_members_were_kept(
    blow: signal.Signals, undisturbed_pack: Store, tmp_path: Path
) -> None:
    places = ["--study", str(written(tmp_path, PACKED)), "--runs", str(tmp_path / "runs")]
    with started([HARNESS, "search", *places, "--runner", "inline"]) as process:
        wait_for(lambda: len(list(store(tmp_path).checkpoints.glob("*.pt"))) == 4)
        os.kill(process.pid, blow)
        process.communicate(timeout=120)
    kept = {path.stem: kept_epochs(path) for path in store(tmp_path).checkpoints.glob("*.pt")}
    assert len(kept) == 4
    goes_on, _, _ = search(store(tmp_path).root, PACKED)
    assert numbers(goes_on) == numbers(undisturbed_pack)
    for trial in goes_on.trials():
        if seconds := kept.get(trial.trial_id):
            assert [epoch.seconds for epoch in goes_on.epochs(trial)][: len(seconds)] == seconds  # they ran once


def kept_epochs(checkpoint: Path) -> list[float]:
    """The seconds of the epochs that a checkpoint holds."""
    kept = torch.load(io.BytesIO(checkpoint.read_bytes()[32:]))
    return [epoch["seconds"] for epoch in kept["progress"]["records"]]


def test_an_interrupted_search_stops_at_once_and_goes_on(tmp_path: Path) -> None:
    with started(command(tmp_path, "ray", "--workers", "1")) as process:
        wait_for(lambda: len(trial_files(tmp_path)) >= AFTER)
        below = workers(process.pid)
        began = time.monotonic()
        impatiently_interrupted(process)
        assert time.monotonic() - began < 10
        wait_for(lambda: not alive(below), seconds=60)
    before = trial_files(tmp_path)
    again = CliRunner().invoke(app, command(tmp_path, "inline")[1:])
    assert again.exit_code == 0, again.output
    assert_whole(tmp_path)
    after = trial_files(tmp_path)
    assert {name: after[name] for name in before} == before


def impatiently_interrupted(process: subprocess.Popen[str]) -> None:
    """Ctrl-C again and again, to the whole group, until it ends: one message, one exit code."""
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert output.count("Interrupted.") == 1
    assert "Every trial that finished is on disk; the same command continues." in output
    assert "Traceback" not in output


def test_an_interrupt_within_rays_start_is_told_like_any_other(tmp_path: Path) -> None:
    with started(command(tmp_path, "ray")) as process:
        scratch = Path(process.scratch)  # type: ignore[attr-defined]
        wait_for(lambda: list(scratch.glob("ray-*/driver.lock")))
        impatiently_interrupted(process)
        assert not list(scratch.glob("ray-*"))


@pytest.mark.parametrize("begun", ["raylet", "DashboardAgent"])
def test_a_scheduler_that_ends_a_job_within_rays_start_loses_nothing_either(begun: str, tmp_path: Path) -> None:
    """SIGTERM, to which Ray has an answer of its own."""
    with started(command(tmp_path, "ray")) as process:
        wait_for(lambda: any(begun in line for line in descendants(process.pid).values()))
        process.terminate()
        output, _ = process.communicate(timeout=120)
        assert (process.returncode, output.count("Interrupted.")) == (130, 1), output
        assert not list(Path(process.scratch).glob("ray-*"))  # type: ignore[attr-defined]


def test_what_a_killed_driver_left_of_ray_is_swept_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    from harness.search.ray_tune import _sweep

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("ray-dead", "ray-alive", "ray-foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "ray-dead" / "driver.lock").touch()
    with FileLock(tmp_path / "ray-alive" / "driver.lock"):
        _sweep()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ray-alive", "ray-foreign"]


def test_a_second_search_of_a_run_is_refused(tmp_path: Path) -> None:
    """This process holds the run, as a search does; another one comes."""
    with store(tmp_path).writing():
        second = finished(command(tmp_path, "inline"))
    assert second.returncode == 2
    assert "another search is writing" in second.stdout
    assert "Traceback" not in second.stdout
    assert trial_files(tmp_path) == {}


def test_a_clock_that_jumps_changes_no_number_and_no_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back by hours in the middle of a run, then ahead by years: times in records are for reading alone."""
    quiet, _, _ = search(tmp_path / "quiet" / "tiny")
    jumps = itertools.cycle((timedelta(hours=-5), timedelta(days=4000), timedelta()))
    for module in ("harness.train.account", "harness.store.parquet"):
        monkeypatch.setattr(f"{module}.now", lambda: datetime.now(UTC) + next(jumps))
    jumping, failed, _ = search(tmp_path / "jumping" / "tiny")
    assert not failed
    assert numbers(jumping) == numbers(quiet)
    assert all(trial.wall_seconds > 0 for trial in jumping.trials())
    _, _, said = search(tmp_path / "jumping" / "tiny")
    assert f"Continuing: {TRIALS} trials are on disk" in said
