"""The test split is opened by a confirmation and by nothing else, in the code as at run time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.data.dataset import DataError
from harness.data.digits import Digits
from harness.data.splits import Splits, TestSplitSealedError, Warrant, open_test, parts, stratified_order
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


def calls(name: str) -> Iterator[str]:
    """The files of the package that call a name, or look it up by its text: `getattr(data, "test_images")`.

    A record has the number of test images under that name too; it is read and not called.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called == name or name in texts:
                yield path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize(
    ("name", "only"),
    [("test_images", "data/splits.py"), ("open_test", "train/workshop.py"), ("Warrant", "train/workshop.py")],
)
def test_one_place_in_the_code_opens_the_test_split(name: str, only: str) -> None:
    assert only in set(calls(name)) <= {only, "data/splits.py"}


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(0, 9), st.data())
def test_any_run_of_the_order_has_each_class_in_its_share(sizes: list[int], seed: int, draw: st.DataObject) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    start = draw.draw(st.integers(0, len(labels) - 1))
    end = draw.draw(st.integers(start + 1, len(labels)))
    counts = np.bincount(labels[order[start:end]], minlength=len(sizes))
    # Rounded at both ends; and the ends themselves lie within half the number of classes.
    slack = 1 + len(sizes) * np.array(sizes) / len(labels)
    assert (np.abs(counts - np.array(sizes) * (end - start) / len(labels)) <= slack).all()


def test_a_class_too_rare_for_both_parts_is_refused() -> None:
    labels = np.repeat(np.arange(10), [100] * 9 + [1])
    with pytest.raises(DataError, match=r"digits: class 9 has no image among the \d+ of `\w+`; it has 1 in all"):
        parts(Digits(validation=100, train=500), labels)
