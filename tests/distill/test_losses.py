"""Each loss is its equation: against numbers worked out by hand, and nothing where there is nothing to learn."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.distill.losses import cross_entropy, softened_kl, squared_distance, taken_for_fake, taken_for_real

LN2, LN3 = math.log(2), math.log(3)


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_cross_entropy_by_hand() -> None:
    # softmax(ln 3, 0) = (3/4, 1/4)
    logits = rows([LN3, 0.0], [LN3, 0.0], [5.0, 5.0])
    found = cross_entropy(logits, torch.tensor([0, 1, 0]))
    assert found.tolist() == pytest.approx([math.log(4 / 3), math.log(4), LN2])


def test_softened_kl_by_hand() -> None:
    # T = 2: teacher softmax(2·ln 3 / 2, 0) = (3/4, 1/4), student (1/2, 1/2).
    # 4·(3/4·ln(3/2) + 1/4·ln(1/2)) = 3·ln 3 − 4·ln 2
    found = softened_kl(rows([0.0, 0.0]), rows([2 * LN3, 0.0]), 2.0)
    assert found.tolist() == pytest.approx([3 * LN3 - 4 * LN2])


def test_softened_kl_is_of_the_teacher_from_the_student_and_not_the_reverse() -> None:
    # T = 1: 1/2·ln((1/2)/(3/4)) + 1/2·ln((1/2)/(1/4)) = ln 2 − 1/2·ln 3
    found = softened_kl(rows([LN3, 0.0]), rows([0.0, 0.0]), 1.0)
    assert found.tolist() == pytest.approx([LN2 - LN3 / 2])


def test_the_temperature_does_not_change_the_gradient_s_size() -> None:
    # For T → ∞ the gradient of T²·KL tends to (student − teacher)/classes for logits of mean 0 (Hinton et al., §2).
    student, teacher = rows([0.3, -0.3]).requires_grad_(), rows([-0.1, 0.1])
    softened_kl(student, teacher, 1e3).sum().backward()
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([0.2, -0.2], rel=1e-3)


def test_squared_distance_is_the_mean_over_all_entries_of_an_image() -> None:
    student = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    teacher = torch.tensor([[[1.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 1.0]]])
    assert squared_distance(student, teacher).tolist() == [(4 + 9) / 4, 0.25]


def test_verdicts_by_hand() -> None:
    # D = sigmoid(ln 3) = 3/4
    verdict = torch.tensor([LN3, 0.0, -LN3], dtype=torch.float64)
    assert taken_for_real(verdict).tolist() == pytest.approx([math.log(4 / 3), LN2, math.log(4)])
    assert taken_for_fake(verdict).tolist() == pytest.approx([math.log(4), LN2, math.log(4 / 3)])


@pytest.mark.parametrize("distance", [squared_distance, lambda a, b: softened_kl(a, b, 4.0)])
def test_nothing_is_lost_where_student_equals_teacher(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    assert distance(logits, logits.clone()).tolist() == pytest.approx([0.0] * 8, abs=1e-12)
    assert float(distance(logits, logits + torch.eye(10, dtype=torch.float64)[0]).min()) > 0


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize(
    "loss",
    [
        lambda logits: cross_entropy(logits, torch.tensor([0, 1])),
        lambda logits: softened_kl(logits, -logits.detach(), 4.0),
        lambda logits: squared_distance(logits, -logits.detach()),
        lambda logits: taken_for_real(logits[:, 0]),
        lambda logits: taken_for_fake(logits[:, 0]),
    ],
)
def test_huge_logits_give_finite_losses_and_gradients(loss: Callable[[Tensor], Tensor], size: float) -> None:
    logits = torch.tensor([[size, 0.0, -size], [0.0, size, size]], requires_grad=True)
    found = loss(logits)
    found.sum().backward()
    assert found.shape == (2,)
    assert found.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0 or bool((found < 1e-6).any())
