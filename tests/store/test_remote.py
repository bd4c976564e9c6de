"""A run at a URL, by S3's own protocol: nothing that ended is there alone or here alone for long."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.store.parquet import Store
from harness.store.remote import Remote, StorageError, TakenError
from tests.conftest import FinishedRun
from tests.records import epochs_of, trial

QUICK = (0.01, 0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedMotoServer]:
    """An S3 server on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def url(server: ThreadedMotoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A fresh bucket there."""
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    bucket = f"b-{abs(hash(tmp_path))}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/runs"


@pytest.fixture(params=["s3", "file"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for one run, on S3 or in a folder."""
    if request.param == "file":
        return f"file://{tmp_path}/there/run"
    return f"{request.getfixturevalue('url')}/run"


def remote(url: str) -> Remote:
    return Remote(url, QUICK, patience=0.4)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}


def test_a_record_is_there_once_it_is_written_and_comes_back_elsewhere(anywhere: str, tmp_path: Path) -> None:
    here, record = Store(tmp_path / "a", remote(anywhere)), trial()
    with here.writing():
        here.write(record, epochs_of(record))
        elsewhere = tmp_path / "b"
        remote(anywhere).pull(elsewhere)
        assert names(elsewhere) == names(here.root) != set()
        assert Store(elsewhere).trials() == [record]


def test_what_a_broken_push_left_here_is_pushed_by_the_next_writer(anywhere: str, tmp_path: Path) -> None:
    record = trial()
    Store(tmp_path / "a").write(record, epochs_of(record))
    with Store(tmp_path / "a", remote(anywhere)).writing():
        pass
    with (again := Store(tmp_path / "b", remote(anywhere))).writing():
        assert again.trials() == [record]


def test_two_writers_of_one_run_are_refused_and_a_dead_ones_lease_runs_out(anywhere: str, tmp_path: Path) -> None:
    with remote(anywhere).leased(_folder(tmp_path / "a")):
        with (
            pytest.raises(TakenError, match="another search is writing"),
            remote(anywhere).leased(_folder(tmp_path / "b")),
        ):
            pass
        shutil.copytree(tmp_path / "a", tmp_path / "same")
    program = (
        "import os, sys; from pathlib import Path; from harness.store.remote import Remote\n"
        f"with Remote({anywhere!r}).leased(Path({str(_folder(tmp_path / 'c'))!r})): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    with remote(anywhere).leased(_folder(tmp_path / "b")):  # after the dead one's patience
        pass


def test_who_was_taken_over_pushes_nothing_more(anywhere: str, tmp_path: Path) -> None:
    first = remote(anywhere)
    path = _folder(tmp_path / "a") / "study.json"
    path.write_text("{}")
    with first.leased(tmp_path / "a"):
        first._create(first._at("lease/000002.json"), b"{}")  # as another one does that finds it dead
        for _ in range(100):
            try:
                first.push(tmp_path / "a", path)
            except TakenError:
                break
            time.sleep(0.02)
        else:
            pytest.fail("it goes on")


def test_a_storage_that_does_not_answer_is_told_and_the_records_are_kept(
    monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path
) -> None:
    here, record = Store(tmp_path / "a", remote(f"{url}/run")), trial()
    with here.writing():
        monkeypatch.setattr(
            here.remote,
            "_files",
            fsspec.filesystem(
                "s3",
                endpoint_url="http://127.0.0.1:9",
                skip_instance_cache=True,
                config_kwargs={"retries": {"max_attempts": 0}},
            ),
        )
        with pytest.raises(StorageError, match=r"does not answer .* the same command continues"):
            here.write(record, epochs_of(record))
    assert Store(tmp_path / "a").trials() == [record]


def told(*line: str) -> Result:
    return CliRunner().invoke(app, list(line))


def test_a_search_kept_on_s3_goes_on_from_there_and_is_read_from_there(
    finished: FinishedRun, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("harness.commands.places.COPIES", tmp_path / "copies")
    shutil.copytree(finished.runs, tmp_path / "first")
    line = ["search", "-s", str(finished.study), "--runner", "inline", "--storage", url, "--runs"]
    assert told(*line, str(tmp_path / "first")).exit_code == 0
    again = told(*line, str(tmp_path / "second"))  # another machine: nothing is trained again
    assert again.exit_code == 0, again.output
    assert f"Continuing: {len(finished.store.trials())} trials are on disk" in again.output
    assert names(tmp_path / "second" / "tiny") == names(finished.store.root)
    for command in (
        ["leaderboard"],
        ["status", "-s", "tiny"],
        ["report", "-s", "tiny", "--to", str(tmp_path / "page.html")],
    ):
        read = told(*command, "--runs", url)
        assert read.exit_code == 0, read.output


@pytest.mark.parametrize(("wrong", "what"), [("s3://no-such-bucket/x", "no-such-bucket"), ("nonsense://x", "nonsense")])
def test_a_wrong_storage_is_told(wrong: str, what: str, finished: FinishedRun, url: str, tmp_path: Path) -> None:
    refused = told(
        "search", "-s", str(finished.study), "--runner", "inline", "--storage", wrong, "--runs", str(tmp_path)
    )
    assert refused.exit_code == 3, refused.output
    assert what in refused.output.replace("\n", "")


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path
