"""A first Ctrl-C loses nothing and a second one waits for nothing; the same command goes on with the same numbers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from harness.store.parquet import Store
from tests.faults.processes import HARNESS, command, finished, started, wait_for
from tests.search.inline import numbers
from tests.studies import tiny, written


def slow(folder: Path, epochs: int) -> list[str]:
    """A search of one arm whose trials take some seconds."""
    content = tiny(data__train=400, training__epochs=epochs, search={"trials": 1, "replicates": 2, "sampler": "random"})
    content["arms"] = content["arms"][:1]
    study = written(folder, content)
    return [HARNESS, "search", "--study", str(study), "--runs", str(folder / "runs")]


@pytest.mark.parametrize("runner", ["inline", "ray"])
def test_a_first_interrupt_keeps_what_runs_at_its_last_epoch(runner: str, tmp_path: Path) -> None:
    line = [*slow(tmp_path, epochs=60), "--runner", runner, "--workers", "1"]
    store = Store(tmp_path / "runs" / "tiny")
    with started(line) as process:
        wait_for(store.trials)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        output, _ = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
    assert process.returncode == 130, output
    assert output.count("Interrupted.") == 1
    assert "the same command continues" in output
    assert "Traceback" not in output
    before = store.trials()
    print(output, list(store.root.glob("checkpoints/*")))
    again = finished(line)
    assert again.returncode == 0, again.stdout
