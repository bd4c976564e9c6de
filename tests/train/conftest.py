"""One workshop for all tests of training: its data are loaded and its teacher is trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.train.workshop import Workshop
from tests.train.small import CPU


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the workshop's teachers."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def workshop(cache: Path) -> Workshop:
    """A workshop that no test damages."""
    return Workshop(Path("unused"), cache, CPU)
