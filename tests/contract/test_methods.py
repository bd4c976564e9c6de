"""What every method keeps to, whoever wrote it: the trial loop relies on this list and on nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError
from torch import Tensor, nn

from harness.distill.catalog import AnyMethod
from harness.distill.method import Lesson, Losses, Method, Pairing, Parts, Targets
from harness.models.pairing import PairedTap, paired_taps
from harness.models.resnet import ResNet
from harness.models.taps import Features, Tapped, anatomy
from harness.source import read_yaml
from harness.spec import leaves
from tests.contract.unions import METHODS, smallest

CLASSES = 5
IMAGE = (3, 16, 16)
IMAGES = 40
"""In the training set that the batch is a part of."""

WISHES: dict[str, Any] = {
    "one-tap": 1,
    "all-taps": "all",
    "other-sizes": [{"student": "stage1", "teacher": "stage1"}, {"student": "stage3", "teacher": "stage2"}],
}
"""By name, since the student halves its images at once: the first pairs 8×8 with 16×16."""

DRAWS = {"crd"}
"""Methods whose losses draw at random: another order of the images gives each other draws."""


def variants(kind: type[Method]) -> Iterator[Any]:
    """A method with its defaults, with each of its named choices, and with other taps wherever it names taps."""
    method = smallest(kind)
    yield pytest.param(method, id=method.name)
    for path, choices in named_choices(method):
        for choice in choices:
            if choice != method.value_at(path):
                yield pytest.param(method.at(path, choice), id=f"{method.name}-{choice}")
    for path in tap_fields(method):
        for name, wish in WISHES.items():
            yield pytest.param(method.at(path, wish), id=f"{method.name}-{name}")


def tap_fields(settings: BaseModel, prefix: str = "") -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "taps":
            yield prefix + name
        elif isinstance(value, BaseModel):
            yield from tap_fields(value, f"{prefix}{name}.")


def named_choices(settings: BaseModel) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for name, field in type(settings).model_fields.items():
        if get_origin(field.annotation) is Literal and name != "name":
            yield name, get_args(field.annotation)


every_method = pytest.mark.parametrize("method", [param for kind in METHODS for param in variants(kind)])


@dataclass
class Bench:
    """One method with a student and a frozen teacher of other depth, width, and size of maps."""

    method: Method
    student: nn.Module
    teacher: nn.Module
    taps: tuple[PairedTap, ...]
    parts: Parts
    images: Tensor
    labels: Tensor
    indices: Tensor

    @property
    def lesson(self) -> Lesson:
        return Lesson(self.labels, self.indices, torch.Generator().manual_seed(0))

    def said(self) -> Features:
        """The student's features, with a graph."""
        return Tapped(self.student, {tap.name: tap.student for tap in self.taps})(self.images)

    def targets(self) -> Targets:
        """What the method keeps of the teacher, computed as the trial loop does."""
        if not self.method.needs_teacher:
            return {}
        tapped = Tapped(self.teacher, {tap.name: tap.teacher for tap in self.taps})
        with torch.no_grad():
            return self.method.targets(tapped(self.images), self.parts)

    def losses(self, said: Features | None = None) -> Losses:
        """The method's losses of the batch; buffers are as before, so that a second call says the same."""
        before = [(module, deepcopy(module._buffers)) for module in self.parts.student.modules()]
        losses = self.method.losses(said or self.said(), self.targets(), self.lesson, self.parts)
        for module, buffers in before:
            module._buffers.update(buffers)
        return losses

    def total(self) -> Tensor:
        """The total over the whole schedule: the sum of the weighted losses."""
        losses, weights = self.losses(), self.method.loss_weights
        return torch.stack([weights[name] * loss.mean() for name, loss in losses.items() if weights[name] > 0]).sum()


def bench(method: Method, count: int = 6, equal: bool = False) -> Bench:
    """A bench with `count` images; with `equal`, the student is the teacher over again."""
    torch.manual_seed(0)
    images, indices = torch.randn(count, *IMAGE), torch.randperm(IMAGES)[:count]
    large = ResNet(depth=14, width=4)
    small = large if equal else ResNet(depth=8, width=2, stem_stride=2)
    student, teacher = small.build(3, CLASSES), large.build(3, CLASSES).eval().requires_grad_(False)
    if equal:
        student.load_state_dict(teacher.state_dict())
        student.eval()
    taps: tuple[PairedTap, ...] = ()
    if method.tapped is not None:
        taps = paired_taps(method.tapped, anatomy(small, IMAGE, CLASSES), anatomy(large, IMAGE, CLASSES))
        assert equal or all(tap.student_shape != tap.teacher_shape for tap in taps)
    labels = torch.arange(IMAGES) % CLASSES
    pairing = replace(Pairing.of(taps, labels, CLASSES), logit_mean=0.1, logit_spread=0.5)
    part = method.teacher_part(pairing)
    if part is not None:
        said = [Tapped(teacher, {tap.name: tap.teacher for tap in taps})(torch.randn(32, *IMAGE))]
        with torch.no_grad():
            part.settle(said)
        part.eval().requires_grad_(False)
    parts = Parts(pairing, method.student_part(pairing), method.adversary(pairing), part)
    return Bench(method, student, teacher, taps, parts, images, labels[indices], indices)


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
    alone = replace(on, images=on.images[2:4]).targets()
    for name, target in whole.items():
        assert len(target) == 6, name
        assert torch.allclose(alone[name], target[2:4], atol=1e-5), name


def test_settings_that_decide_the_targets_are_named(subtests: pytest.Subtests) -> None:
    """What is remembered of a teacher is shared by all trials that agree in what a method names."""
    for kind in METHODS:
        method = smallest(kind)
        if not method.needs_teacher:
            continue
        for path, value in changed_leaves(method):
            with subtests.test(path=path, method=method.name):
                try:
                    other = method.at(path, value)
                except ValidationError:
                    continue
                if named(other) == named(method):
                    before, after = bench(method).targets(), bench(other).targets()
                    assert before.keys() == after.keys()
                    assert all(torch.equal(target, after[name]) for name, target in before.items())


def named(method: Method) -> list[object]:
    """What a method says that its targets depend on."""
    settings = method.teacher_settings
    return [settings and settings.id, method.target_settings, bench(method).parts.pairing.taps]


def changed_leaves(method: Method) -> Iterator[tuple[str, object]]:
    """Each setting with another value than its own, as far as one is easily found."""
    choices = dict(named_choices(method))
    for path, value in leaves(method.model_dump(mode="json")):
        if path in choices:
            yield from ((path, choice) for choice in choices[path] if choice != value)
        elif isinstance(value, bool):
            yield path, not value
        elif isinstance(value, (int, float)) and "[" not in path:
            yield path, value + 1 if isinstance(value, int) else value / 2 + 0.1
    yield from ((path, 1) for path in tap_fields(method))


@every_method
def test_the_order_of_a_batch_does_not_matter(method: Method) -> None:
    on, order = bench(method), torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = replace(on, images=on.images[order], labels=on.labels[order], indices=on.indices[order])
    other = shuffled.losses()
    for name, loss in on.losses().items():
        if not (name == "contrast" and method.name in DRAWS):
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
def test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it(method: Method) -> None:
    """If it learns no part of its own and compares the same taps: its distances are 0 then."""
    on = bench(method, equal=True)
    learns_a_part = any(True for _ in on.parts.student.parameters())
    if learns_a_part or any(tap.student != tap.teacher for tap in on.taps):
        return
    for name, loss in on.losses().items():
        if name not in ("cross_entropy", "adversarial"):
            assert loss.abs().max() < 1e-6, name


@every_method
def test_weights_may_follow_a_schedule_but_end_somewhere(method: Method) -> None:
    schedule = [method.weights_at(epoch / 60) for epoch in range(60)]
    for weights in schedule:
        assert weights.keys() == method.loss_weights.keys()
        assert any(weight > 0 for weight in weights.values())
        assert all(0 <= weight <= method.loss_weights[name] for name, weight in weights.items())


@every_method
def test_an_adversary_learns_and_leaves_the_student_alone(method: Method) -> None:
    on = bench(method)
    if on.parts.adversary is None:
        with pytest.raises(NotImplementedError):
            method.adversary_losses(on.said(), on.targets(), on.lesson, on.parts)
        return
    losses = method.adversary_losses(on.said().each(Tensor.detach), on.targets(), on.lesson, on.parts)
    assert losses.shape == on.labels.shape
    losses.mean().backward()
    assert all(parameter.grad is not None for parameter in on.parts.adversary.parameters())
    assert all(parameter.grad is None for parameter in [*on.student.parameters(), *on.parts.student.parameters()])
    assert method.adversary_learning_rate > 0


@every_method
def test_networks_may_run_in_bfloat16(method: Method) -> None:
    on = bench(method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = on.said()
    assert said.logits.dtype == torch.bfloat16
    losses = on.losses(said.each(Tensor.float))
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
    method = smallest(kind)
    has_part = bench(method).parts.teacher is not None
    assert (method.pretraining is not None) == has_part
    assert (method.teacher_settings is not None) == has_part
    assert not (has_part and not method.needs_teacher)


@pytest.mark.parametrize("kind", METHODS)
def test_names_are_the_methods_own_and_docstrings_say_what_it_is(kind: type[Method]) -> None:
    assert sum(smallest(other).name == smallest(kind).name for other in METHODS) == 1
    assert kind.__doc__ is not None
    assert kind.__doc__.splitlines()[0].endswith(".")
