"""Taps read a network and leave it as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.resnet import ResNet
from harness.models.taps import EMBEDDING, Tapped, anatomy, tap_shapes

SMALL = ResNet(depth=8, width=2)
IMAGE = (1, 8, 8)


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


def test_an_unknown_tap_is_refused_with_the_list() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(ValueError, match=r"no tap 'stage4' in this network; it has 0, 1"):
        Tapped(network, {"first": "0", "second": "stage4"})


def test_the_network_carries_no_hook_after_a_pass_nor_after_a_failed_one() -> None:
    network = SMALL.build(1, 10)
    tapped = Tapped(network, {"stage1": "stage1", "e": EMBEDDING})
    tapped(torch.randn(2, 1, 8, 8))
    assert hooks(network) == 0
    with pytest.raises(RuntimeError):
        tapped(torch.randn(2, 3, 8, 8))
    assert hooks(network) == 0


def test_tapped_logits_are_the_network_s_own() -> None:
    network = SMALL.build(1, 10).eval()
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(Tapped(network, {"stage2": "stage2"})(images).logits, network(images))


def test_the_gradient_flows_through_a_tap() -> None:
    network = SMALL.build(1, 10)
    Tapped(network, {"a": "stage1"})(torch.randn(2, 1, 8, 8)).maps["a"].sum().backward()
    assert network.stem.weight.grad is not None
    assert network.classifier.weight.grad is None


def test_the_embedding_is_what_enters_the_classifier_as_a_map_of_one_position() -> None:
    network = SMALL.build(1, 10).eval()
    features = Tapped(network, {"e": EMBEDDING})(torch.randn(2, 1, 8, 8))
    assert features.maps["e"].shape == (2, 8, 1, 1)
    assert torch.equal(network.classifier(features.maps["e"].flatten(1)), features.logits)


class InPlace(nn.Module):
    """A network that goes on to change what its first layer gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.classifier = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu_(self.first(images)).mul_(3)
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def test_an_activation_that_is_changed_in_place_is_given_as_it_was() -> None:
    network, images = InPlace(), torch.randn(2, 1, 8, 8)
    tapped = Tapped(network, {"first": "first"})
    for _ in range(2):  # the first pass finds out what is changed, later ones know
        features = tapped(images)
        assert torch.equal(features.maps["first"], network.first(images))
        assert torch.equal(features.logits, network(images))
    assert float(features.maps["first"].detach().min()) < 0
    features.maps["first"].square().sum().backward()
    through_the_tap = network.first.weight.grad
    network.first.weight.grad = None
    network.first(images).square().sum().backward()
    assert torch.allclose(through_the_tap, network.first.weight.grad)


def test_what_is_not_changed_is_not_copied() -> None:
    network, images = SMALL.build(1, 10), torch.randn(2, 1, 8, 8)
    tapped = Tapped(network, {"stage1": "stage1"})
    tapped(images)
    given = []
    network.stage1.register_forward_hook(lambda module, inputs, output: given.append(output))
    assert tapped(images).maps["stage1"] is given[0]


def test_the_anatomy_lists_every_map_in_the_order_of_the_pass() -> None:
    found = anatomy(SMALL, IMAGE, 10)
    assert found.stages == ("stage1", "stage2", "stage3")
    assert found.maps["stem"] == (2, 8, 8)
    assert found.maps["stage3.0.conv1"] == (8, 2, 2)
    assert list(found.maps)[:2] == ["stem", "norm"]
    assert list(found.maps)[-2:] == ["classifier", EMBEDDING]
    assert found.maps[EMBEDDING] == (8, 1, 1)
    assert tap_shapes(SMALL, IMAGE, 10) == {"stage1": (2, 8, 8), "stage2": (4, 4, 4), "stage3": (8, 2, 2)}


def test_a_path_that_is_none_gets_the_list() -> None:
    with pytest.raises(ValueError, match=r"resnet8-w2 has no tap stag2; .* stage3, and .* stem, norm, "):
        anatomy(SMALL, IMAGE, 10).shape("stag2")
