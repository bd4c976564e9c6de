"""The discriminator's shape, and each term of its losses by hand."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from harness.distill.discriminator import Discriminator, Regulariser

LN3 = math.log(3)
LABELS = torch.tensor([0, 1])

# A verdict and three class logits an image: D = 3/4 and 1/2; softmax = (1/3, 1/3, 1/3) and (1/5, 3/5, 1/5).
SAYS = torch.tensor([[LN3, 0.0, 0.0, 0.0], [0.0, 0.0, LN3, 0.0]])
CLASS = [math.log(3), math.log(5 / 3)]
# Of the teacher: D = 1/4 and 1/2, and every class is as likely as another.
OF_TEACHER = torch.tensor([[-LN3, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize(("class_head", "outputs"), [(True, 11), (False, 1)])
@pytest.mark.parametrize("widths", [(8,), (16, 4), (128, 256, 128)])
def test_it_gives_a_verdict_and_with_a_class_head_the_classes(
    class_head: bool, outputs: int, widths: tuple[int, ...]
) -> None:
    network = Discriminator(widths=widths, class_head=class_head).build(10)
    assert network(torch.randn(5, 10)).shape == (5, outputs)
    linear = [module.out_features for module in network if isinstance(module, nn.Linear)]
    assert linear == [*widths, outputs]


def test_its_layers_are_in_the_paper_s_order() -> None:
    network = Discriminator(widths=(8, 4)).build(10)
    kinds = [type(module).__name__ for module in network]
    assert kinds == ["BatchNorm1d", *["Linear", "BatchNorm1d", "ReLU"] * 2, "Linear"]


def test_the_student_wants_to_be_taken_for_the_teacher_and_for_its_class() -> None:
    verdicts = [math.log(4 / 3), math.log(2)]
    with_classes = Discriminator().student_loss(SAYS, LABELS)
    assert with_classes.tolist() == pytest.approx([v + c for v, c in zip(verdicts, CLASS, strict=True)])
    assert Discriminator(class_head=False).student_loss(SAYS[:, :1], LABELS).tolist() == pytest.approx(verdicts)


def test_the_papers_own_objective_of_the_student_is_log_of_1_minus_d() -> None:
    minimax = Discriminator(class_head=False, student_objective="minimax")
    assert minimax.student_loss(SAYS[:, :1], LABELS).tolist() == pytest.approx([math.log(1 / 4), math.log(1 / 2)])


@pytest.mark.parametrize("verdict", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("objective", ["non_saturating", "minimax"])
def test_both_objectives_push_the_verdict_up(verdict: float, objective: str) -> None:
    says = torch.tensor([[verdict]], requires_grad=True)
    settings = Discriminator.model_validate({"class_head": False, "student_objective": objective})
    settings.student_loss(says, LABELS[:1]).sum().backward()
    assert says.grad is not None
    assert float(says.grad) < 0


def test_its_own_loss_without_classes_and_regularisers() -> None:
    # −log D(teacher) − log(1 − D(student)): image 1 −log 1/4 − log 1/4, image 2 −log 1/2 − log 1/2
    plain = Discriminator(class_head=False, regularisers=())
    found = plain.own_loss(OF_TEACHER[:, :1], SAYS[:, :1], LABELS)
    assert found.tolist() == pytest.approx([2 * math.log(4), 2 * math.log(2)])


def test_adversarial_samples_show_it_the_student_as_the_teacher() -> None:
    plain = Discriminator(class_head=False, regularisers=())
    shown = Discriminator(class_head=False, regularisers=("adversarial_samples",), mu=0.5)
    more = shown.own_loss(OF_TEACHER, SAYS, LABELS) - plain.own_loss(OF_TEACHER, SAYS, LABELS)
    assert more.tolist() == pytest.approx([0.5 * math.log(4 / 3), 0.5 * math.log(2)], rel=1e-5)


def test_the_class_head_asks_for_the_class_of_both() -> None:
    plain, heads = (Discriminator(class_head=head, regularisers=()) for head in (False, True))
    more = heads.own_loss(OF_TEACHER, SAYS, LABELS) - plain.own_loss(OF_TEACHER, SAYS, LABELS)
    assert more.tolist() == pytest.approx([math.log(3) + CLASS[0], math.log(3) + CLASS[1]], rel=1e-5)


@pytest.mark.parametrize(
    ("regularisers", "expected"),
    [
        ((), None),
        (("adversarial_samples",), None),
        (("l1",), 0.5 * (1 + 2 + 3 + 4) / 4),
        (("l2",), 0.5 * (1 + 4 + 9 + 16) / 4),
        (("l1", "l2"), 0.5 * (10 + 30) / 4),
    ],
)
def test_the_penalty_is_of_the_weight_matrices_alone(
    regularisers: tuple[Regulariser, ...], expected: float | None
) -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1), nn.Linear(1, 2))
    for module, weight in ((network[1], [[1.0, -2.0]]), (network[2], [[3.0], [-4.0]])):
        module.weight.data = torch.tensor(weight)
    with torch.no_grad():
        penalty = Discriminator(regularisers=regularisers, mu=0.5).weight_penalty(network)
    assert (penalty if penalty is None else float(penalty)) == pytest.approx(expected)


def test_the_order_of_regularisers_makes_no_other_discriminator() -> None:
    assert Discriminator(regularisers=("l2", "l1")).id == Discriminator(regularisers=("l1", "l2")).id


@pytest.mark.parametrize(
    "wrong", [{"widths": ()}, {"widths": (0,)}, {"widths": (1,) * 7}, {"regularisers": ("l1", "l1")}, {"mu": -1}]
)
def test_what_is_no_discriminator_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Discriminator.model_validate(wrong)
