"""What is compiled is kept for the next process where it can be, and is compiled anew where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = """
import numpy as np
from harness.models.kernels import _compiled

@_compiled("f4[::1]")
def doubled(numbers):
    for place in range(len(numbers)):
        numbers[place] *= 2

numbers = np.ones(3, np.float32)
doubled(numbers)
print(numbers.tolist(), sum(doubled.stats.cache_hits.values()))
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A module of its own with one kernel."""
    module = tmp_path / "small.py"
    module.write_text(SMALL)
    return module


def said_by(module: Path, **surroundings: str) -> str:
    usual = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    ran = subprocess.run(
        [sys.executable, str(module)], capture_output=True, text=True, check=True, env={**usual, **surroundings}
    )
    return ran.stdout.strip() + ran.stderr.strip()


def test_a_second_process_takes_up_what_the_first_has_compiled(small: Path) -> None:
    assert [said_by(small) for _ in range(2)] == ["[2.0, 2.0, 2.0] 0", "[2.0, 2.0, 2.0] 1"]


@pytest.mark.parametrize("which", [".nbi", ".nbc"])
def test_what_was_kept_and_is_damaged_is_compiled_anew(small: Path, which: str) -> None:
    said_by(small)
    (kept,) = (path for path in (small.parent / "__pycache__").iterdir() if path.suffix == which)
    kept.write_bytes(kept.read_bytes()[:-40])
    said = said_by(small)
    assert said.startswith("[2.0, 2.0, 2.0] 0")
    assert "doubled is compiled anew by every process" in said


def test_where_nothing_can_be_kept_every_process_compiles(small: Path, tmp_path: Path) -> None:
    (small.parent / "__pycache__").write_text("no folder")
    (tmp_path / "file").touch()
    nowhere = {"XDG_CACHE_HOME": str(tmp_path / "file"), "HOME": str(tmp_path / "file")}
    for _ in range(2):
        said = said_by(small, **nowhere)
        assert said.startswith("[2.0, 2.0, 2.0] 0")
        assert "NUMBA_CACHE_DIR names a folder to keep it in" in said
