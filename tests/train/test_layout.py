"""Networks lie in memory as asked, but where that would damage the process' memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.models.preactresnet import PreActResNet
from harness.models.resnet import ResNet
from harness.models.wrn import WRN
from harness.train.layout import BLOCK, memory_format

CPU = torch.device("cpu")


def test_a_layout_is_the_one_that_is_asked_for() -> None:
    network = ResNet(depth=8, width=2).build(1, 10)
    assert memory_format(network, False, CPU) == torch.contiguous_format
    assert memory_format(network, True, CPU) == torch.channels_last


def test_no_family_is_kept_from_channels_last_by_a_narrow_strided_convolution() -> None:
    for network in (ResNet(depth=8, width=1), WRN(depth=10, widen=1, width=2), PreActResNet(depth=11, width=1)):
        assert memory_format(network.build(3, 10), True, CPU) == torch.channels_last


@pytest.mark.parametrize(("channels", "groups", "is_safe"), [(4, 1, False), (BLOCK, 1, True), (BLOCK, 4, False)])
def test_a_foreign_network_with_one_stays_contiguous_on_a_cpu(channels: int, groups: int, is_safe: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 32, 1, stride=2, groups=groups))
    assert (memory_format(network, True, CPU) == torch.channels_last) is is_safe
    assert memory_format(network, True, torch.device("cuda")) == torch.channels_last
