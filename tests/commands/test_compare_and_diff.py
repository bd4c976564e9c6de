"""`compare` and `diff` in the terminal, on the tiny run and on what is published of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import FinishedRun
from tests.records import STUDY, confirmations, write_run
from tests.studies import LABEL, tiny, written
from tests.test_cli import harness


def test_arms_of_a_run_are_compared_whether_published_or_not(
    finished: FinishedRun, published: Path, tmp_path: Path
) -> None:
    code, said = harness("compare", LABEL, "scratch", "--runs", finished.runs, "--reports", tmp_path)
    assert code == 0, said
    assert "paired t over common seeds" in said
    assert LABEL in said
    assert harness("compare", LABEL, "scratch", "--runs", tmp_path, "--reports", published) == (0, said)


def test_where_nothing_is_confirmed_nothing_is_compared(tmp_path: Path) -> None:
    code, said = harness("compare", "a", "b", "--runs", tmp_path, "--reports", tmp_path)
    assert code == 3
    assert "nothing has been confirmed here yet" in said


def test_what_may_not_be_compared_has_an_exit_code_and_a_reason(tmp_path: Path) -> None:
    first = confirmations({1: 0.95, 2: 0.951}, arm="kd")
    longer = [replace(one, epochs=60, epochs_done=60) for one in confirmations({1: 0.95, 2: 0.951}, arm="at")]
    write_run(tmp_path / "runs" / "sample", [*first, *longer], STUDY)
    code, said = harness("compare", "kd", "at", "--runs", tmp_path / "runs", "--reports", tmp_path)
    assert code == 1
    assert "epochs 20 and 60" in said


def test_two_rows_of_a_study_differ_harmlessly(published: Path, tmp_path: Path) -> None:
    from tests.tampering import attempts

    rows = sorted({one.config_id for one in attempts(published / "tiny") if one.purpose == "confirmation"})
    code, said = harness("diff", *rows, "--runs", tmp_path, "--reports", published)
    assert code == 0, said
    assert "method.name" in said
    assert "method.attention" not in said  # another method is one difference
    assert "comparable: " in said
    assert "breaks" not in said


def test_two_studies_that_break_a_comparison_say_where(tmp_path: Path) -> None:
    one = written(tmp_path, name="one")
    other = written(tmp_path, tiny(training__epochs=3, search__trials=3, data__train=65), name="other")
    code, said = harness("diff", one, other, "--runs", tmp_path, "--reports", tmp_path)
    assert code == 1
    lines = {line.split()[0]: line for line in said.splitlines() if line}
    assert "breaks" in lines["training.epochs"]
    assert "breaks" in lines["data.train"]
    assert "harmless" in lines["search.trials"]
    assert "not comparable: 2 differences break the comparison" in said


def test_a_study_and_a_trial_are_two_kinds(finished: FinishedRun, tmp_path: Path) -> None:
    trial = finished.store.trials()[-1].trial_id
    code, said = harness("diff", "tiny", trial, "--runs", finished.runs, "--reports", tmp_path)
    assert code == 2
    assert "give two of a kind" in said


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [("ffffffffff", 3, "no trial, row or study ffffffffff here"), ("nowhere", 2, "nowhere: is not found")],
)
def test_what_names_no_spec_is_told(name: str, code: int, told: str, finished: FinishedRun, tmp_path: Path) -> None:
    found, said = harness("diff", "tiny", name, "--runs", finished.runs, "--reports", tmp_path)
    assert (found, told in said) == (code, True), said


def test_a_torn_record_is_named_and_no_seed_is_left_out_without_a_word(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "sample", confirmations({1: 0.95, 2: 0.951}, arm="kd"), STUDY)
    torn = sorted((folder / "trials").glob("*.parquet"))[0]
    torn.write_bytes(torn.read_bytes()[:100])
    for command, name in (("compare", "kd"), ("diff", torn.name[:16])):
        code, said = harness(command, name, name, "--runs", tmp_path / "runs", "--reports", tmp_path)
        assert (code, f"{torn} cannot be read" in said) == (3, True)
