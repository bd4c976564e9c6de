"""Layers of a stack compute what each member's own layer computes, and round alike in any company."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.stacked_layers import BandedConvolution, StackedConv2d


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("across", [2, 5, 8])
def test_a_banded_product_is_the_convolution(stride: int, kernel: int, across: int) -> None:
    images = torch.randn(3, 2, 4, across, across, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 5, 4, kernel, kernel, dtype=torch.float64, requires_grad=True)
    banded = BandedConvolution.apply(images, weight, stride, kernel // 2)
    plain = torch.stack(
        [F.conv2d(images[:, one], weight[one], stride=stride, padding=kernel // 2) for one in range(2)], dim=1
    )
    torch.testing.assert_close(banded, plain)
    towards = torch.randn_like(plain)
    for ours, theirs in zip(
        torch.autograd.grad(banded, (images, weight), towards),
        torch.autograd.grad(plain, (images, weight), towards),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("batch", [2, 13, 64])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("widths", [(8, 8), (8, 16), (16, 16), (16, 32), (24, 24), (24, 48), (32, 32)])
def test_a_convolution_by_itself_is_rounded_as_in_company(widths: tuple[int, int], stride: int, batch: int) -> None:
    """Also by processors whose library has other kernels for one group than for several."""
    entering, leaving = widths
    layer = nn.Conv2d(entering, leaving, 3, stride, 1, bias=False)
    drawn = torch.Generator().manual_seed(0)
    weights = torch.randn(3, leaving, entering, 3, 3, generator=drawn)
    images = torch.randn(batch, 3, entering, 8, 8, generator=drawn)

    def first(count: int) -> list[Tensor]:
        """What the first of so many members says and learns."""
        weight, given = weights[:count].clone().requires_grad_(), images[:, :count].contiguous().requires_grad_()
        said = StackedConv2d(layer, weight, None)(given.flatten(0, 1)).unflatten(0, (batch, count))
        towards = said.detach().cos()
        of_weight, of_images = torch.autograd.grad(said, (weight, given), towards)
        return [said[:, 0].detach(), of_weight[0], of_images[:, 0]]

    alone = first(1)
    for count in (2, 3):
        assert all(torch.equal(a, b) for a, b in zip(alone, first(count), strict=True))
