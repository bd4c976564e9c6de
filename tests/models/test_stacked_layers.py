"""Layers of a stack compute what each member's own layer computes, and round alike in any company."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from harness.models.layers import Pointwise
from harness.models.stacked import Stacked

Learnt = list[Tensor]


def learnt(layers: Sequence[nn.Module], images: Sequence[Tensor]) -> Learnt:
    """What stacked layers say, their inputs' gradients and their weights', with the member first."""
    stack, given = Stacked(layers), torch.cat(list(images)).requires_grad_()
    said = stack.network(given)
    found = torch.autograd.grad(said, [given, *stack.leaves], said.detach().cos())
    return [one.detach().unflatten(0, (len(layers), -1)) for one in (said, found[0])] + list(found[1:])


def learnt_exactly(layer: nn.Module, images: Tensor) -> Learnt:
    """The same of a layer by itself, in double precision."""
    exact, given = layer.train().double(), images.double().requires_grad_()
    said = exact(given)
    return [said.detach(), *torch.autograd.grad(said, [given, *exact.parameters()], said.detach().cos())]


def drawn(build: Callable[[], nn.Module], shape: tuple[int, ...], count: int = 3) -> tuple[list[nn.Module], Learnt]:
    torch.manual_seed(0)
    return [build() for _ in range(count)], [torch.randn(shape) for _ in range(count)]


def holds(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    """Members' numbers are their own layer's, and do not depend on the others or on where among them it stands."""
    layers, images = drawn(build, shape)
    whole = learnt(layers, images)
    for some in (slice(0, 1), slice(0, 2), slice(1, 3), slice(2, 3)):
        assert all(torch.equal(a, b[some]) for a, b in zip(learnt(layers[some], images[some]), whole, strict=True))
    for row, (layer, own) in enumerate(zip(layers, images, strict=True)):
        for ours, exact in zip(whole, learnt_exactly(layer, own), strict=True):
            size = float(exact.abs().max())
            torch.testing.assert_close(ours[row].double(), exact, rtol=1e-5, atol=1e-5 * max(1.0, size))


@pytest.mark.parametrize("batch", [2, 13, 64])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("across", "widths"), [(1, (8, 8)), (2, (4, 5)), (5, (3, 9)), (8, (1, 4)), (14, (8, 16))])
def test_a_convolution(across: int, widths: tuple[int, int], kernel: int, stride: int, batch: int) -> None:
    padding = kernel // 2
    holds(lambda: nn.Conv2d(*widths, kernel, stride, padding, bias=False), (batch, widths[0], across, across))


@pytest.mark.parametrize("batch", [2, 64])
@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Conv2d(6, 12, 3, 2, 1, groups=3),
        lambda: nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False),
        lambda: nn.Conv2d(6, 4, 3, 1, 0),
        lambda: nn.Conv2d(6, 4, 2, 2, 0),
        lambda: nn.Conv2d(6, 4, 3, 3, 2),
        lambda: nn.Conv2d(6, 4, 1, 1, 1),
        lambda: Pointwise(6, 9, 2),
    ],
)
@pytest.mark.parametrize("shape", [(7, 7), (4, 9)])
def test_a_convolution_in_groups_or_with_a_bias_or_unusual_steps(
    shape: tuple[int, int], build: Callable[[], nn.Module], batch: int
) -> None:
    holds(build, (batch, 6, *shape))


@pytest.mark.parametrize("batch", [2, 13, 64])
@pytest.mark.parametrize(
    ("build", "shape"),
    [(nn.BatchNorm2d, (3, 5, 4)), (nn.BatchNorm2d, (8, 1, 1)), (nn.BatchNorm2d, (1, 4, 4)), (nn.BatchNorm1d, (7,))],
)
def test_a_normalisation(build: Callable[[int], nn.Module], shape: tuple[int, ...], batch: int) -> None:
    holds(lambda: build(shape[0]), (batch, *shape))


@pytest.mark.parametrize("batch", [2, 64])
@pytest.mark.parametrize(("build", "shape"), [(nn.BatchNorm2d, (4, 3, 3)), (nn.BatchNorm1d, (4,))])
def test_a_normalisation_keeps_what_its_members_would(
    build: Callable[..., nn.Module], shape: tuple[int, ...], batch: int
) -> None:
    layers, images = drawn(lambda: build(4, momentum=0.3), (batch, *shape))
    stack = Stacked(layers)
    for _ in range(2):
        stack.network(torch.cat([5 + 2 * one for one in images]))
    for row, (layer, own) in enumerate(zip(layers, images, strict=True)):
        for _ in range(2):
            layer.train()(5 + 2 * own)
        for name, value in stack.state(row).items():
            torch.testing.assert_close(value, layer.state_dict()[name])


@pytest.mark.parametrize("batch", [2, 13, 64])
@pytest.mark.parametrize("widths", [(10, 1), (1, 7), (4, 16), (3, 5)])
def test_a_linear_layer(widths: tuple[int, int], batch: int) -> None:
    holds(lambda: nn.Linear(*widths), (batch, widths[0]))


@pytest.mark.parametrize("batch", [2, 64])
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: nn.Conv2d(6, 4, 3, 2, 1), (6, 7, 7)),
        (lambda: nn.Conv2d(6, 4, 3, 1, 1, groups=2, bias=False), (6, 7, 7)),
        (lambda: Pointwise(6, 4, 2), (6, 7, 7)),
        (lambda: nn.BatchNorm2d(6), (6, 7, 7)),
        (lambda: nn.BatchNorm1d(6), (6,)),
    ],
)
def test_what_a_gpu_is_given_is_the_same_layer(
    build: Callable[[], nn.Module], shape: tuple[int, ...], batch: int
) -> None:
    layers, images = drawn(build, (batch, *shape))
    here, there = Stacked(layers), Stacked(layers)
    given = torch.cat(images).requires_grad_()
    ours, theirs = here.network(given), there.network._elsewhere(given)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
    towards = ours.detach().cos()
    ours, theirs = (
        torch.autograd.grad(said, [given, *stack.leaves], towards) for said, stack in ((ours, here), (theirs, there))
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)
    for row in range(len(layers)):
        for name in ("running_mean", "running_var"):
            if name in here.state(row):
                torch.testing.assert_close(there.state(row)[name], here.state(row)[name])


@pytest.mark.parametrize("batch", [2, 64])
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: nn.Conv2d(3, 4, 3, 1, 1), (3, 5, 5)),
        (lambda: nn.BatchNorm2d(3), (3, 5, 5)),
        (lambda: nn.Linear(7, 4), (7,)),
    ],
)
def test_in_bfloat16_it_is_the_layer_in_bfloat16(
    build: Callable[[], nn.Module], shape: tuple[int, ...], batch: int
) -> None:
    layers, images = drawn(build, (batch, *shape))
    with torch.autocast("cpu", torch.bfloat16):
        said = Stacked(layers).network(torch.cat(images)).unflatten(0, (len(layers), -1))
        for row, (layer, own) in enumerate(zip(layers, images, strict=True)):
            alone = layer.train()(own)
            assert said.dtype == alone.dtype
            torch.testing.assert_close(said[row], alone, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("batch", [2, 64])
@pytest.mark.parametrize(
    "layer", [lambda: nn.Conv2d(3, 4, 3, 1, 1), lambda: nn.BatchNorm2d(3), lambda: nn.BatchNorm1d(3)]
)
def test_what_a_layer_says_may_be_changed_in_place(layer: Callable[[], nn.Module], batch: int) -> None:
    shape = (batch, 3) if isinstance(layer(), nn.BatchNorm1d) else (batch, 3, 4, 4)
    holds(lambda: nn.Sequential(layer(), nn.ReLU(inplace=True)), shape)
