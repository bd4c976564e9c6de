"""From a run to a row that verifies itself, by the commands that the README names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.record import TrialRecord
from harness.search.verification import Again, score_again
from harness.source import MissingError
from harness.store.parquet import Store
from harness.store.published import write_records
from harness.train.account import Account
from tests.conftest import FinishedRun
from tests.search.made_up import broken
from tests.tampering import attempts, epochs, first_confirmed, raised, rewritten, sealed_anew
from tests.test_cli import harness

ROOT = Path(__file__).parent.parent.parent

WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "ray", "optuna", "sklearn", "safetensors"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from harness.cli import main
main()
"""


def without_torch(*line: object) -> tuple[int, str]:
    """A command where neither torch nor ray can be imported, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "250"}
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, line)]
    told = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=ROOT)
    return told.returncode, told.stdout + told.stderr


@pytest.fixture
def reports(published: Path, tmp_path: Path) -> Path:
    """A copy of the published record."""
    return Path(shutil.copytree(published, tmp_path / "reports"))


def test_a_run_is_published_and_verified_without_torch(finished: FinishedRun, tmp_path: Path) -> None:
    code, said = without_torch("publish", "-s", "tiny", "--runs", finished.runs, "--reports", tmp_path)
    assert code == 0, said
    assert re.search(r"published: .*tiny \(\d+\.\d MiB, 4 students\)", said)
    code, said = without_torch("verify", "--level", "0", "--reports", tmp_path)
    assert code == 0, said
    assert "1 published, 2 rows; every file, record and page is as it was published" in said
    (tmp_path / "tiny" / "study.yaml").write_text("a: 1")
    code, said = without_torch("verify", "--reports", tmp_path)
    assert code == 1
    assert "study.yaml: was changed since it was published" in said
    assert "Traceback" not in said


def test_higher_levels_say_that_they_need_torch(published: Path) -> None:
    code, said = without_torch("verify", "--level", "1", "--reports", published)
    assert code == 3
    assert "level 1 computes, and torch is not installed here; level 0 needs none" in said


def test_level_1_scores_every_published_student_exactly_and_the_row_says_so(reports: Path) -> None:
    code, said = harness("verify", "--level", "1", "--reports", reports)
    assert code == 0, said
    assert said.count("level 1: holds, seeds 0, 1, drift 0.00 points: scores again exactly") == 2
    page = (reports / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"\| level 1 \(2 of 2\), \d{4}-\d\d-\d\d, drift 0\.00 \|", page)) == 2
    rows = json.loads((reports / "leaderboard.json").read_text(encoding="utf-8"))
    assert [(row["verified"]["level"], row["verified"]["drift"]) for row in rows] == [(1, 0.0)] * 2
    assert harness("verify", "--reports", reports)[0] == 0  # what was noted is part of a record without fault


def test_level_2_accepts_an_honest_row(reports: Path) -> None:
    row = first_confirmed(attempts(reports / "tiny")).config_id
    code, said = harness("verify", "--row", row[:8], "--level", "2", "--seeds", "1", "--reports", reports)
    assert code == 0, said
    assert re.search(r"level 2: holds, seed [01], drift 0\.00 points: the same weights, bit for bit", said)
    assert said.count("level 2") == 1
    assert re.search(
        r"\| level 2 \(1 of 2\), \d{4}-\d\d-\d\d, drift 0\.00 \|",
        (reports / "README.md").read_text(encoding="utf-8"),
    )


@pytest.mark.parametrize("ships_students", [True, False])
def test_an_accuracy_raised_by_a_point_and_sealed_anew_passes_0_and_is_refused(
    reports: Path, ships_students: bool
) -> None:
    folder = reports / "tiny"
    row = first_confirmed(attempts(folder)).config_id
    rewritten(folder, lambda trials: raised(trials, row))
    if not ships_students:
        shutil.rmtree(folder / "students")
    shutil.copyfile(_report_of(folder), folder / "report.html")
    sealed_anew(folder)
    assert harness("verify", "--reports", reports)[0] == 0
    code, said = harness("verify", "--row", row, "--level", "2", "--seeds", "1", "--reports", reports)
    assert code == 1
    level = 1 if ships_students else 2
    assert re.search(
        rf"level {level}: REFUSED, seeds? [01](, 1)?, drift −1\.00 points: seed [01]: 0\.\d+ is claimed and", said
    )
    assert "REFUSED at level" in (reports / "README.md").read_text(encoding="utf-8")


def test_an_accuracy_on_validation_that_is_not_the_students_passes_0_and_is_refused(reports: Path) -> None:
    """By it the search chose, and the record says how much it flattered."""
    folder = reports / "tiny"
    one = first_confirmed(attempts(folder))
    other = (round((one.validation_accuracy or 0) * one.validation_images) + 1) / one.validation_images
    changed = [replace(t, validation_accuracy=other) if t == one else t for t in attempts(folder)]
    ends = [
        replace(epoch, accuracy=other) if epoch.trial_id == one.trial_id and epoch.accuracy is not None else epoch
        for epoch in epochs(folder)
    ]
    write_records(folder, changed, ends)
    shutil.copyfile(_report_of(folder), folder / "report.html")
    sealed_anew(folder)
    assert harness("verify", "--reports", reports)[0] == 0
    code, said = harness("verify", "--row", one.config_id, "--level", "1", "--reports", reports)
    assert code == 1
    assert re.search(rf"REFUSED, .*: on validation, seed {one.seed}: {other:.4f} is claimed and", said)


def test_what_decides_nothing_is_said_and_not_noted(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere other weights are another draw, and two of them tell nothing of a row of two."""

    def elsewhere(record: TrialRecord, *_: Any) -> Again:
        fingerprint = record.provenance.data_fingerprint if record.provenance else ""
        return Again((record.test_accuracy or 0) + 0.002 * (1 + record.seed), False, False, fingerprint)

    monkeypatch.setattr("harness.commands.verifying.train_anew", elsewhere)
    row = first_confirmed(attempts(reports / "tiny")).config_id
    code, said = harness("verify", "--row", row, "--level", "2", "--reports", reports)
    assert (code, "level 2: undecided, seeds 0, 1: means differ by" in said) == (1, True), said
    assert "level 2" not in (reports / "README.md").read_text(encoding="utf-8").partition("# Leaderboard")[2]


@pytest.mark.parametrize("field", ["params", "macs", "test_images"])
def test_a_size_that_is_not_the_students_passes_0_and_is_refused(reports: Path, field: str) -> None:
    """Nothing at level 0 knows how large a network is; the row would stand on the front."""
    folder = reports / "tiny"
    row = first_confirmed(attempts(folder)).config_id
    old = first_confirmed(attempts(folder))
    value = getattr(old, field) * 2
    changed = [replace(t, **{field: value}) if t.config_id == row else t for t in attempts(folder)]
    rewritten(folder, lambda trials: changed)
    shutil.copyfile(_report_of(folder), folder / "report.html")
    sealed_anew(folder)
    code, said = harness("verify", "--row", row, "--level", "1", "--reports", reports)
    assert code == 1
    assert re.search(rf"REFUSED, .*: seed 0: {field.replace('_', ' ')} is {value} in the record, not", said)


def test_what_was_verified_before_a_row_that_cannot_be_is_on_the_pages(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def gone(record: TrialRecord, *rest: Any) -> Again:
        seen.append(record.config_id)
        if len(set(seen)) > 1:
            raise MissingError("the data are gone")
        return score_again(record, *rest)

    monkeypatch.setattr("harness.commands.verifying.score_again", gone)
    code, said = harness("verify", "--level", "1", "--reports", reports)
    assert (code, "the data are gone" in said) == (3, True)
    assert "level 1" in (reports / "README.md").read_text(encoding="utf-8")
    assert harness("verify", "--reports", reports)[0] == 0


def test_what_cannot_be_trained_here_is_nobodys_refusal(reports: Path, tmp_path: Path) -> None:
    def failed(assignments: Any, *rest: Any) -> Any:
        yield Account(broken(assignments[0], OSError("no such device")), ())

    row = first_confirmed(attempts(reports / "tiny")).config_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.search.reproduce.carry_out_pack", failed)
        code, said = harness("verify", "--row", row, "--level", "2", "--seeds", "1", "--reports", reports)
    assert (code, "could not be trained here: OSError: no such device" in said) == (3, True)
    assert "REFUSED" not in (reports / "README.md").read_text(encoding="utf-8")


def test_a_folder_that_is_not_there_is_not_verified(tmp_path: Path) -> None:
    code, said = harness("verify", "--reports", tmp_path / "typo")
    assert (code, "is no folder" in said) == (3, True)


def _report_of(folder: Path) -> Path:
    """The report that the records in the folder give."""
    from harness.report.page import write_report

    return write_report(folder, folder.parent / "forged.html")


def test_a_swapped_student_that_was_sealed_anew_is_named(reports: Path) -> None:
    one, other = sorted((reports / "tiny" / "students").glob("*"))[:2]
    shutil.copyfile(one, other)
    sealed_anew(reports / "tiny")
    code, said = harness("verify", "--reports", reports)
    assert code == 1
    assert f"students/{other.name} holds other weights than trial {other.stem}" in said


@pytest.mark.parametrize(
    ("row", "code", "told"),
    [("ffffffff", 3, "no published row ffffffff"), ("ab", 2, "ab is too short to name a row")],
)
def test_what_names_no_row_is_told(row: str, code: int, told: str, published: Path) -> None:
    assert harness("verify", "--row", row, "--reports", published)[0] == code
    assert told in harness("verify", "--row", row, "--reports", published)[1]


def test_a_row_may_be_named_by_one_of_its_trials(published: Path) -> None:
    trial = first_confirmed(attempts(published / "tiny"))
    for name in (trial.trial_id, f"tiny/{trial.config_id}"):
        assert harness("verify", "--row", name, "--reports", published)[0] == 0


def test_a_published_trial_is_reproduced_from_the_record_alone(published: Path, tmp_path: Path) -> None:
    trial = first_confirmed(attempts(published / "tiny"))
    (tmp_path / "reports").symlink_to(published)
    line = [sys.executable, "-c", "from harness.cli import main; main()", "reproduce", trial.trial_id, "--runs", "none"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(line, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert told.returncode == 0, told.stderr
    assert "reproduced, bit for bit" in told.stdout


def test_a_run_that_is_not_there_cannot_be_published(finished: FinishedRun, tmp_path: Path) -> None:
    code, said = harness("publish", "-s", "other", "--runs", finished.runs, "--reports", tmp_path)
    assert code == 3
    assert "other has no run in" in said
    code, said = harness("publish", "-s", "tiny", "--runs", "s3://bucket/runs", "--reports", tmp_path)
    assert code == 3
    assert "comes without its students" in said


def test_pages_are_made_anew_by_publish_alone(reports: Path) -> None:
    (reports / "README.md").write_text("old")
    assert harness("publish", "--reports", reports)[0] == 0
    assert harness("verify", "--reports", reports)[0] == 0
    assert len(Store(reports / "tiny").trials()) == 13
