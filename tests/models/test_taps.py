"""Taps read a network and leave it as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.models.resnet import ResNet
from harness.models.taps import Tapped, tap_shapes


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def test_an_unknown_tap_is_refused_with_the_list() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(ValueError, match=r"no tap 'stage4' in this network; it has 0, 1"):
        Tapped(network, ["0", "stage4"])


def test_the_network_carries_no_hook_after_a_pass_nor_after_a_failed_one() -> None:
    network = ResNet(depth=8, width=2).build(1, 10)
    tapped = Tapped(network, ["stage1", "stage3"])
    tapped(torch.randn(2, 1, 8, 8))
    assert hooks(network) == 0
    with pytest.raises(RuntimeError):
        tapped(torch.randn(2, 3, 8, 8))
    assert hooks(network) == 0


def test_tapped_logits_are_the_network_s_own() -> None:
    network = ResNet(depth=8, width=2).build(1, 10).eval()
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(Tapped(network, ["stage2"])(images).logits, network(images))


def test_the_gradient_flows_through_a_tap() -> None:
    network = ResNet(depth=8, width=2).build(1, 10)
    Tapped(network, ["stage1"])(torch.randn(2, 1, 8, 8)).maps["stage1"].sum().backward()
    assert network.stem.weight.grad is not None
    assert network.classifier.weight.grad is None


def test_shapes_are_found_without_touching_the_network() -> None:
    network = ResNet(depth=8, width=2).build(1, 10).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert tap_shapes(network, ["stage3", "norm"], (1, 8, 8)) == {"stage3": (8, 2, 2), "norm": (2, 8, 8)}
    assert network.training
    assert hooks(network) == 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
