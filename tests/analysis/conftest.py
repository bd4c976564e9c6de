"""The sample study, written once for all tests of the analysis."""

from __future__ import annotations

import pytest

from harness.store.query import Run, read_run
from tests.records import sample_trials, write_run


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of the sample study, read back."""
    return read_run(write_run(tmp_path_factory.mktemp("sample"), sample_trials()))
