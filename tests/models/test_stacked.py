"""A stack computes what its members compute, and no member can tell how many others there are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.distill.attention import Attention, Squeeze
from harness.distill.discriminator import Discriminator
from harness.models.architecture import Architecture
from harness.models.layers import Pointwise
from harness.models.memory_order import settled
from harness.models.resnet import ResNet
from harness.models.stacked import Stacked, can_stack
from tests.contract.unions import ARCHITECTURES, smallest

CLASSES = 10
STACKABLE = [smallest(kind) for kind in ARCHITECTURES if smallest(kind).is_image_wise]
NARROW = [ResNet(depth=8, width=width) for width in (2, 3, 6, 8)]


def members(build: object, count: int = 5) -> list[nn.Module]:
    """Networks of one shape with weights of their own."""
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        made.append(build())  # type: ignore[operator]
    return made


def together(images: Sequence[Tensor]) -> Tensor:
    """Batches (B, …) as a stack takes them, (N·B, …)."""
    return torch.cat(list(images))


def as_layers_say(images: Tensor, count: int) -> Tensor:
    """A stack's images in the order of memory that its layers' results have."""
    return settled(images.movedim(0, -1).contiguous().movedim(-1, 0), count)


def apart(answers: Tensor, count: int) -> list[Tensor]:
    return list(answers.unflatten(0, (count, -1)))


def a_step(stack: Stacked, images: Sequence[Tensor]) -> list[Tensor]:
    """One step of gradient descent on a loss of each member's own; the logits before it."""
    logits = stack.network(together(images))
    labels = torch.arange(len(images[0])).remainder(logits.shape[1])
    losses = torch.stack([F.cross_entropy(one, labels) for one in apart(logits, stack.count)])
    stack.take_gradients(torch.autograd.grad(losses.sum(), stack.leaves))
    stack.values.sub_(0.1 * stack.gradients)
    return apart(logits.detach(), stack.count)


def images_for(count: int, shape: tuple[int, ...], batch: int = 16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, *shape, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("network", [*STACKABLE, *NARROW], ids=lambda network: network.label)
@pytest.mark.parametrize(("across", "batch"), [(8, 64), (32, 16)])
def test_a_stack_computes_what_its_members_do(network: Architecture, across: int, batch: int) -> None:
    plain = members(lambda: network.build(3, CLASSES), 3)
    images = images_for(3, (3, across, across), batch)
    stack = Stacked(plain)
    said = stack.network(together(images))
    for alone, pictures, logits in zip(plain, images, apart(said, 3), strict=True):
        torch.testing.assert_close(logits, alone.train()(pictures), rtol=1e-3, atol=1e-3)
    for row, alone in enumerate(plain):  # the statistics moved alike
        for name, value in stack.state(row).items():
            torch.testing.assert_close(value, alone.state_dict()[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("network", NARROW, ids=lambda network: network.label)
@pytest.mark.parametrize("batch", [64, 13])
def test_a_members_numbers_do_not_depend_on_its_company(network: ResNet, batch: int) -> None:
    plain = members(lambda: network.build(1, CLASSES))
    images = images_for(5, (1, 8, 8), batch)
    whole = Stacked(plain)
    for _ in range(3):
        a_step(whole, images)
    for row in range(5):
        alone = Stacked(plain[row : row + 1])
        for _ in range(3):
            a_step(alone, images[row : row + 1])
        assert all(torch.equal(value, whole.state(row)[name]) for name, value in alone.state(0).items())


def gradients(networks: Sequence[nn.Module], given: object, place: int = 0) -> list[Tensor]:
    """What one of stacked networks says and learns, of a loss that weighs each of its numbers differently."""
    stack = Stacked(networks)
    said = stack.network(given)
    said = torch.cat(said, dim=1) if isinstance(said, list) else said
    weights = torch.randn(len(said) // stack.count, said.shape[1], generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((said.unflatten(0, (stack.count, -1)) * weights).sum(), stack.leaves)
    return [apart(said.detach(), stack.count)[place], *(leaf[place] for leaf in found)]


def are_those_in_any_company(of: Callable[[slice, int], list[Tensor]]) -> None:
    """The first's and the last's numbers, where they stand among others and where they stand alone."""
    for alone, *companies in (
        [(slice(0, 1), 0), *((slice(0, count), 0) for count in (2, 3, 5))],
        [(slice(4, 5), 0), *((slice(5 - count, 5), count - 1) for count in (2, 3, 5))],
    ):
        expected = of(*alone)
        for company in companies:
            assert all(torch.equal(number, same) for number, same in zip(of(*company), expected, strict=True))


@pytest.mark.parametrize("batch", [2, 13, 32, 64])
@pytest.mark.parametrize(("channels", "across"), [(3, 8), (16, 7), (3, 3), (1, 4)])
@pytest.mark.parametrize("reach", [1, 128])
def test_nor_do_those_of_an_estimator(reach: int, channels: int, across: int, batch: int) -> None:
    own, goal = {"a": (channels, across, across), "b": (8, 2, 2)}, {"a": (5, across, across), "b": (16, 2, 2)}
    estimators = members(lambda: Squeeze(own, goal, Attention(global_width=reach), transform=True))
    maps = {tap: images_for(5, shape, batch) for tap, shape in own.items()}

    def of(some: slice, place: int) -> list[Tensor]:
        given = {tap: as_layers_say(together(own := of_tap[some]), len(own)) for tap, of_tap in maps.items()}
        return gradients(estimators[some], given, place)

    are_those_in_any_company(of)


@pytest.mark.parametrize("batch", [2, 8, 13, 32])
@pytest.mark.parametrize("widths", [(128, 7), (16, 1), (1, 8)])
@pytest.mark.parametrize("classes", [2, 10, 101])
def test_nor_do_those_of_a_discriminator(classes: int, widths: tuple[int, ...], batch: int) -> None:
    rivals = members(lambda: Discriminator(widths=widths).build(classes))
    logits = images_for(5, (classes,), batch)
    are_those_in_any_company(lambda some, place: gradients(rivals[some], together(logits[some]), place))


@pytest.mark.parametrize("curve", [nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.Softplus(), nn.Hardswish()], ids=repr)
@pytest.mark.parametrize("shape", [(3, 7, 7), (1, 2, 2), (5, 1, 1)])
def test_nor_does_a_curve(curve: nn.Module, shape: tuple[int, ...]) -> None:
    images = images_for(5, shape, 9)
    whole = apart(Stacked([curve] * 5).network(together(images)), 5)
    for own, said in zip(images, whole, strict=True):
        assert torch.equal(Stacked([curve]).network(own), said)


@pytest.mark.parametrize("build", [lambda: Discriminator().build(CLASSES), lambda: nn.Linear(CLASSES, 1)])
def test_its_gradients_are_those_of_its_members(build: Callable[[], nn.Module]) -> None:
    networks, inputs = members(build, 3), images_for(3, (CLASSES,), 13)
    stack = Stacked(networks)
    found = torch.autograd.grad(stack.network(together(inputs)).square().sum(), stack.leaves)
    given = together(inputs).requires_grad_()
    (through,) = torch.autograd.grad(stack.frozen()(given).square().sum(), [given])
    for row, (network, own) in enumerate(zip(networks, inputs, strict=True)):
        leaf = own.clone().requires_grad_()
        *plain, of_input = torch.autograd.grad(network(leaf).square().sum(), [*network.parameters(), leaf])
        for ours, theirs in zip([leaf[row] for leaf in found], plain, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(apart(through, 3)[row], of_input, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch", [13, 64])
def test_nor_are_an_estimator_s_others(batch: int) -> None:
    own, goal = {"a": (3, 5, 5), "b": (8, 2, 2)}, {"a": (5, 5, 5), "b": (16, 2, 2)}
    networks = members(lambda: Squeeze(own, goal, Attention(global_width=9), transform=True), 3)
    inputs = {tap: images_for(3, shape, batch) for tap, shape in own.items()}
    stack = Stacked(networks)
    given = {tap: as_layers_say(together(images), 3).requires_grad_() for tap, images in inputs.items()}
    said = torch.cat(stack.network(given), dim=1)
    found = torch.autograd.grad(said, [*given.values(), *stack.leaves], said.detach().cos())
    for row, network in enumerate(networks):
        maps = {tap: images[row].clone().requires_grad_() for tap, images in inputs.items()}
        alone = torch.cat(network(maps), dim=1)
        torch.testing.assert_close(apart(said, 3)[row], alone, rtol=1e-4, atol=1e-5)
        expected = torch.autograd.grad(alone, [*maps.values(), *network.parameters()], alone.detach().cos())
        ours = [*(apart(one, 3)[row] for one in found[:2]), *(leaf[row] for leaf in found[2:])]
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("channels", "across"), [(32, 7), (64, 4), (20, 3)])
def test_what_a_teacher_s_estimator_says_does_not_depend_on_an_image_s_place(channels: int, across: int) -> None:
    shapes = {"a": (channels, across, across)}
    (squeeze,) = members(lambda: Squeeze(shapes, shapes, Attention(), transform=False), 1)
    (maps,) = images_for(1, shapes["a"], 16)
    said = squeeze({"a": maps})[0]
    for places in (1, 5, 11):
        assert torch.equal(squeeze({"a": maps.roll(places, 0)})[0], said.roll(places, 0))


def test_no_number_in_one_member_reaches_another() -> None:
    plain = members(lambda: ResNet(depth=8, width=3).build(1, CLASSES), 3)
    broken = copy.deepcopy(plain)
    next(broken[1].parameters()).data.fill_(float("nan"))
    images = images_for(3, (1, 8, 8))
    whole, hurt = Stacked(plain), Stacked(broken)
    a_step(whole, images)
    a_step(hurt, images)
    for row in (0, 2):
        assert all(torch.equal(value, hurt.state(row)[name]) for name, value in whole.state(row).items())
    assert any(value.isnan().any() for value in hurt.state(1).values())


def test_those_that_stay_go_on_as_they_are() -> None:
    stack = Stacked(members(lambda: ResNet(depth=8, width=2).build(1, CLASSES)))
    last = stack.state(4)
    stack.keep([4, 0])
    assert stack.count == 2
    assert all(torch.equal(value, stack.state(0)[name]) for name, value in last.items())
    assert all(torch.equal(value, stack.member(0).state_dict()[name]) for name, value in last.items())


class Scaled(nn.Module):
    """A module with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("module", "can"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()), True),
        (Pointwise(2, 4, 2), True),
        (nn.Identity(), True),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), False),
        (nn.GroupNorm(1, 2), False),
        (nn.Conv2d(1, 2, 3, dilation=2), False),
        (nn.Conv2d(1, 2, (3, 1)), False),
        (nn.BatchNorm2d(2, affine=False), False),
        (nn.BatchNorm2d(1), True),
        (nn.Sequential(*[nn.Linear(2, 2)] * 2), False),
        (Scaled(), False),
    ],
)
def test_what_can_be_stacked_is_known_before(module: nn.Module, can: bool) -> None:
    assert can_stack(module) is can


def test_a_normalisation_by_the_mean_of_all_passes_is_not_stacked() -> None:
    assert can_stack(nn.BatchNorm2d(4))
    assert not can_stack(nn.BatchNorm2d(4, momentum=None))
