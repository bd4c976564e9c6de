"""Wide residual networks have the published sizes, and their taps are the raw residual stream."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from harness.models.taps import Tapped, tap_shapes
from harness.models.wrn import WRN
from harness.train.cost import size

CIFAR = (3, 32, 32)


# depth, widening: parameters on CIFAR-10, on CIFAR-100, and million multiply-adds where the tables have them.
PUBLISHED = [
    (16, 1, 175_066, 180_916, 26.7),
    (16, 2, 691_674, 703_284, 101.1),
    (40, 1, 563_930, 569_780, 83.3),
    (40, 2, 2_243_546, 2_255_156, 327.6),
    (40, 4, 8_949_210, 8_972_340, None),
    (28, 10, 36_479_194, 36_536_884, None),
]


@pytest.mark.parametrize(("depth", "widen", "ten", "hundred", "mmacs"), PUBLISHED)
def test_sizes_are_those_of_the_published_tables(
    depth: int, widen: int, ten: int, hundred: int, mmacs: float | None
) -> None:
    found = size(WRN(depth=depth, widen=widen), CIFAR, 100)
    assert (size(WRN(depth=depth, widen=widen), CIFAR, 10).params, found.params) == (ten, hundred)
    assert mmacs is None or round(found.macs / 1e6, 1) == mmacs


def test_taps_are_the_raw_residual_stream() -> None:
    spec = WRN(depth=10, widen=2, width=4)
    network = spec.build(3, 10)
    features = Tapped(network, {tap: tap for tap in spec.taps})(torch.randn(2, *CIFAR))
    assert tap_shapes(spec, CIFAR, 10) == {"stage1": (8, 32, 32), "stage2": (16, 16, 16), "stage3": (32, 8, 8)}
    assert all(float(maps.detach().min()) < 0 for maps in features.maps.values())


@pytest.mark.parametrize(("depth", "told"), [(12, "10 and 16"), (41, "40 and 46")])
def test_a_depth_without_whole_blocks_is_refused_with_the_nearest(depth: int, told: str) -> None:
    with pytest.raises(ValidationError, match=f"depth must be 6n \\+ 4; the nearest are {told}"):
        WRN(depth=depth)


def test_labels_tell_settings_apart() -> None:
    specs = [WRN(depth=40, widen=2), WRN(depth=16), WRN(depth=16, width=4, stem_stride=2)]
    assert [spec.label for spec in specs] == ["wrn40-2", "wrn16-1", "wrn16-1-w4-s2"]
