"""Ray's processes run the trials that one process would run, to the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from harness.search import ray_tune
from harness.search.agenda import Agenda
from harness.search.crew import Crew
from harness.search.ray_tune import RayRunner, _End, _Orders, _Source
from harness.search.workbench import WorkerSettings
from harness.source import MissingError
from harness.store.parquet import Store
from harness.study.plan import plan
from harness.train.account import Places
from tests.conftest import FinishedRun
from tests.faults.processes import HARNESS
from tests.faults.processes import finished as ended
from tests.search.inline import numbers
from tests.studies import study

pytestmark = pytest.mark.xdist_group("kills")  # no third cluster beside two of tests/faults


def test_ray_and_inline_come_to_the_same_numbers_and_weights(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are named from where the command was given: workers stay there, where Tune would send each to its own.
    Nothing is left of Tune's loggers, which would write five files a trial.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished.study, "tiny.yaml")
    places = ["--study", "tiny.yaml", "--runs", "mine", "--data-root", "data"]
    by_ray = ended([HARNESS, "search", *places, "--runner", "ray", "--workers", "2"])
    assert by_ray.returncode == 0, by_ray.stdout
    store = Store(Path("mine/tiny"))
    assert numbers(store) == numbers(finished.store)
    assert {trial.error_class for trial in store.trials()} == {None}
    assert {path.name for path in store.students.iterdir()} == {path.name for path in finished.store.students.iterdir()}
    there, known = ({path.name for path in root.iterdir()} for root in (store.root, finished.store.root))
    assert there - {"wall_seconds.txt"} == known - {"wall_seconds.txt"}
    assert {path.name for path in tmp_path.iterdir()} - {"data"} == {"tiny.yaml", "mine"}


def test_what_tune_is_told_of_workers(tmp_path: Path) -> None:
    """Without a limit Tune asks for workers for ever."""
    settings = WorkerSettings(tmp_path, tmp_path, Places(tmp_path, tmp_path), "cpu", 1, 0)
    crew = Crew(Agenda(plan(study()), Store(tmp_path)))
    crew.agenda.workers = 3
    told = RayRunner(settings, 3, 0.0)._tuner(crew, tmp_path, None)._local_tuner._tune_config
    assert (told.num_samples, told.max_concurrent_trials) == (-1, 3)


def test_a_ray_that_does_not_start_is_told_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def times_out(**options: object) -> None:
        raise Exception("The current node timed out during startup.\nMore of it.")  # as Ray raises it

    monkeypatch.setattr(ray, "init", times_out)
    settings = WorkerSettings(tmp_path, tmp_path, Places(tmp_path, tmp_path), "cpu", 1, 0)
    with pytest.raises(MissingError, match=r"\(The current node timed out during startup\.\).*--runner inline"):
        RayRunner(settings, 1, 0.0).run(Agenda(plan(study()), Store(tmp_path)))


def test_a_disk_that_is_full_when_the_time_is_noted_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew, full = Crew(Agenda(plan(study()), Store(tmp_path))), OSError(28, "No space left on device")

    def tick() -> None:
        raise full

    monkeypatch.setattr(crew.agenda.meter, "tick", tick)
    _Orders(_Source(crew, None)).on_step_begin(1, [])
    assert crew.stopped_by is full


@pytest.mark.parametrize("is_over", [True, False])
def test_workers_are_recalled_once_when_the_run_is_over(
    is_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it ends: Tune's own word waits for the step that a worker is in, and Tune does not wait long."""
    crew, board = Crew(Agenda(plan(study()), Store(tmp_path))), list[str]()
    monkeypatch.setattr(ray_tune, "_place", str)
    monkeypatch.setattr(ray_tune, "_internal_kv_put", lambda place, said: board.append(place))
    crew.stopped_by = OSError("disk full") if is_over else None
    end = _End(_Source(crew, None))
    assert [end.stop_all(), end.stop_all()] == [is_over, is_over]
    assert board == ["drain"] * is_over


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("Failure # 1 (occurred at …)\nTraceback …\n  raise\nRuntimeError: no device\n\n", "RuntimeError: no device"),
        ("Failure # 1 (occurred at …)\nThe actor died.", "The actor died."),
        ("The actor died …\n\tclass_name: _Worker\n\nOut of memory.\nIt never ran.", "Out of memory. It never ran."),
        ("Out of memory.\nTop 10\n" + "1\tpython\n" * 100, "Out of memory. Top 10" + " 1 python" * 30 + " 1 …"),
        ("  indented to the end", "indented to the end"),
        ("", ""),
    ],
)
def test_what_a_worker_died_of_is_what_tune_wrote_last(tmp_path: Path, written: str, cause: str) -> None:
    crew = Crew(Agenda(plan(study()), Store(tmp_path)))
    (tmp_path / "error.txt").write_text(written, encoding="utf-8")
    orders = _Orders(_Source(crew, None))
    orders.on_trial_error(1, [], SimpleNamespace(error_file=None))
    assert crew.cause == ""
    orders.on_trial_error(1, [], SimpleNamespace(error_file=str(tmp_path / "error.txt")))
    assert crew.cause == cause
