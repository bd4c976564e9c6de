"""ShuffleNetV2 has the size of the published tables, and hands channels from group to group."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.models.shufflenetv2 import ShuffleNetV2
from harness.models.taps import tap_shapes
from harness.train.cost import size

CIFAR = (3, 32, 32)


def test_the_network_has_the_published_size() -> None:
    ten, hundred = (size(ShuffleNetV2(), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (1_355_528 - 1025 * 90, 1_355_528)
    assert round(hundred.macs / 1e6, 1) == 44.5


def test_each_stage_halves_the_map_and_doubles_the_channels() -> None:
    shapes = {"stage1": (116, 16, 16), "stage2": (232, 8, 8), "stage3": (464, 4, 4)}
    assert tap_shapes(ShuffleNetV2(), CIFAR, 10) == shapes
    halved = tap_shapes(ShuffleNetV2(width=48, stem_stride=2), CIFAR, 10)
    assert list(halved.values()) == [(48, 8, 8), (96, 4, 4), (192, 2, 2)]


def test_a_width_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 2"):
        ShuffleNetV2(width=47)


def test_labels_tell_settings_apart() -> None:
    labels = [ShuffleNetV2().label, ShuffleNetV2(width=48, stem_stride=2).label]
    assert labels == ["shufflenetv2-w116", "shufflenetv2-w48-s2"]
