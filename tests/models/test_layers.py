"""The layers that families share do what their names say."""

from __future__ import annotations

import torch

from harness.models.layers import shuffled


def test_shuffled_channels_are_dealt_out_group_by_group() -> None:
    channels = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(channels, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffled(channels, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(shuffled(shuffled(channels, 2), 3), channels)
