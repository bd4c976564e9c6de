"""What one step's tensors give back serves the next step's."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
from harness.train.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    kept = [b"x" * (2**22 + number) for number in range(8)]

keep_freed_memory()
step(), step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_that_was_freed_is_not_faulted_in_again() -> None:
    """20 rounds of 32 MiB are 160,000 pages of 4 KiB where each is given back."""
    told = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    assert int(told.stdout) < 16_000
