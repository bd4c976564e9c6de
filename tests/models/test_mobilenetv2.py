"""MobileNetV2 has the size of the published tables at half width, and any other width."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.models.mobilenetv2 import MobileNetV2
from harness.models.taps import tap_shapes
from harness.train.cost import size

CIFAR = (3, 32, 32)


def test_the_half_network_has_the_published_size() -> None:
    ten, hundred = (size(MobileNetV2(), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (812_836 - 1281 * 90, 812_836)
    assert round(hundred.macs / 1e6, 1) == 6.5


def test_each_stage_is_a_size_of_map() -> None:
    assert tap_shapes(MobileNetV2(), CIFAR, 10) == {
        "stage1": (12, 16, 16),
        "stage2": (16, 8, 8),
        "stage3": (48, 4, 4),
        "stage4": (160, 2, 2),
    }


def test_parameters_grow_with_width_and_expansion() -> None:
    widths = [size(MobileNetV2(width=width), CIFAR, 10).params for width in (0.0625, 0.5, 0.77, 1.0, 1.4)]
    assert widths == sorted(widths)
    assert size(MobileNetV2(expansion=2), CIFAR, 10).params < size(MobileNetV2(), CIFAR, 10).params


@pytest.mark.parametrize("width", [0, 0.05, 9])
def test_a_width_without_channels_is_refused(width: float) -> None:
    with pytest.raises(ValidationError):
        MobileNetV2(width=width)


def test_labels_tell_settings_apart() -> None:
    specs = [MobileNetV2(), MobileNetV2(width=1), MobileNetV2(expansion=2, stem_stride=1)]
    assert [spec.label for spec in specs] == ["mobilenetv2-0.5x", "mobilenetv2-1x", "mobilenetv2-0.5x-t2-s1"]
