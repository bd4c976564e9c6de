"""A first Ctrl-C loses nothing and a second one waits for nothing; the same command goes on with the same numbers."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.search.draining import GRACE
from harness.store.live import read_live
from harness.store.parquet import Store, now
from tests.faults.processes import HARNESS, started, wait_for
from tests.search.inline import numbers, search
from tests.studies import tiny, written

pytestmark = pytest.mark.xdist_group("interrupts and nodes")
SOON: dict[str, Any] = tiny(data__train=200, training__epochs=200, search={"trials": 1, "replicates": 1})
SOON["arms"], SOON["confirm"]["seeds"] = SOON["arms"][:1], [0]
SOON["pairs"][0]["teacher_training"] = {"epochs": 1}
LATE: dict[str, Any] = tiny(data__train=640, training={"epochs": 1, "batch_size": 2}, search={"trials": 1})
LATE["arms"] = LATE["arms"][:1]
LATE["pairs"][0]["students"].append({"name": "resnet", "depth": 110, "width": 2})
"""After a trial of some seconds comes one whose first epoch takes a minute."""
LONGEST = 40
"""Seconds for an end that takes 1.5 to 3.5 on a free machine, and takes a minute if it waits for the epoch."""


def command(folder: Path, study: dict[str, Any], runner: str) -> list[str]:
    """The command line of a search; with Ray a second worker waits, since nothing there can run beside another."""
    places = ["--study", str(written(folder, study)), "--runs", str(folder / "runs")]
    workers = {"inline": [], "ray": ["--workers", "2"]}[runner]
    return [HARNESS, "search", *places, "--runner", runner, *workers]


def is_training(store: Store, epochs: int) -> bool:
    """Whether a student came so far, by what its driver says."""
    live = read_live(store.root)
    return any(one.purpose != "teacher" and one.epoch >= epochs for one in (live.running if live else ()))


def began_a_while_ago(store: Store) -> bool:
    """Whether what runs had time to begin its first epoch."""
    live = read_live(store.root)
    return any((now() - one.started_at).total_seconds() > 3 for one in (live.running if live else ()))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the first study comes to without an interrupt."""
    store, *_ = search(tmp_path_factory.mktemp("undisturbed") / "tiny", SOON)
    return store


@pytest.mark.parametrize("runner", ["inline", "ray"])
def test_what_an_interrupt_finds_running_goes_on_from_its_last_epoch(
    runner: str, undisturbed: Store, tmp_path: Path
) -> None:
    line, store = command(tmp_path, SOON, runner), Store(tmp_path / "runs" / "tiny")
    with started(line) as process:
        wait_for(lambda: is_training(store, 1))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LONGEST)
    assert (process.returncode, output.count("Interrupted."), "Traceback" in output) == (130, 1, False), output
    (checkpoint,) = store.root.glob("checkpoints/*.pt")
    kept = torch.load(io.BytesIO(checkpoint.read_bytes()[32:]))["progress"]
    search(store.root, SOON)
    (resumed,) = [trial for trial in store.trials() if trial.trial_id == kept["trial_id"]]
    taken = [epoch.seconds for epoch in store.epochs(resumed)]
    assert taken[: len(kept["records"])] == [epoch["seconds"] for epoch in kept["records"]]  # they ran once
    assert numbers(store) == numbers(undisturbed)


@pytest.mark.parametrize(("interrupts", "runner"), [(1, "inline"), (2, "inline"), (1, "ray")])
def test_an_epoch_is_waited_for_until_the_grace_ends_or_a_second_interrupt_comes(
    interrupts: int, runner: str, tmp_path: Path
) -> None:
    line, store = command(tmp_path, LATE, runner), Store(tmp_path / "runs" / "tiny")
    with started(line) as process:
        wait_for(lambda: store.trials() and is_training(store, 0) and began_a_while_ago(store))
        began = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        if interrupts == 2:
            os.kill(process.pid, signal.SIGINT)  # another signal, since two of a kind may count as one
        output, _ = process.communicate(timeout=LONGEST)
        took = time.monotonic() - began
    assert process.returncode == 130, output
    assert "resnet110-w2" not in {trial.student for trial in store.trials()}  # the epoch did not come to its end
    assert not list(store.root.glob("checkpoints/*.pt"))
    assert "the same command continues" in output
    if runner == "inline":  # Ray's own end takes a second or two
        assert (took >= GRACE) == (interrupts == 1)
