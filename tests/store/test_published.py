"""A published study is read like a run, holds every attempt, and is known by what it claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import save_file

from harness.store.parquet import Store
from harness.store.published import read_seal, record_digests, seal, write_records
from harness.store.query import read_run
from harness.store.verified import Verification, last_verified, note_verified, read_verified
from harness.store.weights import weights_digest
from tests.records import epochs_of, failed, trial, write_run

ORIGINS: dict[str, object] = {"written_by": {}, "trials_ran_on": {}}


def test_a_published_study_reads_like_its_run(published: Path, finished: object) -> None:
    run, again = read_run(finished.store.root), read_run(published / "tiny")  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(again.trials, run.trials)
    pd.testing.assert_frame_equal(again.epochs, run.epochs)
    assert again.study == run.study


def test_the_store_reads_trials_and_epochs_of_a_published_study(published: Path, finished: object) -> None:
    ours, theirs = Store(published / "tiny"), finished.store  # type: ignore[attr-defined]
    assert ours.trials() == theirs.trials()
    one = ours.trials()[-1]
    assert ours.epochs(one) == theirs.epochs(one)


def test_every_attempt_is_published_and_the_last_one_counts(tmp_path: Path) -> None:
    first, again = failed(trial()), replace(trial(), attempt=2)
    store = Store(write_run(tmp_path / "run", [first, again]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text("{}")
    write_records(tmp_path / "out", store.attempts(), store.epochs(again))
    assert [one.attempt for one in Store(tmp_path / "out").attempts()] == [1, 2]
    read = read_run(tmp_path / "out")
    assert read.trials["attempt"].tolist() == [2]
    assert read.epochs["attempt"].unique().tolist() == [2]


@pytest.mark.parametrize("change", [{"train_seconds": 10.5}, {"point": {"a": "2"}}, {"seed": 9}])
def test_a_records_digest_follows_from_each_of_its_fields(change: dict) -> None:
    one = trial()
    (before,) = record_digests([one], epochs_of(one)).values()
    (after,) = record_digests([replace(one, **change)], epochs_of(one)).values()
    assert before.split()[0] != after.split()[0]
    assert before.split()[1] == after.split()[1]


def test_a_seal_is_known_by_the_record_and_not_by_its_report(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("one")
    (tmp_path / "study.yaml").write_text("a: 1")
    first = seal(tmp_path, "s", "2026-01-05", {"x": "1 2"}, ORIGINS)
    assert read_seal(tmp_path) == first
    (tmp_path / "report.html").write_text("two")
    assert seal(tmp_path, "s", "2026-01-05", {"x": "1 2"}, ORIGINS).id == first.id
    (tmp_path / "study.yaml").write_text("a: 2")
    assert seal(tmp_path, "s", "2026-01-05", {"x": "1 2"}, ORIGINS).id != first.id


def entry(level: int, holds: bool, record: str, row: str = "r") -> Verification:
    return Verification(row, level, "2026-01-05", holds, 0.0, [0], "so", "a machine", record)


def test_the_last_look_at_a_level_counts_and_a_refusal_before_all(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("a: 1")
    id = seal(tmp_path, "s", "2026-01-05", {}, ORIGINS).id
    note_verified(tmp_path, [entry(0, True, id), entry(1, False, id)])
    assert last_verified(read_verified(tmp_path))["r"].level == 1
    note_verified(tmp_path, [entry(2, True, id)])
    assert not last_verified(read_verified(tmp_path))["r"].holds
    note_verified(tmp_path, [entry(1, True, id)])
    assert last_verified(read_verified(tmp_path))["r"] == entry(2, True, id)


def test_a_record_that_is_published_anew_is_unverified(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("a: 1")
    old = seal(tmp_path, "s", "2026-01-05", {}, ORIGINS).id
    note_verified(tmp_path, [entry(2, True, old)])
    seal(tmp_path, "s", "2026-01-05", {"x": "1 2"}, ORIGINS)
    assert read_verified(tmp_path) == []


def test_weights_have_the_digest_of_their_trial_without_torch(published: Path) -> None:
    recorded = {one.trial_id: one.student_digest for one in Store(published / "tiny").trials()}
    students = sorted((published / "tiny" / "students").glob("*"))
    assert len(students) == 4
    assert all(weights_digest(path) == recorded[path.stem] for path in students)


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_what_is_no_whole_safetensors_file_is_refused(cut: int, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "x.safetensors"
    save_file({"a": torch.arange(6.0).reshape(2, 3)}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="it is no safetensors file"):
        weights_digest(path)
