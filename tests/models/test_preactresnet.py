"""Pre-activation ResNets have the published sizes, and their taps are the raw residual stream."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from harness.models.preactresnet import PreActivationBottleneck, PreActResNet
from harness.models.taps import Tapped, tap_shapes
from harness.train.cost import size

CIFAR = (3, 32, 32)


def test_the_size_is_that_of_the_published_table() -> None:
    ten, hundred = (size(PreActResNet(depth=164), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (1_703_258, 1_726_388)
    assert round(hundred.macs / 1e6, 1) == 247.7


def test_a_thousand_layers_are_counted_without_memory() -> None:
    with torch.device("meta"):
        network = PreActResNet(depth=1001).build(3, 10)
    assert sum(1 for module in network.modules() if isinstance(module, PreActivationBottleneck)) == 333
    assert sum(parameter.numel() for parameter in network.parameters()) == 10_327_706


def test_taps_are_the_raw_residual_stream() -> None:
    spec = PreActResNet(depth=11, width=4)
    network = spec.build(3, 10)
    features = Tapped(network, {tap: tap for tap in spec.taps})(torch.randn(2, *CIFAR))
    assert tap_shapes(spec, CIFAR, 10) == {"stage1": (16, 32, 32), "stage2": (32, 16, 16), "stage3": (64, 8, 8)}
    assert all(float(maps.detach().min()) < 0 for maps in features.maps.values())
    last = torch.relu(network.norm(features.maps["stage3"])).mean(dim=(2, 3))
    assert torch.allclose(network.classifier(last), features.logits, atol=1e-6)


@pytest.mark.parametrize(("depth", "told"), [(18, "11 and 20"), (165, "164 and 173")])
def test_a_depth_without_whole_blocks_is_refused_with_the_nearest(depth: int, told: str) -> None:
    with pytest.raises(ValidationError, match=f"depth must be 9n \\+ 2; the nearest are {told}"):
        PreActResNet(depth=depth)


def test_labels_tell_settings_apart() -> None:
    specs = [PreActResNet(depth=164), PreActResNet(depth=164, width=8, stem_stride=2)]
    assert [spec.label for spec in specs] == ["preactresnet164-w16", "preactresnet164-w8-s2"]
