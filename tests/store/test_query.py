"""A run folder answers questions, and says which file is at fault where it cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.analysis.confirmed import confirmed_rows
from harness.store.parquet import Store
from harness.store.query import RunFolderError, ask, read_run
from tests.records import START, confirmations, epochs_of, failed, look, trial, write_run


def test_a_run_gives_its_study_trials_and_epochs(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, [trial(seed=0, after=2), trial(seed=1, after=1)]))
    assert run.study["name"] == "sample"
    assert run.trials["seed"].tolist() == [1, 0]  # in order of their ends
    assert len(run.epochs) == 40
    assert run.trials["point"][0] == {"training.learning_rate": "0.1"}
    assert run.trials["provenance"][0]["threads"] == 1
    assert set(run.epochs["losses"][0]) == {"cross_entropy", "logits", "adversarial", "squeezed"}


def test_only_the_last_attempt_of_a_trial_counts(tmp_path: Path) -> None:
    second = replace(trial(), attempt=2)
    run = read_run(write_run(tmp_path, [failed(trial()), second]))
    assert run.trials["status"].tolist() == ["completed"]
    assert run.epochs["attempt"].unique().tolist() == [2]
    assert len(run.epochs) == 20


def test_the_tenth_attempt_comes_after_the_ninth(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, [replace(trial(), attempt=n) for n in (9, 10)]))
    assert run.trials["attempt"].tolist() == [10]


def test_epochs_of_a_trial_that_has_not_ended_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, [trial(seed=0)])
    unfinished = trial(seed=1)
    Store(tmp_path).write(unfinished, epochs_of(unfinished))
    (tmp_path / "trials" / f"{unfinished.trial_id}-1.parquet").unlink()
    assert read_run(tmp_path).epochs["trial_id"].unique().tolist() == [trial(seed=0).trial_id]


def test_a_run_without_a_finished_trial_has_empty_tables_with_all_columns(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, []))
    assert run.trials.empty
    assert run.epochs.empty
    assert {"trial_id", "test_accuracy", "provenance"} <= set(run.trials.columns)
    assert {"trial_id", "losses", "attempt"} <= set(run.epochs.columns)


def test_questions_are_asked_in_sql(tmp_path: Path) -> None:
    write_run(tmp_path, [trial(seed=0), trial(seed=1)])
    answer = ask(tmp_path, "SELECT count(*) AS n, max(epoch) AS last FROM epochs JOIN trials USING (trial_id)")
    assert answer.to_dict("records") == [{"n": 40, "last": 20}]


def test_a_folder_whose_name_looks_like_a_pattern_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "run [1] * ?' "
    assert len(read_run(write_run(folder, [trial()])).trials) == 1


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nowhere: no such run"):
        read_run(tmp_path / "nowhere")


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"study\.json is missing"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_damaged_study_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFolderError, match=r"study\.json: (is damaged|holds no study)"):
        read_run(tmp_path)


@pytest.mark.parametrize("kind", ["trials", "epochs"])
@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_a_damaged_file_among_whole_ones_is_named(tmp_path: Path, kind: str, content: bytes) -> None:
    write_run(tmp_path, [trial(seed=0), trial(seed=1)])
    damaged = sorted((tmp_path / kind).glob("*.parquet"))[1]
    damaged.write_bytes(content)
    with pytest.raises(RunFolderError, match=f"{damaged.name}: is damaged"):
        read_run(tmp_path)


def test_a_table_of_something_else_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, [trial()])
    pq.write_table(pa.table({"colour": ["red"]}), tmp_path / "trials" / "x-1.parquet")
    with pytest.raises(RunFolderError, match=r"x-1\.parquet: is damaged \(it holds no records of this kind\)"):
        read_run(tmp_path)


def test_what_was_set_aside_or_is_being_written_is_not_read(tmp_path: Path) -> None:
    write_run(tmp_path, [trial()])
    (tmp_path / "trials" / "a-1.parquet.damaged").write_bytes(b"x")
    (tmp_path / "trials" / ".b-1.parquet.7.tmp").write_bytes(b"x")
    assert len(read_run(tmp_path).trials) == 1


def test_a_further_look_at_the_test_split_is_counted(tmp_path: Path) -> None:
    first, second = confirmations({0: 0.9, 1: 0.8})
    run_folder = write_run(tmp_path, [trial(), first, second])
    ledger = Store(run_folder)
    for minute in (1, 2):
        ledger.note_look(look(second, START + timedelta(minutes=minute)))
    run = read_run(run_folder)
    assert dict(zip(run.trials["trial_id"], run.trials["looks"], strict=True)) == {
        trial().trial_id: 0,
        first.trial_id: 1,
        second.trial_id: 3,
    }
    assert run.looks["looked_at"].is_monotonic_increasing
    assert run.looks["reason"].tolist() == ["reproduction"] * 2
    assert [one.looked_at for one in ledger.looks()] == [START + timedelta(minutes=minute) for minute in (1, 2)]
    assert confirmed_rows(run.trials)["looks"].tolist() == [3]


def test_a_run_without_a_ledger_has_no_further_looks(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, confirmations({0: 0.9})))
    assert run.looks.empty
    assert run.trials["looks"].tolist() == [1]
