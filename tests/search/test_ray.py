"""Ray's processes run the trials that one process would run, to the same bits."""

from __future__ import annotations

from pathlib import Path

from harness.store.parquet import Store
from tests.conftest import FinishedRun
from tests.faults.processes import HARNESS
from tests.faults.processes import finished as ended
from tests.search.inline import numbers


def test_ray_and_inline_come_to_the_same_numbers_and_weights(finished: FinishedRun, tmp_path: Path) -> None:
    places = ["--study", str(finished.study), "--runs", str(tmp_path)]
    by_ray = ended([HARNESS, "search", *places, "--runner", "ray", "--workers", "2"])
    assert by_ray.returncode == 0, by_ray.stdout
    store = Store(tmp_path / "tiny")
    assert numbers(store) == numbers(finished.store)
    assert {trial.error_class for trial in store.trials()} == {None}
    assert {path.name for path in store.students.iterdir()} == {path.name for path in finished.store.students.iterdir()}
