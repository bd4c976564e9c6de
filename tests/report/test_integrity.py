"""Level 0 names the fault after every tampering that we could think of, and finds none in what was published."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.report.integrity import faults, visible
from harness.report.page import report_html
from harness.report.record_pages import write_pages
from harness.store.published import read_seal, record_digests, seal, write_records
from harness.store.query import read_run
from tests.tampering import attempts, epochs, first_confirmed, raised, rewritten, sealed_anew


@pytest.fixture
def reports(published: Path, tmp_path: Path) -> Path:
    """A copy of the published record, to be tampered with."""
    return Path(shutil.copytree(published, tmp_path / "reports"))


def said(reports: Path) -> str:
    """Every fault, a line each."""
    return "\n".join(map(str, faults(reports)))


def test_what_was_published_has_no_fault(published: Path) -> None:
    assert faults(published) == []


def test_a_folder_in_which_nothing_is_published_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "LOG.md").write_text("# Log\n")
    assert faults(tmp_path) == []
    assert faults(tmp_path / "nowhere") == []


# By hand: the seal names what was touched.


@pytest.mark.parametrize("name", ["test_accuracy", "validation_loss", "train_seconds", "seed"])
def test_a_changed_digit_in_a_parquet_file_is_named_with_its_trial(reports: Path, name: str) -> None:
    trial = first_confirmed(attempts(reports / "tiny"))
    value = getattr(trial, name)
    other = value + 1 if isinstance(value, int) else value - 1 / trial.test_images
    rewritten(reports / "tiny", lambda trials: [replace(t, **{name: other}) if t == trial else t for t in trials])
    told = said(reports)
    assert "tiny/trials.parquet: was changed since it was published" in told
    assert f"trial {trial.trial_id} (confirmation of {trial.arm} on {trial.student}, seed" in told
    assert "a number of its record was changed" in told


def test_a_flipped_bit_in_a_parquet_file_is_named(reports: Path) -> None:
    path = reports / "tiny" / "trials.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert f"{path}: was changed since it was published" in said(reports)


def test_a_changed_epoch_is_named_with_its_trial(reports: Path) -> None:
    from harness.store.published import write_records

    folder = reports / "tiny"
    trials, rows = attempts(folder), epochs(folder)
    write_records(folder, trials, [replace(rows[0], loss=0.1), *rows[1:]])
    assert re.search(rf"trial {rows[0].trial_id} \(.*\): one of its epochs was changed", said(reports))


def test_swapped_students_are_named(reports: Path) -> None:
    one, other = sorted((reports / "tiny" / "students").glob("*"))[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    told = said(reports)
    for path in (one, other):
        assert f"{path}: was changed since it was published" in told
        assert f"students/{path.name} holds other weights than trial {path.stem}" in told


def test_an_edited_study_is_named_with_its_field(reports: Path) -> None:
    path = reports / "tiny" / "study.yaml"
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 3"))
    told = said(reports)
    assert f"{path}: was changed since it was published" in told
    assert "training.epochs is 3, and the study was run with 2" in told


def test_a_removed_seed_is_named(reports: Path) -> None:
    trial = first_confirmed(attempts(reports / "tiny"))
    rewritten(reports / "tiny", lambda trials: [t for t in trials if t != trial])
    told = said(reports)
    assert f"the record of trial {trial.trial_id}-1 was removed" in told
    assert f"row {trial.config_id} lacks confirmation seed {trial.seed}" in told


def test_a_duplicated_row_is_named(reports: Path) -> None:
    trial = first_confirmed(attempts(reports / "tiny"))
    rewritten(reports / "tiny", lambda trials: [*trials, trial])
    assert f"trial {trial.trial_id} stands 2 times as its attempt 1" in said(reports)


@pytest.mark.parametrize("page", ["README.md", "leaderboard.json", "index.html"])
def test_a_tampered_number_on_a_page_is_named_with_its_line(reports: Path, page: str) -> None:
    path = reports / page
    text = path.read_text(encoding="utf-8")
    accuracy = re.search(r"\d\d\.\d\d(?= ±)|(?<=\"accuracy\": 0\.)\d+", text)
    assert accuracy
    digit = str((int(accuracy[0][0]) + 1) % 10)
    path.write_text(text[: accuracy.start()] + digit + text[accuracy.start() + 1 :], encoding="utf-8")
    (fault,) = faults(reports)
    assert fault.place == str(path)
    assert re.match(r"line \d+ says “.*”, and the records give “.*”", fault.said)


def test_a_missing_page_is_named(reports: Path) -> None:
    (reports / "README.md").unlink()
    assert said(reports) == f"{reports / 'README.md'}: is missing; `harness publish` writes it"


@pytest.mark.parametrize("name", ["trials.parquet", "study.json", "report.html", "epochs.parquet"])
def test_a_missing_file_is_named(reports: Path, name: str) -> None:
    (reports / "tiny" / name).unlink()
    assert f"{reports / 'tiny' / name}: is missing" in said(reports)


def test_a_file_that_nobody_published_is_named(reports: Path) -> None:
    (reports / "tiny" / "notes.txt").write_text("trust me")
    assert "notes.txt: is not part of what was published" in said(reports)


def test_a_record_without_its_provenance_is_named(reports: Path) -> None:
    path = reports / "tiny" / "provenance.json"
    path.unlink()
    assert f"{path}: cannot be read" in said(reports)
    path.write_text("{}")
    assert f"{path}: cannot be read (it must have the fields study" in said(reports)


@pytest.mark.parametrize("text", ["{", "[1]", '[{"row": "x"}]'])
def test_what_is_no_list_of_verifications_is_named(reports: Path, text: str) -> None:
    path = reports / "tiny" / "verified.json"
    path.write_text(text)
    assert f"{path}: cannot be read" in said(reports)


@pytest.mark.parametrize(
    ("name", "value"),
    [("date", 5), ("date", "today"), ("drift", "0"), ("drift", math.nan), ("seeds", [1.5]), ("level", 3), ("holds", 1)],
)
def test_a_verification_with_a_field_of_another_type_is_named(reports: Path, name: str, value: object) -> None:
    path = reports / "tiny" / "verified.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([entries[0] | {name: value}]))
    assert f"{path}: cannot be read (" in said(reports)


@pytest.mark.parametrize("change", [{"surroundings": {}}, {"files": {"study.yaml": 1}}])
def test_a_seal_with_a_field_of_another_type_is_named(reports: Path, change: dict[str, object]) -> None:
    path = reports / "tiny" / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert f"{path}: cannot be read (a digest in it" in said(reports)


def test_a_verification_of_a_row_that_is_not_there_is_named(reports: Path) -> None:
    path = reports / "tiny" / "verified.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([entries[0] | {"row": "f" * 16}]))
    assert "speaks of the row ffffffffffffffff" in said(reports)


# Sealed anew: what no longer agrees with itself is named all the same.


def test_a_made_up_accuracy_that_is_no_count_of_images_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    trial = first_confirmed(attempts(folder))
    rewritten(folder, lambda trials: [replace(t, test_accuracy=0.98765) if t == trial else t for t in trials])
    sealed_anew(folder)
    assert f"trial {trial.trial_id}: a test accuracy of 0.98765 is no count of {trial.test_images} images" in said(
        reports
    )


def test_a_validation_accuracy_that_its_last_epoch_does_not_have_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    trial = first_confirmed(attempts(folder))
    assert trial.validation_accuracy is not None
    other = trial.validation_accuracy + 1 / trial.validation_images
    rewritten(folder, lambda trials: [replace(t, validation_accuracy=other) if t == trial else t for t in trials])
    sealed_anew(folder)
    assert f"trial {trial.trial_id} says {other} on validation, and its last epoch" in said(reports)


def test_a_seed_told_twice_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    row = first_confirmed(attempts(folder)).config_id
    one, other = [t for t in attempts(folder) if t.config_id == row and t.purpose == "confirmation"]
    twin = replace(other, student_digest=one.student_digest, test_accuracy=one.test_accuracy)
    rewritten(folder, lambda trials: [twin if t == other else t for t in trials])
    sealed_anew(folder)
    assert f"seeds {one.seed} and {other.seed} have the same weights" in said(reports)


@pytest.mark.parametrize(("field", "value"), [("arm", "best"), ("method", "kd"), ("dataset", "cifar10"), ("epochs", 3)])
def test_a_record_that_says_other_things_than_its_spec_is_named(reports: Path, field: str, value: object) -> None:
    folder = reports / "tiny"
    trial = first_confirmed(attempts(folder))
    rewritten(folder, lambda trials: [replace(t, **{field: value}) if t == trial else t for t in trials])
    sealed_anew(folder)
    assert re.search(rf"trial {trial.trial_id} says .* {value}, and its spec says", said(reports))


def test_a_seed_that_was_left_out_before_sealing_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    trial = first_confirmed(attempts(folder))
    rewritten(folder, lambda trials: [t for t in trials if t != trial])
    (folder / "students" / f"{trial.trial_id}.safetensors").unlink()
    sealed_anew(folder)
    assert f"row {trial.config_id} lacks confirmation seed {trial.seed}" in said(reports)


def test_a_row_that_was_left_out_before_sealing_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    row = first_confirmed(attempts(folder)).config_id
    gone = [t for t in attempts(folder) if t.config_id == row and t.purpose == "confirmation"]
    rewritten(folder, lambda trials: [t for t in trials if t not in gone])
    for trial in gone:
        (folder / "students" / f"{trial.trial_id}.safetensors").unlink()
    sealed_anew(folder)
    assert re.search(rf"1 row of the arm {re.escape(gone[0].arm)} on the student .* was not confirmed", said(reports))


def test_an_arm_that_was_left_out_before_sealing_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    arm = first_confirmed(attempts(folder)).arm
    gone = {t.trial_id for t in attempts(folder) if t.arm == arm}
    kept = [epoch for epoch in epochs(folder) if epoch.trial_id not in gone]
    write_records(folder, [t for t in attempts(folder) if t.arm != arm], kept)
    for id in gone:
        (folder / "students" / f"{id}.safetensors").unlink(missing_ok=True)
    sealed_anew(folder)
    assert re.search(rf"no trial of the arm {re.escape(arm)} on the student {{.*}} of pair 1 is here", said(reports))


def test_a_seed_that_nobody_asked_for_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    for name in ("study.json", "study.yaml", "tiny.yaml"):
        study = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        study["confirm"]["seeds"] = [0]
        (folder / name).write_text(json.dumps(study), encoding="utf-8")
    sealed_anew(folder)
    row = first_confirmed(attempts(folder)).config_id
    assert f"row {row} has confirmation seed 1, which the study does not ask for" in said(reports)


def test_a_second_folder_that_tells_the_same_trials_is_named(reports: Path) -> None:
    """Whose rows would take the place of the first's, with what was verified of them."""
    other = Path(shutil.copytree(reports / "tiny", reports / "zz"))
    row = first_confirmed(attempts(other)).config_id
    rewritten(other, lambda trials: raised(trials, row))
    known = read_seal(other)
    seal(other, "zz", known.published, record_digests(attempts(other), epochs(other)), known.surroundings)
    assert "zz/study.yaml: it is the study tiny (study.json), and lies in the folder of zz" in said(reports)
    assert "zz/study.yaml: its records are of the study tiny" in said(reports)


def test_a_teacher_with_other_weights_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    taught = next(t for t in attempts(folder) if t.teacher_digest)
    rewritten(folder, lambda trials: [replace(t, teacher_digest="0" * 64) if t == taught else t for t in trials])
    sealed_anew(folder)
    assert f"trial {taught.trial_id} says that its teacher has the weights 00000000, and trial" in said(reports)


def test_a_machine_that_is_not_that_of_the_records_is_named(reports: Path) -> None:
    folder = reports / "tiny"
    known = read_seal(folder)
    machines = {**known.surroundings["trials_ran_on"], "machine": {"another": 13}}
    seal(folder, known.study, known.published, known.records, {**known.surroundings, "trials_ran_on": machines})
    assert "provenance.json: trials_ran_on is not what the records give" in said(reports)


def test_a_study_to_run_again_that_is_another_is_named(reports: Path) -> None:
    path = reports / "tiny" / "tiny.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("learning_rate: ", "learning_rate: 1"), encoding="utf-8")
    sealed_anew(reports / "tiny")
    assert "tiny.yaml: is missing or not what study.json gives; `harness publish` writes it anew" in said(reports)


def test_a_verification_of_a_seed_that_is_not_there_is_named(reports: Path) -> None:
    path = reports / "tiny" / "verified.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([entries[0] | {"seeds": [0, 99]}]))
    assert f"speaks of seed 99 of the row {entries[0]['row']}, which has none such" in said(reports)


def test_a_seed_that_the_study_no_longer_asks_for_is_named(reports: Path) -> None:
    """The study as resolved was edited, and the study as written says what it was."""
    folder = reports / "tiny"
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    study["confirm"]["seeds"] = [0]
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    sealed_anew(folder)
    assert "confirm.seeds is [0, 1], and the study was run with [0] (study.json)" in said(reports)


@pytest.mark.parametrize("content", ["[]", '{"confirm": {"seeds": null}}', '{"name": "tiny"}'])
def test_a_study_that_is_none_is_named(reports: Path, content: str) -> None:
    (reports / "tiny" / "study.json").write_text(content, encoding="utf-8")
    assert "study.json: was changed since it was published" in said(reports)


def test_a_hidden_folder_is_not_published(reports: Path) -> None:
    shutil.copytree(reports / "tiny", reports / ".more")
    assert faults(reports) == []
    write_pages(reports)
    assert faults(reports) == []


def test_pages_of_a_record_that_is_gone_are_named(reports: Path) -> None:
    shutil.rmtree(reports / "tiny")
    assert "README.md: line" in said(reports)


def test_a_page_that_is_no_utf8_is_named(reports: Path) -> None:
    (reports / "README.md").write_bytes(b"\xff\xfe")
    assert "README.md: line 1" in said(reports)


def test_a_tampered_report_is_named_also_where_it_was_sealed_anew(reports: Path) -> None:
    folder = reports / "tiny"
    path, known = folder / "report.html", read_seal(folder)
    page = path.read_text(encoding="utf-8")
    cell = re.search(r">(\d)(\d\.\d\d) ±", page)
    assert cell
    path.write_text(page.replace(cell[0], f">9{cell[2]} ±" if cell[1] != "9" else f">8{cell[2]} ±"), encoding="utf-8")
    seal(folder, known.study, known.published, known.records, known.surroundings)
    (fault,) = faults(reports)
    assert fault.place == str(path)
    assert re.match(r"its text \d+ says “.*”, and the records give “.*”", fault.said)


def test_a_figure_with_other_numbers_is_named_where_the_same_libraries_drew_it(reports: Path) -> None:
    folder = reports / "tiny"
    path, known = folder / "report.html", read_seal(folder)
    page = path.read_text(encoding="utf-8")
    begin = page.index('<script type="application/json"')
    number = re.compile(r"\d\.\d+").search(page, begin)
    assert number
    path.write_text(page[: number.start()] + "9" + page[number.start() + 1 :], encoding="utf-8")
    seal(folder, known.study, known.published, known.records, known.surroundings)
    assert "its figures hold other numbers" in said(reports)


def test_a_figure_that_another_processor_rounded_otherwise_is_none_with_other_numbers(reports: Path) -> None:
    folder = reports / "tiny"
    path, known = folder / "report.html", read_seal(folder)
    page = path.read_text(encoding="utf-8")
    begin = page.index('<script type="application/json"')
    number = next(found for found in re.compile(r"\d\.\d{14,}(?!\d*e)").finditer(page, begin))
    path.write_text(page[: number.end()] + "4" + page[number.end() :], encoding="utf-8")
    seal(folder, known.study, known.published, known.records, known.surroundings)
    assert said(reports) == ""


def test_the_texts_of_a_page_are_what_a_reader_sees() -> None:
    page = "<head><style>a {}</style></head><p>one <b>two</b>\n three</p><script>four</script>&lt;5"
    assert visible(page) == ["one", "two", "three", "<5"]


def test_equal_records_make_equal_pages(published: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(published, tmp_path / "elsewhere"))
    write_pages(copy)
    for name in ("README.md", "index.html", "leaderboard.json"):
        assert (copy / name).read_bytes() == (published / name).read_bytes()
    assert report_html(read_run(copy / "tiny")) == (published / "tiny" / "report.html").read_text(encoding="utf-8")
