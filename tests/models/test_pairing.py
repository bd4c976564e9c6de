"""Taps are paired by the size of their maps, or by name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.models.pairing import PairedTap, TapPair, Taps, paired_taps
from harness.models.resnet import ResNet
from harness.models.taps import Anatomy, anatomy

IMAGE = (3, 32, 32)
TEACHER = anatomy(ResNet(depth=14), IMAGE, 10)
STUDENT = anatomy(ResNet(depth=8), IMAGE, 10)
HALVED = anatomy(ResNet(depth=8, stem_stride=2), IMAGE, 10)
FIVE = Anatomy("five", ("a", "b", "c", "d", "e"), {name: (4, 64 >> i, 64 >> i) for i, name in enumerate("abcde")})


def names(wish: Any, student: Anatomy = STUDENT, teacher: Anatomy = TEACHER) -> list[str]:
    return [pair.name for pair in paired_taps(TypeAdapter(Taps).validate_python(wish), student, teacher)]


def test_networks_of_one_make_are_paired_stage_by_stage() -> None:
    assert names("all") == ["stage1", "stage2", "stage3"]
    assert names(1) == ["stage3"]
    assert names(2) == ["stage2", "stage3"]
    assert names("middle") == ["stage2"]


def test_stages_are_paired_by_the_size_of_their_maps_and_not_by_their_number() -> None:
    assert names("all", HALVED) == ["stage1=stage2", "stage2=stage3"]
    assert names("all", FIVE) == ["b=stage1", "c=stage2", "d=stage3"]
    assert names("middle", FIVE) == ["c=stage2"]
    assert not any(pair.is_resized for pair in paired_taps("all", FIVE, TEACHER))


def test_named_taps_may_differ_in_size_and_say_so() -> None:
    (pair,) = paired_taps((TapPair(student="stage1", teacher="stage1"),), HALVED, TEACHER)
    assert pair == PairedTap("stage1", "stage1", (16, 16, 16), (16, 32, 32))
    assert pair.is_resized


def test_any_module_path_is_a_tap_and_the_order_is_the_network_s() -> None:
    assert names(["embedding", "stage3", "stage1.0.conv1"]) == ["stage1.0.conv1", "stage3", "embedding"]
    assert names([{"student": "stem", "teacher": "stage1"}]) == ["stem=stage1"]


@pytest.mark.parametrize(
    ("wish", "student", "message"),
    [
        (["stage4"], STUDENT, r"the student resnet8-w16 has no tap stage4; its stages end at"),
        ([{"student": "stage1", "teacher": "x"}], STUDENT, r"the teacher resnet14-w16 has no tap x; .* stage1, stage2"),
        (["stage1", "stage1"], STUDENT, "a tap stands twice"),
        (3, HALVED, r"\(16×16, 8×8, 4×4\) and resnet14-w16 \(32×32, 16×16, 8×8\) have 2 sizes in common, and 3 pairs"),
        ("all", Anatomy("odd", ("a",), {"a": (1, 5, 5)}), r"have 0 sizes in common, and a pair of taps"),
        (["embedding"], Anatomy("headless", (), {}), "the student headless has no embedding"),
    ],
)
def test_what_cannot_be_paired_is_refused(wish: Any, student: Anatomy, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        names(wish, student)


@pytest.mark.parametrize("wish", ["last", 0, -1, [], True, 1.5, [1], [{"student": "a"}], None])
def test_other_wishes_are_refused_in_one_sentence(wish: Any) -> None:
    with pytest.raises(ValidationError, match="taps are all, middle, the number of the deepest, or a list") as refused:
        TypeAdapter(Taps).validate_python(wish)
    assert refused.value.error_count() == 1
