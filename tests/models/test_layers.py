"""The layers that families share do what their names say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.models.layers import Pointwise, shuffled


def test_shuffled_channels_are_dealt_out_group_by_group() -> None:
    channels = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(channels, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffled(channels, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(shuffled(shuffled(channels, 2), 3), channels)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("step", [1, 2])
def test_a_pointwise_convolution_is_the_strided_one_of_its_weights(
    step: int, memory_format: torch.memory_format
) -> None:
    """4 channels in channels_last: where oneDNN's own strided convolution damages the process' memory."""
    torch.manual_seed(0)
    features = torch.randn(32, 4, 8, 8).to(memory_format=memory_format)
    ours, strided = Pointwise(4, 8, step).to(memory_format=memory_format), nn.Conv2d(4, 8, 1, step, bias=False)
    strided.load_state_dict(ours.state_dict())
    for _ in range(50):
        (mine, my_gradients), (theirs, their_gradients) = (
            _pass(ours, features),
            _pass(strided, features.contiguous()),
        )
        torch.testing.assert_close(mine, theirs, check_stride=False)
        torch.testing.assert_close(my_gradients, their_gradients, check_stride=False)


def _pass(layer: nn.Conv2d, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What a layer gives, and the gradients of its squares' sum."""
    features = features.detach().requires_grad_()
    given = layer(features)
    return given.detach(), torch.autograd.grad(given.square().sum(), (features, layer.weight))
