"""VGG with batch normalisation has the published sizes, and halves no map away."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.models.taps import tap_shapes
from harness.models.vgg import VGG
from harness.train.cost import size

CIFAR = (3, 32, 32)


# depth: parameters on CIFAR-100 (46,170 fewer on CIFAR-10), million multiply-adds.
PUBLISHED = {
    8: (3_965_028, 96),
    11: (9_277_284, 209),
    13: (9_462_180, 285),
    16: (14_774_436, 398),
    19: (20_086_692, 511),
}


@pytest.mark.parametrize(("depth", "published"), PUBLISHED.items())
def test_sizes_are_those_of_the_published_tables(depth: int, published: tuple[int, int]) -> None:
    params, mmacs = published
    ten, hundred = (size(VGG.model_validate({"depth": depth}), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (params - 513 * 90, params)
    assert round(hundred.macs / 1e6) == mmacs


@pytest.mark.parametrize(
    ("pixels", "heights"),
    [(8, [8, 4, 2, 1, 1]), (28, [28, 14, 7, 3, 3]), (32, [32, 16, 8, 4, 4]), (64, [64, 32, 16, 8, 4])],
)
def test_maps_are_halved_to_4_and_by_small_images_to_1(pixels: int, heights: list[int]) -> None:
    assert [shape[1] for shape in tap_shapes(VGG(depth=8, width=1), (1, pixels, pixels), 10).values()] == heights


def test_a_depth_that_the_paper_has_not_is_refused() -> None:
    with pytest.raises(ValidationError):
        VGG.model_validate({"depth": 12})


def test_labels_tell_settings_apart() -> None:
    assert [VGG(depth=13).label, VGG(depth=8, width=16, stem_stride=2).label] == ["vgg13-w64", "vgg8-w16-s2"]
