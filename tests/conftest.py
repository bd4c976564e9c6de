"""What several rooms of the tests share: one tiny study, run once by the command line, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from harness.store.parquet import Store
from tests.studies import written


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in a hook of its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps each file in one of pytest's processes, so that what it prepares is prepared once. Those that start Ray say
    that they go together, two lots of them, so that no more than two clusters run at a time; they take longest and come
    first."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As trials run: two threads of one process are several times slower than one on a busy machine."""
    torch.set_num_threads(1)


@dataclass(frozen=True)
class FinishedRun:
    """A run that the tests read and do not change; `output` is what the search printed."""

    runs: Path
    study: Path
    output: str

    @property
    def store(self) -> Store:
        """Its records."""
        return Store(self.runs / self.study.stem)


@pytest.fixture(scope="session")
def published(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study, published; tests that change it change a copy."""
    from harness.report.publishing import publish

    reports = tmp_path_factory.mktemp("published") / "reports"
    publish(finished.store.root, reports, "2026-01-05")
    return reports


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The tiny study, finished by `harness search --runner inline`."""
    from typer.testing import CliRunner

    from harness.cli import app

    folder = tmp_path_factory.mktemp("finished")
    path = written(folder)
    told = CliRunner().invoke(app, ["search", "-s", str(path), "--runs", str(folder / "runs"), "--runner", "inline"])
    assert told.exit_code == 0, told.output
    return FinishedRun(folder / "runs", path, told.output)
