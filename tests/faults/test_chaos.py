"""Drivers, workers and a second node are killed at random, and nothing of it shows in the records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("interrupts and nodes")


def test_random_kills_lose_double_and_change_nothing() -> None:
    line = [sys.executable, "-m", "benchmarks.chaos", "--quick", "--kills", "3", "--seed", "9"]
    done = subprocess.run(line, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "chaos kills=3 lost=0 doubled=0 differing=0"
