"""One study on two Ray nodes that share nothing but the network: what reaches them, and what a killed one costs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray._private import services
from ray._raylet import GcsClient
from typer.testing import CliRunner

from harness.cli import app
from harness.store.parquet import Store
from tests.faults.processes import HARNESS, alive, command, descendants, started, wait_for
from tests.search.inline import numbers, search
from tests.studies import tiny, written

pytestmark = pytest.mark.xdist_group("interrupts and nodes")
RAY = str(Path(sys.executable).parent / "ray")
STUDY = tiny(data__train=300, training__epochs=8, search={"trials": 4, "batch": 4, "sampler": "random"})
TRIALS = 1 + 2 * (4 + 2)
LONGEST = 180
"""Seconds for all that a node or a search may take on a busy machine."""


def node(home: Path, *more: str) -> subprocess.Popen[bytes]:
    """A Ray node with a home, and so a cache, of its own."""
    home.mkdir()
    line = [RAY, "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1", *more]
    environment = {**os.environ, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(line, stdout=quiet, stderr=quiet, start_new_session=True, env=environment)


def hold(node: subprocess.Popen[bytes]) -> set[int]:
    """Lets a node's workers stand still; their processes."""
    held = {pid for pid, line in descendants(node.pid).items() if line.startswith("ray::_Worker")}
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    return held


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a node's every process."""
    for pid in [process.pid, *descendants(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def two_nodes() -> Iterator[tuple[str, dict[Path, subprocess.Popen[bytes]]]]:
    """The address of a cluster, and its nodes by their homes, the head first."""
    scratch = Path(tempfile.mkdtemp(prefix="t"))  # short: Ray puts sockets in it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ["--head", f"--port={port}", f"--temp-dir={scratch}/r", "--include-dashboard=false"]
    nodes = {scratch / "a": node(scratch / "a", *own)}
    try:
        wait_for(lambda: not socket.socket().connect_ex(("127.0.0.1", port)), LONGEST)
        nodes[scratch / "b"] = node(scratch / "b", f"--address=127.0.0.1:{port}")
        client = GcsClient(address=f"127.0.0.1:{port}")
        wait_for(lambda: len(client.get_all_node_info()) == 2, LONGEST)
        yield f"127.0.0.1:{port}", nodes
    finally:
        for process in nodes.values():
            if process.poll() is None:
                kill(process)
        shutil.rmtree(scratch, ignore_errors=True)


def test_a_node_that_is_killed_half_way_costs_no_trial(
    two_nodes: tuple[str, dict[Path, subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    address, ((first, head), (second, victim)) = two_nodes[0], two_nodes[1].items()
    study = ["--study", str(written(tmp_path, STUDY)), "--runs", str(tmp_path / "runs")]
    line = [HARNESS, "search", *study, "--workers", "2", "--address", address, "--node-folder", "~/n"]
    store = Store(tmp_path / "runs" / "tiny")
    runs = (tmp_path / "runs").relative_to("/")
    teachers = runs / "cache" / "cpu-1" / "teachers"
    with started(line) as process:
        held = set[int]()
        while not (second / "n").exists():  # the first node waits for the second to leave something there
            held |= hold(head)
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        for pid in held:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: len(store.trials()) >= TRIALS / 3, LONGEST)
        assert len(store.trials()) < TRIALS
        kill(victim)
        output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    assert alive([head.pid])  # a cluster is not ours to stop
    assert not list(store.root.glob("checkpoints/*"))
    notes = [(folder / teachers).glob("*.json") for folder in (Path("/"), first / "n")]
    (driver,), (there,) = ([path.read_bytes() for path in found] for found in notes)
    assert driver == there  # the same training, to its seconds
    undisturbed, *_ = search(tmp_path / "undisturbed" / "tiny", STUDY)
    assert len(undisturbed.trials()) == TRIALS
    assert numbers(store) == numbers(undisturbed)
    assert {path.name for path in store.students.iterdir()} == {path.name for path in undisturbed.students.iterdir()}


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9"])
def test_a_cluster_that_does_not_answer_is_told(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, to which no other test's cluster is shown."""
    monkeypatch.setattr(services.psutil, "process_iter", lambda *_: iter(()))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    told = CliRunner().invoke(app, command(tmp_path, "ray", "--address", address)[1:])
    assert isinstance(told.exception, SystemExit), told.exception
    assert told.exit_code == 3, told.output
    assert f"no Ray cluster could be joined at {address}" in told.output
    assert "ray start --head" in told.output
