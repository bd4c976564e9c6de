"""Files that are torn, places that cannot be written: a message and an exit code, never a traceback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.store.parquet import Store
from tests.conftest import FinishedRun
from tests.search.inline import files, numbers


def search(study: Path, runs: Path) -> tuple[int, str]:
    """The exit code of a search in this process, and all that it said."""
    told = CliRunner().invoke(app, ["search", "-s", str(study), "--runs", str(runs), "--runner", "inline"])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    assert "Traceback" not in told.output
    return told.exit_code, told.output


@pytest.fixture
def copy(finished: FinishedRun, tmp_path: Path) -> Store:
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    return Store(tmp_path / "runs" / "tiny")


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
@pytest.mark.parametrize("purpose", ["teacher", "search", "confirmation"])
def test_a_torn_trial_is_set_aside_and_run_again(keep: float, purpose: str, copy: Store, finished: FinishedRun) -> None:
    torn = next(trial for trial in copy.trials() if trial.purpose == purpose)
    path = copy.root / "trials" / f"{torn.trial_id}-1.parquet"
    content = path.read_bytes()[: int(path.stat().st_size * keep)]
    path.write_bytes(content)
    before = files(copy)
    code, said = search(finished.study, copy.root.parent)
    assert code == 0
    assert f"{path.name}.damaged could not be read; it was set aside" in said.replace("\n", "")
    assert path.with_name(path.name + ".damaged").read_bytes() == content
    assert numbers(copy) == numbers(finished.store)
    changed = {name for name, written in files(copy).items() if before[name] != written}
    assert changed == {path.name}


def test_torn_epochs_are_set_aside_and_their_trial_is_run_again(copy: Store, finished: FinishedRun) -> None:
    torn = copy.trials()[3]
    path = copy.root / "epochs" / f"{torn.trial_id}-1.parquet"
    path.write_bytes(path.read_bytes()[:100])
    code, said = search(finished.study, copy.root.parent)
    assert code == 0
    assert f"{path.name}.damaged could not be read" in said.replace("\n", "")
    assert numbers(copy) == numbers(finished.store)
    assert len(copy.epochs(torn)) == 2


@pytest.mark.parametrize("command", ["report", "leaderboard"])
def test_torn_files_are_named_by_what_only_reads(command: str, copy: Store) -> None:
    path = next((copy.root / "trials").glob("*.parquet"))
    path.write_bytes(b"torn")
    told = CliRunner().invoke(app, [command, "--study", "tiny", "--runs", str(copy.root.parent)])
    assert told.exit_code == 3
    assert f"{path.name}: is damaged" in told.output.replace("\n", "")
    assert path.read_bytes() == b"torn"  # whoever reads sets nothing aside


@pytest.mark.parametrize("place", ["/sys/runs", "a file/runs"])
def test_a_place_that_cannot_be_written_is_named(place: str, finished: FinishedRun, tmp_path: Path) -> None:
    """Not even root may make a folder in /sys."""
    (tmp_path / "a file").write_text("")
    code, said = search(finished.study, tmp_path / place)
    assert code == 3
    assert Path(place).parent.name in said.replace("\n", "")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_stops_the_search_which_goes_on_once_there_is_room(small_disk: Path, finished: FinishedRun) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(4096 * 30))
    code, said = search(finished.study, small_disk)
    assert code == 3
    assert "No space left on device" in said
    assert f"{small_disk}/" in said.replace("\n", "")
    assert "free some space, then the same command continues" in said.replace("\n", " ")
    filler.unlink()
    run = Store(small_disk / "tiny")
    assert not any(trial.status == "failed" for trial in run.attempts())  # it is no trial's fault, so no search hears
    before = {trial.trial_id for trial in run.trials() if trial.status == "completed"}
    shutil.copytree(run.root, (roomy := finished.study.parent / "roomy") / "tiny", dirs_exist_ok=True)
    code, _ = search(finished.study, roomy)
    assert code == 0
    assert before < set(numbers(finished.store))
    assert numbers(Store(roomy / "tiny")) == numbers(finished.store)
