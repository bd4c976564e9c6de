"""The test split is opened by a confirmation and by nothing else, in the code as at run time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import harness
from harness.data.digits import Digits
from harness.data.splits import Splits, TestSplitSealedError, Warrant, open_test
from harness.record import Purpose

PACKAGE = Path(harness.__file__).parent


@pytest.mark.parametrize("purpose", ["search", "teacher"])
def test_no_warrant_is_given_but_to_a_confirmation(purpose: Purpose) -> None:
    with pytest.raises(TestSplitSealedError, match=f"trial abc is a {purpose} trial; only a confirmation"):
        Warrant("abc", purpose)


@pytest.mark.parametrize("warrant", [None, "confirmation", True, ("abc", "confirmation")])
def test_nothing_but_a_warrant_opens_the_test_split(warrant: object) -> None:
    with pytest.raises(TestSplitSealedError):
        open_test(Digits(), Path(), warrant)  # type: ignore[arg-type]


def test_splits_hold_no_test_images() -> None:
    assert [field.name for field in fields(Splits)] == ["train", "validation", "fingerprint"]


def mentions(name: str) -> Iterator[str]:
    """The files of the package that mention a name other than to define or import it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            used = (isinstance(node, ast.Attribute) and node.attr == name) or (
                isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
            )
            if used or (isinstance(node, ast.Constant) and node.value == name):  # getattr(data, "test_images")
                yield path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize(
    ("name", "only"),
    [("test_images", "data/splits.py"), ("open_test", "train/workshop.py"), ("Warrant", "train/workshop.py")],
)
def test_one_place_in_the_code_opens_the_test_split(name: str, only: str) -> None:
    assert only in set(mentions(name)) <= {only, "data/splits.py"}
