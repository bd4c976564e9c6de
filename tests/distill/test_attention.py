"""The estimators squeeze maps into descriptors, and the teacher's know their spread and refuse to say nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.distill.attention import Attention, Estimator, Squeeze, TeacherAttention
from harness.distill.method import CollapsedError, Pairing
from harness.models.taps import Features

STUDENT = {"a": (2, 6, 6), "b": (4, 3, 3)}
TEACHER = {"a": (5, 4, 4), "b": (6, 2, 2)}
PAIRING = Pairing(STUDENT, TEACHER, labels=torch.arange(3), classes=3)


def settings(**fields: Any) -> Attention:
    return Attention.model_validate({"global_width": 7, **fields})


def maps(shapes: dict[str, tuple[int, int, int]], count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {tap: torch.randn(count, *shape, generator=generator) for tap, shape in shapes.items()}


def teacher_attention(seed: int = 0, **fields: Any) -> TeacherAttention:
    torch.manual_seed(seed)
    return TeacherAttention(PAIRING, settings(**fields))


def batches(*counts: int) -> list[Features]:
    return [Features(torch.zeros(count, 3), maps(TEACHER, count, seed)) for seed, count in enumerate(counts)]


def test_attention_is_a_share_of_each_position() -> None:
    torch.manual_seed(0)
    attention = Estimator(5, settings()).attention(torch.randn(3, 5, 4, 4), torch.randn(3, 5), None)
    assert attention.shape == (3, 1, 4, 4)
    assert float(attention.detach().min()) > 0
    assert attention.sum(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("transform", [None, nn.Linear(2, 5, bias=False)], ids=["own channels", "transformed"])
@pytest.mark.parametrize("pooled", ["hatted", "plain"])
@pytest.mark.parametrize("aggregate", ["sum", "mean"])
def test_a_descriptor_is_what_the_paper_prints_position_by_position(
    pooled: str, aggregate: str, transform: nn.Linear | None
) -> None:
    """L̂ = transform(map) + steer(g), scores = score(ReLU(hidden(L̂))), v = Σ softmax(scores) · (L̂ or L)."""
    torch.manual_seed(0)
    estimator = Estimator(5, settings(pooled=pooled, aggregate=aggregate))
    maps, g = torch.randn(3, transform.in_features if transform else 5, 4, 4), torch.randn(3, 7)
    by_hand = torch.zeros(3, 5)
    for image in range(3):
        steer = estimator.steer(g[image])
        places = maps[image].flatten(1).unbind(1)
        local = [transform(place) if transform else place for place in places]
        scores = torch.cat([estimator.score(estimator.hidden(one + steer).relu()) for one in local])
        for share, one in zip(scores.softmax(dim=0), local, strict=True):
            by_hand[image] += share * (one + (steer if pooled == "hatted" else 0))
    by_hand /= 16 if aggregate == "mean" else 1
    torch.testing.assert_close(estimator(maps, g, transform), by_hand)


def test_equal_positions_share_attention_equally() -> None:
    torch.manual_seed(0)
    estimator = Estimator(5, settings(pooled="plain"))
    maps, g = torch.randn(2, 5, 1, 1).expand(2, 5, 3, 3), torch.randn(2, 7)
    assert estimator.attention(maps, estimator.steer(g), None).flatten().tolist() == pytest.approx([1 / 9] * 18)
    assert torch.allclose(estimator(maps, g), maps[..., 0, 0], atol=1e-6)


@pytest.mark.parametrize(("reduction", "width"), [(1, 5), (2, 2), (5, 1), (6, 1), (64, 1)])
def test_the_hidden_width_is_channels_over_reduction_and_1_at_the_least(reduction: int, width: int) -> None:
    estimator = Estimator(5, settings(reduction=reduction))
    assert (estimator.hidden.out_features, estimator.score.in_features) == (width, width)
    assert estimator(torch.randn(2, 5, 2, 2), torch.randn(2, 7)).shape == (2, 5)


def test_the_student_s_descriptors_have_the_teacher_s_channels() -> None:
    student = Squeeze(STUDENT, TEACHER, settings(), transform=True)
    teacher = Squeeze(TEACHER, TEACHER, settings(), transform=False)
    assert [tuple(v.shape) for v in student(maps(STUDENT, 2))] == [(2, 5), (2, 6)]
    assert [tuple(v.shape) for v in teacher(maps(TEACHER, 2))] == [(2, 5), (2, 6)]


def test_the_global_descriptor_is_the_mean_of_a_1x1_convolution_of_the_last_tap() -> None:
    torch.manual_seed(0)
    squeeze, said = Squeeze(TEACHER, TEACHER, settings(), transform=False), maps(TEACHER, 2)
    weight = squeeze.describe.weight[:, :, None, None]
    convolved = torch.nn.functional.conv2d(said["b"], weight, squeeze.describe.bias).mean(dim=(2, 3))
    assert torch.allclose(squeeze.describe(said["b"].mean(dim=(2, 3))), convolved, atol=1e-6)


def test_settling_measures_each_tap_s_spread_over_all_batches() -> None:
    part, said = teacher_attention(), batches(40, 24)
    with torch.no_grad():
        part.settle(said)
        by_tap = zip(*(part.squeeze(batch.maps) for batch in said), strict=True)
    expected = []
    for pieces in by_tap:
        descriptors = np.concatenate([piece.numpy() for piece in pieces])
        expected.append(np.sqrt(np.mean(np.var(descriptors, axis=0, ddof=1))))
    assert part.spread.tolist() == pytest.approx(expected, rel=1e-5)
    assert expected[0] != pytest.approx(expected[1], rel=0.05)


def test_settled_descriptors_have_the_spread_1_at_every_tap() -> None:
    part, said = teacher_attention(), batches(64)
    with torch.no_grad():
        part.settle(said)
        joined = part(said[0].maps)
    assert joined.shape == (64, 11)
    for tap in (joined[:, :5], joined[:, 5:]):
        assert float(tap.var(dim=0).mean()) == pytest.approx(1.0, rel=1e-4)


def test_without_standardising_the_spread_stays_1() -> None:
    part = teacher_attention(standardise=False)
    with torch.no_grad():
        part.settle(batches(16))
    assert part.spread.tolist() == [1.0, 1.0]


def test_scaling_divides_each_tap_by_its_own_spread() -> None:
    part = teacher_attention()
    part.spread.copy_(torch.tensor([2.0, 4.0]))
    found = part.scaled([torch.ones(1, 2), torch.ones(1, 3)])
    assert found.tolist() == [[0.5, 0.5, 0.25, 0.25, 0.25]]


def test_estimators_that_say_the_same_of_every_image_are_refused_by_the_tap_s_name() -> None:
    same = {tap: value[:1].expand(16, -1, -1, -1) for tap, value in maps(TEACHER, 1).items()}
    with torch.no_grad(), pytest.raises(CollapsedError, match="the teacher's estimator at a collapsed"):
        teacher_attention().settle([Features(torch.zeros(16, 3), same)])


@pytest.mark.parametrize("broken", ["nan", "0"])
def test_estimators_that_say_nothing_are_refused(broken: str) -> None:
    part = teacher_attention(pooled="plain")
    said = {tap: torch.full_like(value, float(broken)) for tap, value in maps(TEACHER, 8).items()}
    with torch.no_grad(), pytest.raises(CollapsedError):
        part.settle([Features(torch.zeros(8, 3), said)])


def test_the_guard_is_a_setting() -> None:
    with torch.no_grad(), pytest.raises(CollapsedError, match="least_spread 1000"):
        teacher_attention(pretraining={"least_spread": 1000}).settle(batches(16))


def test_pretraining_reaches_every_estimator_and_the_classifier() -> None:
    part = teacher_attention()
    (said,) = batches(16)
    loss = part.pretraining_loss(said, torch.arange(16) % 3)
    assert loss.shape == (16,)
    loss.sum().backward()
    assert all(parameter.grad is not None for parameter in part.parameters())
