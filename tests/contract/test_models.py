"""What every network family keeps to."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter

from harness.models.architecture import Architecture
from harness.models.catalog import AnyArchitecture
from harness.models.taps import EMBEDDING, Tapped, anatomy, tap_shapes
from harness.train.cost import size
from tests.contract.unions import ARCHITECTURES, smallest

every_family = pytest.mark.parametrize("spec", [smallest(kind) for kind in ARCHITECTURES], ids=lambda spec: spec.name)


every_size = pytest.mark.parametrize("image", [(3, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64)], ids=str)


@every_family
@pytest.mark.parametrize("channels", [1, 3])
def test_it_builds_without_memory_and_its_taps_exist(spec: Architecture, channels: int) -> None:
    with torch.device("meta"):
        network = spec.build(channels, 7)
    assert all(parameter.is_meta for parameter in network.parameters())
    shapes = tap_shapes(spec, (channels, 32, 32), 7)
    assert tuple(shapes) == spec.taps != ()
    assert all(min(shape) >= 1 for shape in shapes.values())


@every_family
@every_size
def test_logits_and_maps_have_their_shapes(spec: Architecture, image: tuple[int, int, int]) -> None:
    network = spec.build(image[0], 7)
    features = Tapped(network, {tap: tap for tap in spec.taps}, spec.classifier)(torch.randn(2, *image))
    assert features.logits.shape == (2, 7)
    assert features.logits.isfinite().all()
    said = {tap: tuple(maps.shape[1:]) for tap, maps in features.maps.items()}
    assert said == tap_shapes(spec, image, 7)


@every_family
@every_size
def test_taps_go_from_shallow_to_deep(spec: Architecture, image: tuple[int, int, int]) -> None:
    found = anatomy(spec, image, 7)
    heights = [found.shape(tap)[1] for tap in spec.taps]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[-1]
    order = list(found.maps)
    assert [order.index(tap) for tap in spec.taps] == sorted(order.index(tap) for tap in spec.taps)


@every_family
def test_its_embedding_is_what_enters_the_last_linear_layer(spec: Architecture) -> None:
    network = spec.build(3, 7).eval()
    features = Tapped(network, {"embedding": EMBEDDING}, spec.classifier)(torch.randn(2, 3, 32, 32))
    classifier = network.get_submodule(spec.classifier)
    assert torch.equal(classifier(features.maps["embedding"].flatten(1)), features.logits)


@every_family
def test_every_parameter_gets_a_gradient(spec: Architecture) -> None:
    network = spec.build(3, 7)
    network(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@every_family
def test_its_size_is_known_before_training(spec: Architecture) -> None:
    found = size(spec, (3, 32, 32), 7)
    assert found.params == sum(parameter.numel() for parameter in spec.build(3, 7).parameters())
    assert found.macs > 0


@every_family
def test_an_evaluated_image_does_not_depend_on_its_neighbours(spec: Architecture) -> None:
    network = spec.build(3, 7).eval()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(images)[1:2], network(images[1:2]), atol=1e-5)


@every_family
def test_the_same_seed_builds_the_same_network(spec: Architecture) -> None:
    built = []
    for _ in range(2):
        torch.manual_seed(3)
        built.append(spec.build(3, 7).state_dict())
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])


@every_family
def test_json_keeps_the_id(spec: Architecture) -> None:
    assert TypeAdapter(AnyArchitecture).validate_json(spec.model_dump_json()).id == spec.id
    assert spec.label
