"""Layers that several families are made of."""

from __future__ import annotations

from torch import Tensor, nn


def conv_norm(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (or divides it by `stride`), and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width),
    )


class Pointwise(nn.Conv2d):
    """A 1×1 convolution of every `step`-th position down and across, without bias.

    The positions are taken first and convolved then, which comes to the same: with torch 2.15 a strided 1×1
    convolution of few channels in channels_last writes beyond its memory on processors that have AVX2 at most
    (glibc's checks end the process with "double free or corruption").
    """

    def __init__(self, channels: int, width: int, step: int = 1) -> None:
        super().__init__(channels, width, 1, bias=False)
        self.step = step

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / step, w / step)."""
        return super().forward(features[:, :, :: self.step, :: self.step])


def he_initialised(network: nn.Module) -> None:
    """Draws the weights of every convolution anew, for ReLUs behind them (He et al. 2015, arXiv 1502.01852).

    Those without memory stay as they are: there is nothing to draw, and torch would import its compiler over it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def shuffled(features: Tensor, groups: int) -> Tensor:
    """Channels of (n, c, h, w) interleaved, so that each group hands on to all (Zhang et al. 2018, figure 1)."""
    count, channels, height, width = features.shape
    grouped = features.view(count, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(count, channels, height, width)
