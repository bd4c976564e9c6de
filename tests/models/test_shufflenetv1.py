"""ShuffleNetV1 has the size of the published tables, and hands channels from group to group."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.models.shufflenetv1 import ShuffleNetV1
from harness.models.taps import tap_shapes
from harness.train.cost import size

CIFAR = (3, 32, 32)


def test_the_network_has_the_published_size() -> None:
    ten, hundred = (size(ShuffleNetV1(), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (949_258 - 961 * 90, 949_258)
    assert round(hundred.macs / 1e6, 1) == 38.7


def test_each_stage_halves_the_map_and_doubles_the_channels() -> None:
    shapes = {"stage1": (240, 16, 16), "stage2": (480, 8, 8), "stage3": (960, 4, 4)}
    assert tap_shapes(ShuffleNetV1(), CIFAR, 10) == shapes
    halved = tap_shapes(ShuffleNetV1(width=60, stem_stride=2), CIFAR, 10)
    assert list(halved.values()) == [(60, 8, 8), (120, 4, 4), (240, 2, 2)]


def test_a_width_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 12"):
        ShuffleNetV1(width=64)


def test_labels_tell_settings_apart() -> None:
    labels = [ShuffleNetV1().label, ShuffleNetV1(width=60, stem_stride=2).label]
    assert labels == ["shufflenetv1-w240", "shufflenetv1-w60-s2"]
