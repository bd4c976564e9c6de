"""Specs are frozen, refuse what they do not know, and have an id of their content alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from harness.source import Source, SpecError, read_yaml
from harness.spec import Spec, content_id, leaves, one_of, problems_of


class Inner(Spec):
    share: float = Field(default=0.5, ge=0, le=1)
    widths: tuple[int, ...] = (4, 8)


class Outer(Spec):
    epochs: int = 3
    quick: bool = False
    inner: Inner = Inner()
    most: int | None = None
    bounds: tuple[float, float] = (0.0, 1.0)
    mode: Literal[1, 2] = 1


def message(content: dict[str, Any], folder: Path) -> str:
    path = folder / "x.yaml"
    path.write_text(json.dumps(content))
    source: Source = read_yaml(path)
    with pytest.raises(ValidationError) as refusal:
        Outer.model_validate(source.content)
    return str(SpecError(list(problems_of(refusal.value, source, Outer)))).replace(f"{folder}/", "")


def test_equal_content_has_an_equal_id_whatever_the_order_and_the_defaults() -> None:
    assert Outer(epochs=3, quick=False).id == Outer(quick=False, inner=Inner(widths=(4, 8))).id == Outer().id


@pytest.mark.parametrize(
    "change", [{"epochs": 4}, {"quick": True}, {"inner": {"share": 0.25}}, {"inner": {"widths": (8, 4)}}, {"most": 3}]
)
def test_other_content_has_another_id(change: dict[str, Any]) -> None:
    assert Outer.model_validate(change).id != Outer().id


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"epochs": "20"}, 'epochs "20" is no whole number; write one, such as 3'),
        ({"most": "20"}, 'most "20" is no whole number'),
        ({"mode": "1"}, 'mode "1" is not a choice'),
        ({"inner": {"share": "0.5"}}, 'inner.share "0.5" is no number; write one, such as 0.1'),
        ({"inner": {"widths": [4, "8"]}}, 'inner.widths[1] "8" is no whole number'),
    ],
)
def test_a_number_in_quotes_is_text(content: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in message(content, tmp_path)


def test_an_id_is_the_same_in_another_process() -> None:
    program = "from harness.spec import content_id; print(content_id({'b': [1, 2.5, None], 'a': 'é'}))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == content_id({"a": "é", "b": [1, 2.5, None]}) == "d764fee2563da33e"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_like, max_size=5))
def test_the_order_of_keys_does_not_matter_to_an_id(content: dict[str, Any]) -> None:
    assert content_id(dict(reversed(content.items()))) == content_id(content)


@given(json_like)
def test_an_id_survives_the_way_through_json(content: object) -> None:
    assert content_id(json.loads(json.dumps(content))) == content_id(content)


def test_a_spec_does_not_change() -> None:
    spec = Outer()
    with pytest.raises(ValidationError, match="frozen"):
        spec.epochs = 4  # type: ignore[misc]


@given(share=st.floats(0, 1), epochs=st.integers(-5, 5))
def test_a_value_put_somewhere_stands_there(share: float, epochs: int) -> None:
    spec = Outer().with_values({"inner.share": share, "epochs": epochs})
    assert (spec.value_at("inner.share"), spec.value_at("epochs")) == (share, epochs)
    assert spec.with_values({"inner.share": 0.5, "epochs": 3}) == Outer()
    assert Outer().at("inner.share", share).at("epochs", epochs).id == spec.id


def test_a_whole_group_can_be_put_somewhere() -> None:
    assert Outer().at("inner", Inner(share=1)).inner == Inner(share=1.0)
    assert Outer().at("inner", {"share": 1}).inner == Inner(share=1.0)
    assert Outer().at("most", 7).most == 7


def test_putting_a_value_leaves_the_spec_alone_and_checks_it() -> None:
    spec = Outer()
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        spec.at("inner.share", 2)
    assert spec.inner.share == 0.5


@pytest.mark.parametrize("path", ["epoch", "inner.shar", "epochs.x", "inner.share.x", "most.x", ""])
def test_a_path_that_does_not_exist_is_a_key_error(path: str) -> None:
    with pytest.raises(KeyError):
        Outer().at(path, 1)


def test_differences_name_every_leaf_that_differs() -> None:
    other = Outer(epochs=4, inner=Inner(widths=(4, 9, 1)))
    assert Outer().differences(other) == {
        "epochs": (3, 4),
        "inner.widths[1]": (8, 9),
        "inner.widths[2]": (None, 1),
    }
    assert Outer().differences(Outer()) == {}


def test_leaves_are_scalars_and_empty_groups() -> None:
    assert dict(leaves({"a": {"b": [1, {"c": 2}]}, "d": {}, "e": []})) == {
        "a.b[0]": 1,
        "a.b[1].c": 2,
        "d": {},
        "e": [],
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Inner(share=value)
    with pytest.raises(ValidationError, match="finite"):
        Outer(bounds=(0.0, value))


@pytest.mark.parametrize(
    "content",
    [
        {"epochs": True},
        {"most": False},
        {"inner": {"share": True}},
        {"inner": {"widths": [4, True]}},
        {"bounds": [False, 1]},
        {"mode": True},
    ],
)
def test_a_truth_value_is_no_number(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Outer.model_validate(content)


def test_a_truth_value_is_a_truth_value() -> None:
    assert Outer.model_validate({"quick": True}).quick is True
    assert Outer.model_validate({"quick": "off"}).quick is False


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"epoch": 4}, "x.yaml:1: epoch is not a field here; did you mean epochs?"),
        ({"inner": {"zzz": 4}}, "x.yaml:1: inner.zzz is not a field here; known: share, widths"),
        ({"epochs": 1.5}, "x.yaml:1: epochs 1.5 is no whole number; write one, such as 3"),
        ({"epochs": True}, 'x.yaml:1: epochs "true" is no whole number; write one, such as 3'),
        ({"quick": "maybe"}, 'x.yaml:1: quick "maybe" is no truth value; write true or false'),
        ({"inner": {"share": -1}}, "x.yaml:1: inner.share -1 is too small; it must be at least 0.0"),
        ({"inner": 3}, "x.yaml:1: inner 3 is no group of settings; write {share: …, widths: …}"),
        ({"inner": {"widths": 3}}, "x.yaml:1: inner.widths 3 is no list; write [ … ]"),
        ({"bounds": [1]}, "x.yaml:1: bounds[1] is missing; add it"),
        ({"bounds": [1, 2, 3]}, "x.yaml:1: bounds [1, 2, 3] has 3 items; it takes at most 2"),
        ({"mode": 3}, "x.yaml:1: mode 3 is not a choice; known: 1 or 2"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_the_remedy(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    assert message(content, tmp_path) == told


def test_a_union_of_one_is_that_one_and_of_more_is_told_apart_by_name() -> None:
    class Dog(Spec):
        name: Literal["dog"] = "dog"

    class Cat(Spec):
        name: Literal["cat"] = "cat"

    class Home(BaseModel):
        pet: one_of([Dog, Cat], "harness.no_such_group")  # type: ignore[valid-type]

    assert one_of([Dog], "harness.no_such_group") is Dog
    Home.model_rebuild(_types_namespace={"one_of": one_of, "Dog": Dog, "Cat": Cat})
    assert isinstance(Home.model_validate({"pet": {"name": "cat"}}).pet, Cat)
