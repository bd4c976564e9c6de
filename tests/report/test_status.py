"""The status says what a run does and came to, from its records and its live file, and disturbs nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from harness.report.status import Status, as_json, read_status, shown
from harness.source import MissingError
from harness.store.live import SILENCE, Live, RunningTrial, boot, read_live, write_live
from harness.store.parquet import Store, now
from tests.records import START, STUDY, confirmations, failed, stopped, trial, write_run

RUNNING = RunningTrial("abc", "[red]ksan", "resnet8-w4", "search", 10_000, 7, 20, START)


def live(**changes: object) -> Live:
    """What a driver of this moment would say."""
    base = Live("running", 40, False, 90.0, (RUNNING,), now(), 0.0, "another boot")
    return replace(base, **changes)  # type: ignore[arg-type]


def text(status: Status, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(shown(status))
    return console.export_text()


def test_what_ended_is_counted_by_how_it_ended(tmp_path: Path) -> None:
    trials = [trial(seed=0), trial(seed=1), stopped(trial(seed=2)), failed(trial(seed=3))]
    status = read_status(Store(write_run(tmp_path, trials)))
    assert status.counts == {"completed": 2, "stopped": 1, "diverged": 0, "failed": 1}
    assert (status.total, status.seconds_left) == (None, None)
    assert "4 trials ended: 2 completed, 1 stopped, 1 failed" in text(status)


def test_a_driver_that_holds_the_run_runs_and_one_that_is_gone_does_not(tmp_path: Path) -> None:
    write_run(tmp_path, [trial()])
    store = Store(tmp_path)
    with store.writing():
        write_live(tmp_path, live(boot=boot()))
        status = read_status(Store(tmp_path))
        assert status.state == "running"
        assert "1 of 40 trials ended" in text(status)
        assert "about 90.0 s left" in text(status)
        assert "[red]ksan" in text(status)
    status = read_status(Store(tmp_path))
    assert (status.state, status.seconds_left) == ("stopped", None)
    assert "was running" in text(status)
    write_live(tmp_path, live(boot=boot(), state="finished", running=()))
    assert read_status(Store(tmp_path)).state == "finished"


def test_a_driver_that_was_killed_is_told_from_one_that_lives(tmp_path: Path) -> None:
    write_run(tmp_path, [trial()])
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from tests.report.test_status import live, boot, Store, write_live\n"
        "root = Path(sys.argv[1])\n"
        "with Store(root).writing():\n"
        "    write_live(root, live(boot=boot(), monotonic=time.monotonic())); print('up', flush=True); input()\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    driver.stdout.readline()
    assert read_status(Store(tmp_path)).state == "running"
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    assert read_status(Store(tmp_path)).state == "stopped"


@pytest.mark.parametrize(("ago", "state"), [(1.0, "running"), (SILENCE + 1, "stopped"), (-9e6, "running")])
def test_a_driver_elsewhere_is_known_by_its_word_and_a_clock_set_back_is_no_silence(
    tmp_path: Path, ago: float, state: str
) -> None:
    write_run(tmp_path, [trial()])
    write_live(tmp_path, live(updated_at=now() - timedelta(seconds=ago)))
    status = read_status(Store(tmp_path))
    assert status.state == state
    assert status.silent_for is not None
    assert status.silent_for >= 0


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"state": "dancing"}', b"\xff\x00"])
def test_a_broken_live_file_leaves_the_records(tmp_path: Path, content: bytes) -> None:
    write_run(tmp_path, [trial(), *confirmations({100: 0.9, 101: 0.92})])
    (tmp_path / "live.json").write_bytes(content)
    assert read_live(tmp_path) is None
    status = read_status(Store(tmp_path))
    assert (status.state, status.done, len(status.front)) == ("stopped", 3, 1)
    assert status.front[0].evidence == "test"


def test_a_run_of_a_teacher_alone_has_a_status(tmp_path: Path) -> None:
    alone = trial(purpose="teacher", arm="teacher", teacher=None, proposal=None)
    status = read_status(Store(write_run(tmp_path, [alone])))
    assert (status.done, status.best, status.front) == (1, (), ())


def test_a_look_changes_no_file(tmp_path: Path) -> None:
    write_run(tmp_path, [trial()])
    (tmp_path / "trials" / "bad-1.parquet").write_bytes(b"PAR1")
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")}
    status = read_status(Store(tmp_path))
    assert [Path(path).name for path in status.damaged] == ["bad-1.parquet"]
    assert "bad-1.parquet" in text(status, 200)
    after = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")}
    assert before == after


def test_a_second_look_reads_only_what_is_new(tmp_path: Path) -> None:
    store = Store(write_run(tmp_path, [trial(seed=0)]))
    assert read_status(store).done == 1
    kept = next((tmp_path / "trials").iterdir())
    kept.write_bytes(b"not read again")
    Store(tmp_path).write(trial(seed=1), [])
    assert read_status(store).done == 2


def test_it_folds_at_a_narrow_terminal_and_is_json_for_machines(tmp_path: Path) -> None:
    write_run(tmp_path, [trial(arm=arm) for arm in ("kd", "ksan")], {**STUDY, "search": {"budget": {"epochs": 40}}})
    write_live(tmp_path, live(total_is_bound=True))
    status = read_status(Store(tmp_path))
    assert all(len(line) <= 30 for line in text(status, 30).splitlines())
    content = json.loads(json.dumps(as_json(status)))
    assert (content["done"], content["total"], content["running"][0]["epoch"]) == (2, 40, 7)
    assert {"name": "epochs, most of any search", "used": 20.0, "limit": 40} in content["budgets"]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, [])
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(MissingError, match=r"study\.json"):
        read_status(Store(tmp_path))


def test_it_loads_neither_torch_nor_ray() -> None:
    heavy = "{'torch', 'numba', 'ray', 'optuna', 'plotly'}"
    code = f"import sys, harness.report.status; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
