"""A run becomes a folder that outlives it, and nothing is published that would not verify."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.record import LookRecord
from harness.report import publishing
from harness.report.integrity import faults
from harness.report.publishing import UnpublishableError, publish, rewrite
from harness.report.record import read_record
from harness.source import MissingError
from harness.store.parquet import Store
from harness.store.published import read_seal, seal
from harness.store.verified import Verification, note_verified, read_verified
from harness.study.study import load_study
from tests.conftest import FinishedRun
from tests.records import STUDY, confirmations, sample_trials, trial, write_run

SAMPLE = STUDY | {"question": "a sample"}
DAY = "2026-01-05"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample study, published."""
    folder = tmp_path_factory.mktemp("sample")
    publish(write_run(folder / "runs" / "sample", sample_trials(), SAMPLE), folder / "reports", DAY)
    return folder / "reports"


def test_a_published_folder_holds_all_that_it_must(published: Path) -> None:
    here = {path.name for path in (published / "tiny").iterdir()}
    files = {"study.yaml", "study.json", "trials.parquet", "epochs.parquet", "looks.parquet"}
    files |= {"tiny.yaml", "report.html", "provenance.json"}
    assert here == files | {"students", "verified.json"}
    assert {path.name for path in published.iterdir()} == {"tiny", "README.md", "index.html", "leaderboard.json"}


def test_a_row_carries_all_that_somebody_needs_to_doubt_it(published: Path) -> None:
    rows = json.loads((published / "leaderboard.json").read_text(encoding="utf-8"))
    assert len(rows) == 2
    for row in rows:
        assert len(row["row"]) == 16
        assert len(row["data_fingerprint"]) == 64
        assert {"harness", "python", "torch", "machine", "device", "threads"} <= row["versions"].keys()
        assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
        assert all(len(seed["weights"]) == 64 for seed in row["seeds"])
        assert row["low"] is None or row["low"] < row["accuracy"] < row["high"]
        assert row["tuning_trials"] == 4
        assert row["tuning_seconds"] > 0
        assert row["looks"] == 1
        assert row["lanes"][0]["rank"] >= 1
        assert row["verified"]["level"] == 0


def test_small_students_ship_and_large_ones_stay(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = sorted(path.stat().st_size for path in finished.store.students.glob("*"))
    monkeypatch.setattr(publishing, "MOST", 2 * sizes[-1])
    folder = publish(finished.store.root, tmp_path / "a", DAY)
    seeds = {one.trial_id: one.seed for one in finished.store.trials()}
    assert [seeds[path.stem] for path in (folder / "students").glob("*")] == [0, 0]  # a row's first seed comes first
    monkeypatch.setattr(publishing, "LARGEST", sizes[0] - 1)
    assert list((publish(finished.store.root, tmp_path / "b", DAY) / "students").glob("*")) == []
    assert faults(tmp_path / "a") == faults(tmp_path / "b") == []


def test_the_page_tells_what_was_found_how_sure_it_is_and_how_to_repeat_it(sample: Path) -> None:
    page = (sample / "README.md").read_text(encoding="utf-8")
    assert "ksan on digits, mean of 3 students – better than scratch: +0.92 points" in page
    assert "5 common seeds" in page
    assert "harness verify --row ROW --level 2" in page
    assert "harness search --study reports/sample/sample.yaml --runs again" in page
    assert "[LOG.md](LOG.md)" in page
    assert page.count("| level 0, 2026-01-05 |") == 12
    assert "<" not in page.replace("p < .001", "")  # nothing that a code host might take for HTML


def test_names_that_look_like_markup_are_text_on_every_page(published: Path) -> None:
    page = (published / "README.md").read_text(encoding="utf-8")
    assert "\\[red\\]&lt;/script>ksan" in page
    index = (published / "index.html").read_text(encoding="utf-8")
    assert "</script>ksan" not in index
    assert "<script>alert" not in index


def test_the_published_study_can_be_run_again_from_one_file(published: Path) -> None:
    frozen = json.loads((published / "tiny" / "study.json").read_text(encoding="utf-8"))
    again = load_study(str(published / "tiny" / "tiny.yaml"))
    assert {**again.resolved, "device": "cpu"} == frozen


def test_a_record_of_before_gets_the_study_to_run_again_when_pages_are_made_anew(
    published: Path, tmp_path: Path
) -> None:
    reports = Path(shutil.copytree(published, tmp_path / "reports"))
    known = read_seal(reports / "tiny")
    (reports / "tiny" / "tiny.yaml").unlink()
    seal(reports / "tiny", known.study, known.published, known.records, known.surroundings)
    (fault,) = faults(reports)
    assert str(fault).endswith("tiny.yaml: is missing or not what study.json gives; `harness publish` writes it anew")
    rewrite(reports)
    assert faults(reports) == []


def test_links_lead_to_a_study_whatever_its_name(tmp_path: Path) -> None:
    name = "javascript:a(b) c"
    trials = [replace(one, study=name) for one in sample_trials()]
    run = write_run(tmp_path / "runs" / name, trials, SAMPLE | {"name": name})
    publish(run, tmp_path / "reports", DAY)
    page = (tmp_path / "reports" / "README.md").read_text(encoding="utf-8")
    assert "](javascript%3Aa%28b%29%20c/report.html)" in page
    assert "`harness search --study 'reports/javascript:a(b) c/javascript:a(b) c.yaml' --runs again`" in page
    assert 'href="./javascript%3Aa%28b%29%20c/report.html"' in (tmp_path / "reports" / "index.html").read_text()


def test_a_damaged_neighbour_is_named_before_anything_changes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        trials = [replace(one, study=name) for one in sample_trials()]
        run = write_run(tmp_path / "runs" / name, trials, SAMPLE | {"name": name})
        if name == "second":
            (tmp_path / "reports" / "first" / "trials.parquet").write_bytes(b"PAR1")
            with pytest.raises(UnpublishableError, match=r"first: cannot be read .* mend or remove it"):
                publish(run, tmp_path / "reports", DAY)
            assert not (tmp_path / "reports" / "second").exists()
        else:
            publish(run, tmp_path / "reports", DAY)


def test_two_studies_on_equal_terms_are_ranked_together(tmp_path: Path) -> None:
    first = confirmations({100 + i: (950 + i) / 997 for i in range(5)}, arm="kd")
    second = [replace(one, study="other", config_id="b" * 16, trial_id=f"b{one.trial_id[1:]}") for one in first]
    third = [replace(one, study="far", config_id="c" * 16, trial_id=f"c{one.trial_id[1:]}") for one in first]
    far = [replace(one, epochs=60, epochs_done=60) for one in third]
    for name, trials in (("sample", first), ("other", second), ("far", far)):
        publish(write_run(tmp_path / "runs" / name, trials, SAMPLE | {"name": name}), tmp_path / "reports", DAY)
    boards = read_record(tmp_path / "reports").boards()
    assert [len(board.rows) for board in boards] == [2, 1]
    assert faults(tmp_path / "reports") == []


def test_publishing_again_takes_the_place_of_what_was_there(finished: FinishedRun, tmp_path: Path) -> None:
    folder = publish(finished.store.root, tmp_path, DAY)
    (folder / "old.txt").write_text("old")
    publish(finished.store.root, tmp_path, "2026-02-01")
    assert not (folder / "old.txt").exists()
    assert "published 2026-02-01" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_publishing_the_same_record_again_keeps_what_was_found_of_it(finished: FinishedRun, tmp_path: Path) -> None:
    folder = publish(finished.store.root, tmp_path, "2026-01-05")
    row = next(one for one in finished.store.trials() if one.test_accuracy is not None).config_id
    found = Verification(row, 2, "2026-01-06", False, -0.01, [0], "no", "here", read_seal(folder).id)
    note_verified(folder, [found])
    publish(finished.store.root, tmp_path, "2026-01-07")
    assert found in read_verified(folder)


def test_a_log_beside_the_record_is_kept(finished: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "LOG.md").write_text("by hand")
    publish(finished.store.root, tmp_path, DAY)
    assert (tmp_path / "LOG.md").read_text() == "by hand"


def test_a_run_without_confirmed_rows_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(UnpublishableError, match="nothing has been confirmed yet"):
        publish(write_run(tmp_path / "run", [trial()], SAMPLE), tmp_path / "reports", DAY)
    assert not (tmp_path / "reports").exists()


def test_a_run_that_lacks_seeds_is_not_published_and_the_old_one_stays(finished: FinishedRun, tmp_path: Path) -> None:
    publish(finished.store.root, tmp_path / "reports", DAY)
    run = shutil.copytree(finished.store.root, tmp_path / "tiny")
    trials = Store(run).trials()
    lost = next(one for one in trials if one.purpose == "confirmation")
    (run / "trials" / f"{lost.trial_id}-1.parquet").unlink()
    with pytest.raises(UnpublishableError, match=f"row {lost.config_id} lacks confirmation seed {lost.seed}"):
        publish(run, tmp_path / "reports", DAY)
    assert faults(tmp_path / "reports") == []


def test_a_run_with_a_torn_file_is_not_published(finished: FinishedRun, tmp_path: Path) -> None:
    run = shutil.copytree(finished.store.root, tmp_path / "tiny")
    torn = next((run / "trials").glob("*"))
    torn.write_bytes(b"torn")
    with pytest.raises(UnpublishableError, match=re.escape(f"{torn.name} cannot be read")):
        publish(run, tmp_path / "reports", DAY)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"is no run, study\.json is missing"):
        publish(tmp_path, tmp_path / "reports", DAY)


def test_pages_are_made_anew_without_losing_what_was_verified(published: Path, tmp_path: Path) -> None:
    reports = Path(shutil.copytree(published, tmp_path / "reports"))
    folder = reports / "tiny"
    (known, *_) = read_verified(folder)
    note_verified(folder, [replace(known, level=1, drift=0.0)])
    (folder / "report.html").write_text("made by another version")
    assert rewrite(reports) == [folder]
    assert faults(reports) == []
    assert [one.level for one in read_verified(folder) if one.row == known.row] == [0, 1]
    assert isinstance(known, Verification)


def test_pages_are_not_made_of_a_record_that_was_changed(published: Path, tmp_path: Path) -> None:
    reports = Path(shutil.copytree(published, tmp_path / "reports"))
    (reports / "tiny" / "study.yaml").write_text("a: 1")
    with pytest.raises(UnpublishableError, match=r"study\.yaml: was changed"):
        rewrite(reports)


def test_a_second_look_at_the_test_split_is_published_with_its_row(tmp_path: Path) -> None:
    trials = sample_trials()
    run = write_run(tmp_path / "runs" / "sample", trials, SAMPLE)
    seen = next(one for one in trials if one.test_accuracy is not None)
    assert seen.test_accuracy is not None
    looked = LookRecord(
        *("sample", seen.trial_id, seen.config_id, seen.seed, "reproduction", seen.finished_at),
        *(seen.test_accuracy, seen.test_images, seen.provenance),
    )
    Store(run).note_look(looked)
    publish(run, tmp_path / "reports", DAY)
    record = read_record(tmp_path / "reports")
    assert record.rows.set_index("config_id")["looks"].to_dict()[seen.config_id] == 2
    assert sorted(record.rows["looks"]) == [1] * 11 + [2]
    assert faults(tmp_path / "reports") == []
