"""ResNets have the parameters, multiply-adds and shapes that the published tables give them."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from harness.models.resnet import ResNet
from harness.models.taps import Tapped, tap_shapes
from harness.train.cost import size

CIFAR = (3, 32, 32)

# depth: parameters on CIFAR-10 with projection shortcuts (5,850 more on CIFAR-100), million multiply-adds on CIFAR-100.
PUBLISHED = {
    8: (78_042, 12.5),
    14: (175_258, 26.7),
    20: (272_474, 40.8),
    32: (466_906, 69.1),
    44: (661_338, 97.4),
    56: (855_770, 125.8),
    110: (1_730_714, 253.2),
}


@pytest.mark.parametrize(("depth", "published"), PUBLISHED.items())
def test_sizes_are_those_of_the_published_tables(depth: int, published: tuple[int, float]) -> None:
    params, mmacs = published
    ten, hundred = (size(ResNet(depth=depth), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (params, params + 5_850)
    assert round(hundred.macs / 1e6, 1) == mmacs
    assert hundred.macs - ten.macs == 64 * 90


@pytest.mark.parametrize(("depth", "params", "mmacs"), [(8, 1_210_410, 177.1), (32, 7_410_730, 1083.0)])
def test_the_tables_fourfold_networks_have_a_narrower_stem(depth: int, params: int, mmacs: float) -> None:
    """resnet8x4 and resnet32x4: 32 channels, then 64, 128 and 256."""
    ten, hundred = (size(ResNet(depth=depth, width=64, stem_width=32), CIFAR, classes) for classes in (10, 100))
    assert (ten.params, hundred.params) == (params, params + 23_130)
    assert round(hundred.macs / 1e6, 1) == mmacs


@pytest.mark.parametrize("depth", PUBLISHED)
def test_identity_shortcuts_have_exactly_2752_parameters_fewer(depth: int) -> None:
    with_projection, with_identity = (
        size(ResNet(depth=depth, shortcut=shortcut), CIFAR, 10).params for shortcut in ("projection", "identity")
    )
    assert with_projection - with_identity == 2_752


def test_the_smallest_network_counts_as_by_hand() -> None:
    # width 1, one channel, two classes; convolutions + norms, stage by stage, then the classifier.
    stem, stage1 = 9 + 2, (9 + 2) * 2
    stage2 = (1 * 2 * 9 + 4) + (2 * 2 * 9 + 4) + (2 + 4)
    stage3 = (2 * 4 * 9 + 8) + (4 * 4 * 9 + 8) + (8 + 8)
    assert size(ResNet(depth=8, width=1), (1, 8, 8), 2).params == stem + stage1 + stage2 + stage3 + (4 * 2 + 2)


def test_taps_are_the_ends_of_the_stages_after_relu() -> None:
    spec = ResNet(depth=20)
    network = spec.build(3, 10)
    images = torch.randn(2, *CIFAR, generator=torch.Generator().manual_seed(0))
    features = Tapped(network, {tap: tap for tap in spec.taps})(images)
    shapes = {"stage1": (16, 32, 32), "stage2": (32, 16, 16), "stage3": (64, 8, 8)}
    assert {tap: tuple(maps.shape[1:]) for tap, maps in features.maps.items()} == shapes
    assert tap_shapes(spec, CIFAR, 10) == shapes
    for maps in features.maps.values():
        assert float(maps.detach().min()) == 0  # after ReLU: nothing below, and something at it
        assert float(maps.detach().max()) > 0


def test_the_logits_come_from_the_last_tap() -> None:
    network = ResNet(depth=8, width=4).build(3, 10)
    features = Tapped(network, {"stage3": "stage3"})(torch.randn(2, *CIFAR))
    assert torch.equal(network.classifier(features.maps["stage3"].mean(dim=(2, 3))), features.logits)


def test_a_stem_stride_of_2_halves_every_map() -> None:
    spec = ResNet(depth=8, stem_stride=2)
    assert tap_shapes(spec, CIFAR, 10) == {
        "stage1": (16, 16, 16),
        "stage2": (32, 8, 8),
        "stage3": (64, 4, 4),
    }


@pytest.mark.parametrize("image", [(1, 8, 8), (1, 9, 7), (3, 33, 32)])
@pytest.mark.parametrize("shortcut", ["projection", "identity"])
def test_grey_small_and_odd_images_work(image: tuple[int, int, int], shortcut: str) -> None:
    network = ResNet.model_validate({"depth": 8, "width": 2, "shortcut": shortcut}).build(image[0], 7)
    logits = network(torch.randn(3, *image))
    assert logits.shape == (3, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("depth", "told"), [(9, "8 and 14"), (21, "20 and 26"), (13, "8 and 14"), (1000, "998 and 1004")]
)
def test_a_depth_without_whole_blocks_is_refused_with_the_nearest(depth: int, told: str) -> None:
    with pytest.raises(ValidationError, match=f"depth must be 6n \\+ 2; the nearest are {told}"):
        ResNet(depth=depth)


@pytest.mark.parametrize("wrong", [{"depth": 2}, {"depth": 1208}, {"depth": 8, "width": 0}])
def test_what_cannot_be_built_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ResNet.model_validate(wrong)


def test_labels_tell_settings_apart() -> None:
    specs = [ResNet(depth=8), ResNet(depth=8, width=4), ResNet(depth=8, stem_stride=2)]
    specs += [ResNet(depth=8, shortcut="identity"), ResNet(depth=8, width=64, stem_width=32)]
    labels = ["resnet8-w16", "resnet8-w4", "resnet8-w16-s2", "resnet8-w16-id", "resnet8-w64-stem32"]
    assert [spec.label for spec in specs] == labels


def test_a_stem_of_the_stages_width_is_the_plain_network() -> None:
    assert ResNet(depth=8, stem_width=16).label == ResNet(depth=8).label
    assert size(ResNet(depth=8, stem_width=16), CIFAR, 10) == size(ResNet(depth=8), CIFAR, 10)


def test_an_identity_shortcut_adds_channels_and_drops_none() -> None:
    narrow = ResNet(depth=8, width=4, stem_width=2, shortcut="identity").build(3, 10)
    assert narrow(torch.randn(2, *CIFAR)).shape == (2, 10)
    with pytest.raises(ValidationError, match="let stem_width be 4 or fewer"):
        ResNet(depth=8, width=4, stem_width=5, shortcut="identity")
