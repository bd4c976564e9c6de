"""The sample study, written once for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.records import sample_trials, write_run


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the sample study."""
    return write_run(tmp_path_factory.mktemp("sample"), sample_trials())
