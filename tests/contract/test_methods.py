"""What every method keeps to, whoever wrote it: the trial loop relies on this list and on nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, TypeAdapter
from torch import Tensor, nn

from harness.distill.catalog import AnyMethod
from harness.distill.method import Losses, Method, Pairing, Parts, Targets
from harness.models.resnet import ResNet
from harness.models.taps import Features, Tapped, tap_shapes
from harness.source import read_yaml
from tests.contract.unions import METHODS

TAPS = ("stage1", "stage2", "stage3")
CLASSES = 5
IMAGE = (3, 16, 16)


def variants(kind: type[Method]) -> Iterator[Any]:
    """A method with its defaults, and with one tap and all, wherever in its settings taps are named."""
    method = kind()
    yield pytest.param(method, id=method.name)
    for path in tap_fields(method):
        for taps in (TAPS[-1:], TAPS):
            yield pytest.param(method.at(path, taps), id=f"{method.name}-{len(taps)}-taps")


def tap_fields(settings: BaseModel, prefix: str = "") -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "taps":
            yield prefix + name
        elif isinstance(value, BaseModel):
            yield from tap_fields(value, f"{prefix}{name}.")


every_method = pytest.mark.parametrize("method", [param for kind in METHODS for param in variants(kind)])


@dataclass
class Bench:
    """One method with a student and a frozen teacher of other depth, width, and size of maps."""

    method: Method
    student: nn.Module
    teacher: nn.Module
    parts: Parts
    images: Tensor
    labels: Tensor

    def said(self) -> Features:
        """The student's features, with a graph."""
        return Tapped(self.student, self.method.tapped)(self.images)

    def targets(self) -> Targets:
        """What the method keeps of the teacher, computed as the trial loop does."""
        if not self.method.needs_teacher:
            return {}
        with torch.no_grad():
            return self.method.targets(Tapped(self.teacher, self.method.tapped)(self.images), self.parts)

    def losses(self) -> Losses:
        """The method's losses of the batch."""
        return self.method.losses(self.said(), self.targets(), self.labels, self.parts)

    def total(self) -> Tensor:
        """The weighted total that is minimised."""
        losses, weights = self.losses(), self.method.loss_weights
        return torch.stack([weights[name] * loss.mean() for name, loss in losses.items() if weights[name] > 0]).sum()


def bench(method: Method, count: int = 6) -> Bench:
    torch.manual_seed(0)
    small, large = ResNet(depth=8, width=2, stem_stride=2), ResNet(depth=14, width=4)
    student, teacher = small.build(3, CLASSES), large.build(3, CLASSES).eval().requires_grad_(False)
    shapes = [tap_shapes(network, method.tapped, IMAGE) for network in (student, teacher)]
    if method.tapped:
        assert shapes[0] != shapes[1]
    pairing = Pairing(shapes[0], shapes[1], CLASSES, logit_mean=0.1, logit_spread=0.5)
    part = method.teacher_part(pairing)
    if part is not None:
        said = [Tapped(teacher, method.tapped)(torch.randn(32, *IMAGE))]
        with torch.no_grad():
            part.settle(said)
        part.eval().requires_grad_(False)
    parts = Parts(pairing, method.student_part(pairing), method.adversary(pairing), part)
    return Bench(method, student, teacher, parts, torch.randn(count, *IMAGE), torch.arange(count) % CLASSES)


@every_method
@pytest.mark.parametrize("count", [2, 6])
def test_losses_are_finite_and_one_an_image(method: Method, count: int) -> None:
    for name, loss in bench(method, count).losses().items():
        assert loss.shape == (count,), name
        assert loss.isfinite().all(), name
        assert loss.dtype == torch.float32, name


@every_method
def test_weights_name_exactly_the_losses(method: Method) -> None:
    assert method.loss_weights.keys() == bench(method).losses().keys()
    assert all(weight >= 0 for weight in method.loss_weights.values())
    assert any(weight > 0 for weight in method.loss_weights.values())


@every_method
def test_the_gradient_reaches_the_student_and_its_part_and_nothing_of_the_teacher(method: Method) -> None:
    on = bench(method)
    on.total().backward()
    for name, parameter in [*on.student.named_parameters(), *on.parts.student.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert sum(float(parameter.grad.abs().sum()) for parameter in on.student.parameters() if parameter.grad is not None)
    frozen = [*on.teacher.parameters(), *(on.parts.teacher.parameters() if on.parts.teacher else [])]
    assert all(parameter.grad is None for parameter in frozen)


@every_method
def test_targets_carry_no_gradient_and_depend_on_each_image_alone(method: Method) -> None:
    on = bench(method)
    whole = on.targets()
    assert not any(target.requires_grad for target in whole.values())
    alone = replace(on, images=on.images[2:4], labels=on.labels[2:4]).targets()
    for name, target in whole.items():
        assert len(target) == 6, name
        assert torch.allclose(alone[name], target[2:4], atol=1e-5), name


@every_method
def test_the_order_of_a_batch_does_not_matter(method: Method) -> None:
    on, order = bench(method), torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = replace(on, images=on.images[order], labels=on.labels[order])
    other = shuffled.losses()
    for name, loss in on.losses().items():
        assert torch.allclose(other[name], loss[order], atol=1e-3, rtol=1e-3), name


@every_method
def test_a_step_down_the_gradient_lowers_the_total(method: Method) -> None:
    on = bench(method)
    learnt = [*on.student.parameters(), *on.parts.student.parameters()]
    before = on.total()
    slopes = torch.autograd.grad(before, learnt)
    length = torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt()
    with torch.no_grad():
        for parameter, slope in zip(learnt, slopes, strict=True):
            parameter.sub_(1e-3 * slope / length)
    assert float(on.total().detach()) < float(before.detach())


@every_method
def test_an_adversary_learns_and_leaves_the_student_alone(method: Method) -> None:
    on = bench(method)
    if on.parts.adversary is None:
        with pytest.raises(NotImplementedError):
            method.adversary_loss(on.said(), on.targets(), on.labels, on.parts)
        return
    said = on.said()
    detached = Features(said.logits.detach(), {tap: maps.detach() for tap, maps in said.maps.items()})
    loss = method.adversary_loss(detached, on.targets(), on.labels, on.parts)
    assert loss.shape == ()
    loss.backward()
    assert all(parameter.grad is not None for parameter in on.parts.adversary.parameters())
    assert all(parameter.grad is None for parameter in [*on.student.parameters(), *on.parts.student.parameters()])
    assert method.adversary_learning_rate > 0


@every_method
def test_networks_may_run_in_bfloat16(method: Method) -> None:
    on = bench(method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = on.said()
    assert said.logits.dtype == torch.bfloat16
    said = Features(said.logits.float(), {tap: maps.float() for tap, maps in said.maps.items()})
    losses = method.losses(said, on.targets(), on.labels, on.parts)
    assert all(loss.dtype == torch.float32 and loss.isfinite().all() for loss in losses.values())
    torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in on.student.parameters())


@every_method
def test_json_and_yaml_keep_the_id(method: Method, tmp_path: Path) -> None:
    union: TypeAdapter[Method] = TypeAdapter(AnyMethod)
    text = method.model_dump_json()
    assert union.validate_json(text).id == method.id
    (tmp_path / "m.yaml").write_text(text)  # JSON is YAML
    assert union.validate_python(read_yaml(tmp_path / "m.yaml").content) == method
    assert json.loads(text)["name"] == method.name


@every_method
def test_the_parts_are_built_from_seeds_alone(method: Method) -> None:
    first, again = bench(method).parts, bench(method).parts
    for one, two in (
        (first.student, again.student),
        (first.adversary, again.adversary),
        (first.teacher, again.teacher),
    ):
        if one is not None and two is not None:
            assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("kind", METHODS)
def test_teacher_parts_come_with_how_they_are_trained_and_what_decides_them(kind: type[Method]) -> None:
    method = kind()
    has_part = bench(method).parts.teacher is not None
    assert (method.pretraining is not None) == has_part
    assert (method.teacher_settings is not None) == has_part
    assert not (has_part and not method.needs_teacher)


@pytest.mark.parametrize("kind", METHODS)
def test_names_are_the_methods_own_and_docstrings_say_what_it_is(kind: type[Method]) -> None:
    assert sum(other().name == kind().name for other in METHODS) == 1
    assert kind.__doc__ is not None
    assert kind.__doc__.splitlines()[0].endswith(".")
