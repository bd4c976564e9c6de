"""What the store wrote is read back whole, or set aside by name; nothing is misread and nothing deleted."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.files import replacing
from harness.record import EpochRecord, Provenance, TrialRecord
from harness.store.parquet import STAMPED, OtherVersionError, RunLockedError, Store, arrow_schema
from harness.store.query import RunFolderError, read_run
from tests.records import STUDY, diverged, epochs_of, failed, trial, write_run


@pytest.mark.parametrize("record", [TrialRecord, EpochRecord, Provenance])
def test_the_schema_has_the_fields_of_the_record(record: type) -> None:
    assert arrow_schema(record).names == [field.name for field in fields(record)]


def test_the_schema_derives_its_types_from_the_record() -> None:
    schema = arrow_schema(TrialRecord)
    assert schema.field("study") == pa.field("study", pa.string(), nullable=False)
    assert schema.field("test_accuracy") == pa.field("test_accuracy", pa.float64(), nullable=True)
    assert schema.field("status").type == pa.string()
    assert schema.field("point").type == pa.map_(pa.string(), pa.string())
    assert schema.field("started_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("provenance").type.field("commit") == pa.field("commit", pa.string(), nullable=True)


@pytest.mark.parametrize(
    "written",
    [
        trial(),
        trial(purpose="confirmation", test=0.75),
        failed(trial()),
        diverged(trial()),
        replace(failed(trial()), provenance=None, point={}),
        replace(trial(), point={"é": '"☃"', "b": "[1, 2]"}, teacher=None, teacher_id=None),
    ],
)
def test_a_trial_and_its_epochs_come_back_as_they_were(tmp_path: Path, written: TrialRecord) -> None:
    store = Store(tmp_path)
    store.write(written, epochs_of(written))
    assert store.trials() == [written]
    assert store.epochs(written) == epochs_of(written)


def test_a_trial_without_epochs_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(failed(trial()), [])
    assert (store.trials(), store.epochs(failed(trial()))) == ([failed(trial())], [])


def test_the_last_attempt_wins_even_the_tenth_over_the_ninth(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for attempt in (10, 9, 2):
        store.write(replace(trial(), attempt=attempt), [])
    assert [found.attempt for found in store.trials()] == [10]


def test_trials_come_in_the_order_of_their_ends(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed, after in ((0, 5.0), (1, 1.0), (2, 3.0)):
        store.write(trial(seed=seed, after=after), [])
    assert [found.seed for found in store.trials()] == [1, 2, 0]


def test_an_empty_run_has_no_trials(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    assert (store.trials(), store.damaged, store.frozen_study()) == ([], [], None)


def files(store: Store) -> tuple[Path, Path]:
    """The files of the one trial and of its epochs."""
    (of_trial,), (of_epochs,) = ((store.root / kind).glob("*.parquet") for kind in ("trials", "epochs"))
    return of_trial, of_epochs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one trial of three epochs, held for writing."""
    held = Store(write_run(tmp_path, [replace(trial(), epochs_done=3, epochs=3)]))
    with held.writing():
        yield held


def test_what_only_reads_renames_nothing(store: Store) -> None:
    reader, (path, _) = Store(store.root), files(store)
    path.write_bytes(b"torn")
    assert reader.trials() == []
    assert reader.unread == [path]
    assert path.read_bytes() == b"torn"
    assert reader.damaged == []


@pytest.mark.parametrize("accuracy", [1.01, -0.01, 96.5, float("nan")])
def test_an_accuracy_that_is_no_fraction_is_damage_to_every_reader(store: Store, accuracy: float) -> None:
    path, _ = files(store)
    table = pq.read_table(path).replace_schema_metadata()
    at = table.schema.get_field_index("validation_accuracy")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([accuracy], pa.float64())), path)
    with pytest.raises(RunFolderError, match="validation accuracy outside 0 to 1"):
        read_run(store.root)
    assert store.trials() == []


def test_a_file_cut_short_is_set_aside_at_every_length_and_kept(store: Store) -> None:
    path, _ = files(store)
    whole = path.read_bytes()
    for length in (0, 1, 3, 4, 8, 100, len(whole) // 2, len(whole) - 8, len(whole) - 4, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert store.trials() == []
        (damaged,) = store.damaged
        assert damaged.name == path.name + ".damaged"
        assert damaged.read_bytes() == whole[:length]
        damaged.unlink()


@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_is_never_misread(store: Store, which: int) -> None:
    (told,) = store.trials()
    epochs, path = store.epochs(told), files(store)[which]
    whole, rng, noticed = path.read_bytes(), random.Random(which), 0
    for place in rng.sample(range(len(whole)), 250):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        read = store.trials() if which == 0 else store.epochs(told)
        assert read in ([], [told] if which == 0 else epochs)
        if not read:
            noticed += 1
            assert path.with_name(path.name + ".damaged").read_bytes() == damaged
    assert noticed > 100  # the rest hit what Parquet does not use


@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_in_the_note_of_the_version_is_damage(store: Store, which: int) -> None:
    (told,), path = store.trials(), files(store)[which]
    note = b"ksan-harness.records\x18\x014"
    whole = path.read_bytes()
    assert whole.count(note) == 1
    path.write_bytes(whole.replace(note, note[:-1] + b"2"))
    assert (store.trials() if which == 0 else store.epochs(told)) == []
    assert len(store.damaged) == 1


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("codec", "other"), [(b"\x15\x02", b"\x15\x00")])
def test_a_column_said_to_be_of_another_codec_is_not_believed(
    store: Store, which: int, codec: bytes, other: bytes
) -> None:
    (told,), path = store.trials(), files(store)[which]
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    places = [at for at in range(footer, len(whole)) if whole[at : at + 2] == codec]
    assert places
    for at in places:
        path.write_bytes(whole[:at] + other + whole[at + 2 :])
        assert (store.trials() if which == 0 else store.epochs(told)) == []


def test_a_file_of_a_version_without_digests_is_read(store: Store) -> None:
    (told,), (path, _) = store.trials(), files(store)
    pq.write_table(pq.read_table(path).replace_schema_metadata(STAMPED), path)
    assert store.trials() == [told]


def test_a_footer_that_says_another_number_of_rows_is_never_believed(store: Store) -> None:
    (told,), (_, path) = store.trials(), files(store)
    epochs, whole = store.epochs(told), path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in (at for at in range(footer, len(whole)) if whole[at] == 2 * len(epochs)):  # Thrift's form of 3
        for fewer in (2, 4):
            path.write_bytes(whole[:place] + bytes([fewer]) + whole[place + 1 :])
            assert store.epochs(told) in ([], epochs)
    assert store.damaged


def test_a_report_names_a_flipped_bit_too(store: Store) -> None:
    path, _ = files(store)
    whole = path.read_bytes()
    place = whole.index(b"ksan")  # a value in a data page, which has no meaning for the format
    path.write_bytes(whole[:place] + b"ksam" + whole[place + 4 :])
    with pytest.raises(RunFolderError, match=f"{path.name}: is damaged"):
        read_run(store.root)
    assert path.exists()


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"colour": ["red"]}),
        arrow_schema(EpochRecord).empty_table(),
        arrow_schema(TrialRecord).remove(0).empty_table(),
    ],
)
def test_a_table_of_something_else_is_set_aside(store: Store, table: pa.Table) -> None:
    other = store.root / "trials" / "other-1.parquet"
    pq.write_table(table, other)
    assert len(store.trials()) == 1
    assert [path.name for path in store.damaged] == ["other-1.parquet.damaged"]


def test_a_record_that_could_not_have_been_written_is_set_aside(store: Store) -> None:
    path, _ = files(store)
    table = pq.read_table(path).replace_schema_metadata()
    at = table.schema.get_field_index("test_accuracy")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([0.9], pa.float64())), path)
    assert store.trials() == []  # a search trial with a test accuracy
    assert len(store.damaged) == 1


def test_a_kill_between_the_two_files_leaves_the_trial_as_not_run(tmp_path: Path) -> None:
    program = f"""
import os
from harness.store import parquet
from tests.records import epochs_of, trial
whole, files = parquet._write_whole, []
def until_killed(path, table):
    if files:
        os._exit(9)
    files.append(path)
    whole(path, table)
parquet._write_whole = until_killed
parquet.Store(parquet.Path({str(tmp_path)!r})).write(trial(), epochs_of(trial()))
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=root).returncode == 9
    store = Store(tmp_path)
    assert [path.parent.name for path in tmp_path.glob("*/*.parquet")] == ["epochs"]
    assert store.trials() == []
    store.write(trial(), epochs_of(trial()))
    assert (store.trials(), store.epochs(trial())) == ([trial()], epochs_of(trial()))


def test_a_second_writer_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from harness.store.parquet import Store
with Store(Path({str(tmp_path)!r})).writing():
    print("writing", flush=True)
    input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "writing\n"
        with pytest.raises(RunLockedError, match="another search is writing"), Store(tmp_path).writing():
            pass
        first.communicate("\n")
    with Store(tmp_path).writing():
        pass


def test_a_writer_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = f"""
import os
from pathlib import Path
from harness.store.parquet import Store
with Store(Path({str(tmp_path)!r})).writing():
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    with Store(tmp_path).writing():
        pass


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_study_is_kept_as_asked(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.freeze_study(STUDY, "question: é\n")
    assert store.frozen_study() == STUDY
    assert (tmp_path / "run" / "study.yaml").read_text(encoding="utf-8") == "question: é\n"


def test_trouble_of_the_machine_is_no_damage(store: Store) -> None:
    path, _ = files(store)
    path.unlink()
    path.symlink_to(store.root / "not-mounted")
    with pytest.raises(FileNotFoundError):
        store.trials()
    assert store.damaged == []


def test_a_file_of_another_version_is_refused_and_left_where_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(trial(), [])
    (path,) = (tmp_path / "trials").glob("*.parquet")
    table = pq.read_table(path).replace_schema_metadata({"ksan-harness.records": "999"})
    pq.write_table(table.drop_columns(["attempt"]), path, write_page_checksum=True)
    with pytest.raises(OtherVersionError, match="another version of the harness"):
        store.trials()
    assert path.exists()
    assert store.damaged == []
