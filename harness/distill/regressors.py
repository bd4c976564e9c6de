"""Regressors: what brings a student's maps to the teacher's channels, trained together with the student."""

from __future__ import annotations

from torch import Tensor, nn

from harness.distill.method import Pairing


class Regressors(nn.Module):
    """A module a tap: {tap: (n, c, h, w)} → {tap: (n, teacher's c, h, w)}."""

    def __init__(self, taps: tuple[str, ...], each: list[nn.Module]) -> None:
        super().__init__()
        self.taps, self.each = taps, nn.ModuleList(each)

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        return {tap: regressor(maps[tap]) for tap, regressor in zip(self.taps, self.each, strict=True)}


def regressors(pairing: Pairing) -> Regressors:
    """1×1 convolutions with batch normalisation; no ReLU, since some families' taps come before one."""
    channels = [(pairing.student[tap][0], pairing.teacher[tap][0]) for tap in pairing.taps]
    return Regressors(
        pairing.taps,
        [nn.Sequential(nn.Conv2d(ours, theirs, 1, bias=False), nn.BatchNorm2d(theirs)) for ours, theirs in channels],
    )
