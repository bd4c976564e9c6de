"""YAML is read as it looks, every key knows its line, and what is wrong is told with its place."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.source import (
    ExitedError,
    Interrupted,
    Problem,
    Source,
    SpecError,
    contained,
    did_you_mean,
    dotted,
    read_yaml,
    shown,
)


def read(folder: Path, text: str | bytes) -> Source:
    path = folder / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


def refused(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as refusal:
        read(folder, text)
    return str(refusal.value).replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E2", 500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-3", -3),
        ("+3", 3),
        ("007", 7),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("off", "off"),
        ("no", "no"),
        ("yes", "yes"),
        ("On", "On"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1.2.3", "1.2.3"),
        ("é…", "é…"),
    ],
)
def test_scalars_are_what_they_look_like(tmp_path: Path, text: str, value: object) -> None:
    found = read(tmp_path, f"a: {text}\n").content["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_number_of_many_digits_does_not_stall_the_reading(tmp_path: Path) -> None:
    assert read(tmp_path, f"a: {'9' * 10_000}").content["a"] == float("inf")


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    source = read(tmp_path, "a: 1\n# a remark\nb:\n  - x\n  -\n    c: {d: 2,\n         e: 3}\n")
    assert source.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 1): 6,
        ("b", 1, "c"): 6,
        ("b", 1, "c", "d"): 6,
        ("b", 1, "c", "e"): 7,
    }


def test_a_location_that_the_file_lacks_is_told_at_the_nearest_that_it_has(tmp_path: Path) -> None:
    source = read(tmp_path, "a: 1\nb:\n  c: 2\n")
    assert str(source.problem(("b", "tag", "c"), "is wrong")).endswith("x.yaml:3: b.c is wrong")
    assert str(source.problem(("b", "tag"), "is wrong")).endswith("x.yaml:2: b is wrong")
    assert str(source.problem(("b", "d"), "is missing", is_missing=True)).endswith("x.yaml:2: b.d is missing")


def test_keys_given_twice_are_all_told_at_once(tmp_path: Path) -> None:
    assert refused(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\n") == [
        "x.yaml:2: b.c is given twice; keep one",
        "x.yaml:3: a is given twice; keep one",
    ]


def test_an_alias_of_a_group_is_refused_and_one_of_a_scalar_read(tmp_path: Path) -> None:
    assert refused(tmp_path, "a: &x {c: 1}\nb: *x\n") == ["x.yaml:1: b is an alias (*name); write it out instead"]
    assert read(tmp_path, "a: &x 1\nb: *x\n").content == {"a": 1, "b": 1}


def test_a_small_file_cannot_unfold_into_a_huge_one(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 30)]
    assert all("is an alias" in line for line in refused(tmp_path, "\n".join(levels)))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!set", "!mine", "!!timestamp"])
def test_a_tag_is_refused(tmp_path: Path, tag: str) -> None:
    (line,) = refused(tmp_path, f"a: 1\nb: {tag} x\n")
    assert line.startswith("x.yaml:2: b has the tag ")
    assert line.endswith("which is not read here; remove it")


@pytest.mark.parametrize("text", ["", "# only a remark\n", "[1, 2]\n", "word\n", "3\n"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text) == ["x.yaml: is empty or no mapping; write `name: value` lines"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: c: d\n", "x.yaml:2: is no YAML: mapping values are not allowed here"),
        ("a: [1, 2\n", "x.yaml:2: is no YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2\n", "x.yaml:2: is no YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: is no YAML: but found another document"),
        ("a: *nowhere\n", "x.yaml:1: is no YAML: found undefined alias 'nowhere'"),
        (b"a: \xff\n", "x.yaml: is not UTF-8 text; save it as UTF-8"),
        (b"a: \x00\n", "x.yaml: is no YAML: special characters are not allowed"),
        ("a: " + "[" * 5000 + "]" * 5000, "x.yaml: is nested too deeply to be a spec"),
        ("a: " + "{b: " * 5000 + "1" + "}" * 5000, "x.yaml: is nested too deeply to be a spec"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refused(tmp_path, text) == [message]


@pytest.mark.parametrize("depth", [50, 100, 200, 300, 400, 600])
def test_no_depth_of_nesting_crashes_the_reading(tmp_path: Path, depth: int) -> None:
    try:
        assert read(tmp_path, "a: " + "[" * depth + "]" * depth).content.keys() == {"a"}
    except SpecError as error:
        assert str(error).endswith("is nested too deeply to be a spec")


def test_a_missing_file_and_a_folder_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SpecError) as refusal:
            read_yaml(path)
        assert str(refusal.value) == f"{path}: cannot be read: {reason}"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffa: 1\n").content == {"a": 1}


def test_the_nearest_name_is_offered_or_else_all() -> None:
    assert did_you_mean("ksna", ["kd", "ksan", "anc"]) == "did you mean ksan?"
    assert did_you_mean("zzz", ["kd", "ksan"]) == "known: kd, ksan"
    assert did_you_mean(None, []) == "known: none"


def test_values_are_shown_as_json_and_cut() -> None:
    assert shown({"a": [1, "é"]}) == '{"a": [1, "é"]}'
    assert shown(Path("x")) == '"x"'
    assert len(shown("x" * 100)) == 58
    assert shown("x" * 100).endswith("x…")


def test_locations_are_written_as_a_person_writes_them() -> None:
    assert dotted(("arms", 1, "space", "method.alpha")) == "arms[1].space.method.alpha"
    assert dotted(()) == ""


def test_the_same_problem_is_told_once() -> None:
    problem = Problem("x.yaml", 3, "a", "is wrong")
    assert str(SpecError([problem, problem])) == "x.yaml:3: a is wrong"


def _ends(error: type[BaseException]) -> None:
    with contained():
        raise error


def test_only_a_persons_interrupt_ends_other_peoples_code() -> None:
    with pytest.raises(ExitedError, match="it ends the program: SystemExit"):
        _ends(SystemExit)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # without a handler of ours it may be a person's
            _ends(KeyboardInterrupt)
        signal.signal(signal.SIGINT, lambda *_: None)
        with pytest.raises(ExitedError, match="it ends the program: KeyboardInterrupt"):
            _ends(KeyboardInterrupt)
        with pytest.raises(Interrupted):
            _ends(Interrupted)
    finally:
        signal.signal(signal.SIGINT, before)
