"""A row of layers of vectors as one operation gives what its layers give, to the bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.distill.discriminator import Discriminator
from harness.models.stacked import Stacked
from harness.models.stacked_perceptron import StackedPerceptron

CLASSES = 10


def stack(members: int, **shape: Any) -> Stacked:
    """Discriminators with weights and statistics of their own."""
    torch.manual_seed(0)
    return Stacked([Discriminator(**shape).build(CLASSES) for _ in range(members)])


def layer_by_layer(network: nn.Module) -> nn.Module:
    """The same network over the same weights and statistics, each layer by itself."""
    if isinstance(network, StackedPerceptron):
        return nn.Sequential(*network)
    for name, child in network.named_children():
        setattr(network, name, layer_by_layer(child))
    return network


def a_step(network: nn.Module, leaves: list[Tensor], logits: Tensor) -> list[Tensor]:
    """What a network says, and the gradients of what it saw and of its weights."""
    seen = logits.clone().requires_grad_()
    said = network(seen)
    return [said, *torch.autograd.grad(said.square().sum(), [seen, *leaves])]


def statistics(stacked: Stacked) -> dict[str, Tensor]:
    return {f"{row}.{name}": value for row in range(stacked.count) for name, value in stacked.state(row).items()}


@pytest.mark.parametrize("members", [1, 3, 32])
@pytest.mark.parametrize("batch", [64, 13])
@pytest.mark.parametrize("shape", [{"widths": [128, 256, 128]}, {"widths": [5]}, {"widths": [8, 8], "residual": True}])
def test_it_is_its_layers(members: int, batch: int, shape: dict[str, Any]) -> None:
    logits = torch.randn(members * batch, CLASSES, generator=torch.Generator().manual_seed(1))
    one, other = stack(members, **shape), stack(members, **shape)
    assert any(isinstance(module, StackedPerceptron) for module in one.network.modules())
    for _ in range(2):
        found = a_step(one.network, one.leaves, logits)
        expected = a_step(layer_by_layer(other.network), other.leaves, logits)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.equal(theirs)
    ours, theirs = statistics(one), statistics(other)
    assert [name for name in ours if not ours[name].equal(theirs[name])] == []


def test_to_a_student_its_weights_are_constants() -> None:
    """They get no gradient; what it sees gets the same."""
    logits = torch.randn(2 * 16, CLASSES, generator=torch.Generator().manual_seed(1))
    one, other = stack(2), stack(2)
    found, expected = a_step(one.frozen(), [], logits), a_step(other.network, [], logits)
    assert all(ours.equal(theirs) for ours, theirs in zip(found, expected, strict=True))
    said = one.frozen()(logits.requires_grad_())
    assert set(torch.autograd.grad(said.sum(), one.leaves, allow_unused=True)) == {None}


def test_weights_learn_from_what_is_no_ones_output() -> None:
    """As a discriminator does from a teacher's logits, also where its first layer is a product."""
    torch.manual_seed(0)
    stacked = Stacked([nn.Sequential(nn.Linear(CLASSES, 5), nn.ReLU(), nn.Linear(5, 2)) for _ in range(3)])
    logits = torch.randn(3 * 16, CLASSES)
    assert isinstance(stacked.network, StackedPerceptron)
    found = torch.autograd.grad(stacked.network(logits).square().sum(), stacked.leaves)
    expected = torch.autograd.grad(layer_by_layer(stacked.network)(logits).square().sum(), stacked.leaves)
    assert all(ours.equal(theirs) for ours, theirs in zip(found, expected, strict=True))


def test_layers_without_a_bias_or_with_one_function_for_all(subtests: pytest.Subtests) -> None:
    relu = nn.ReLU(inplace=True)
    rows = {
        "without a bias": [nn.Linear(CLASSES, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU()],
        "one function": [nn.Linear(CLASSES, 5), relu, nn.Linear(5, 5), relu],
    }
    for name, row in rows.items():
        with subtests.test(name):
            stacked = Stacked([nn.Sequential(*row)] * 2)
            logits = torch.randn(2 * 16, CLASSES, generator=torch.Generator().manual_seed(1))
            assert isinstance(stacked.network, StackedPerceptron)
            found = a_step(stacked.network, stacked.leaves, logits)
            expected = a_step(layer_by_layer(stacked.network), stacked.leaves, logits)
            assert all(ours.equal(theirs) for ours, theirs in zip(found, expected, strict=True))


def test_what_follows_may_change_its_result_in_place() -> None:
    network = stack(2, widths=[5]).network
    logits = torch.randn(2 * 16, CLASSES, requires_grad=True)
    (found,) = torch.autograd.grad(network(logits).relu_().sum(), logits)
    (expected,) = torch.autograd.grad(network(logits).relu().sum(), logits)
    assert found.equal(expected)


def test_a_layer_that_is_listened_to_is_heard() -> None:
    network = stack(2, widths=[5]).network
    heard: list[Tensor] = []
    network.get_submodule("1").register_forward_hook(lambda _, __, said: heard.append(said))
    network(torch.ones(2 * 16, CLASSES))
    assert [said.shape for said in heard] == [(2 * 16, 5)]


def test_a_row_that_may_change_what_it_is_given_is_left_to_its_layers() -> None:
    network = Stacked([nn.Sequential(nn.ReLU(inplace=True), nn.Linear(CLASSES, 5))] * 2).network
    assert not isinstance(network, StackedPerceptron)


def test_no_second_derivative_is_made_up() -> None:
    logits = torch.randn(2 * 16, CLASSES, requires_grad=True)
    (slope,) = torch.autograd.grad(stack(2).network(logits).square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_a_verdict_alone_is_left_to_its_layers() -> None:
    """Products with a vector are filled up, see `batch_invariant.member_products`."""
    network = stack(2, class_head=False).network
    assert not any(isinstance(module, StackedPerceptron) for module in network.modules())


def test_in_half_precision_it_is_left_to_its_layers() -> None:
    logits = torch.randn(2 * 16, CLASSES, generator=torch.Generator().manual_seed(1))
    network = stack(2).network
    alone = layer_by_layer(copy.deepcopy(network))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(logits).equal(alone(logits))
        assert network(logits).dtype == torch.bfloat16
