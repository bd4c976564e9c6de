"""Torchvision's classifiers are found by name, tapped at their stages, and fitted to images and classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torchvision import models

from harness.models.taps import Tapped, anatomy
from harness.models.torchvision_model import Torchvision
from harness.source import MissingError, UserError
from harness.train.cost import size
from tests.models.weights import CONSTRUCTOR, WEIGHTS, place_weights


@pytest.mark.parametrize(
    ("constructor", "stages", "classifier"),
    [
        ("resnet50", ["relu", "layer1", "layer2", "layer3", "layer4"], "fc"),
        ("mobilenet_v2", ["features.1", "features.3", "features.6", "features.13", "features"], "classifier.1"),
        ("vgg11_bn", [*(f"features.{at}" for at in (2, 6, 13, 20, 27)), "features"], "classifier.6"),
        (
            "densenet121",
            ["features.relu0", *(f"features.denseblock{at}" for at in (1, 2, 3)), "features"],
            "classifier",
        ),
        ("regnet_y_400mf", ["stem", *(f"trunk_output.block{at}" for at in (1, 2, 3)), "trunk_output"], "fc"),
        ("squeezenet1_1", ["features.1", "features.4", "features.7", "features"], ""),
        ("vit_b_16", ["conv_proj"], "heads.head"),
    ],
)
def test_stages_end_at_the_outermost_modules_and_the_classifier_is_the_last_linear_layer(
    constructor: str, stages: list[str], classifier: str
) -> None:
    spec = Torchvision(constructor=constructor)
    assert list(spec.taps) == stages
    assert spec.classifier == classifier


def test_stages_that_are_said_are_taken_instead() -> None:
    spec = Torchvision(constructor="resnet18", stages=("layer2", "layer3.1"))
    assert spec.taps == ("layer2", "layer3.1")
    assert spec.label == Torchvision(constructor="resnet18").label
    with pytest.raises(ValidationError, match='no module "layer9" ends a stage; did you mean layer'):
        Torchvision(constructor="resnet18", stages=("layer9",))


def test_the_head_has_the_classes_and_a_first_convolution_for_grey_has_one_channel() -> None:
    with torch.device("meta"):
        networks = {channels: Torchvision(constructor="resnet50").build(channels, 7) for channels in (1, 3)}
    assert networks[1].fc.out_features == 7
    assert networks[1].conv1.weight.shape == (64, 1, 7, 7)
    counts = [sum(parameter.numel() for parameter in networks[channels].parameters()) for channels in (1, 3)]
    assert counts[1] - counts[0] == 64 * 2 * 49
    assert counts[1] == 25_557_032 - 2049 * 993  # torchvision's own count, of 1000 classes


def test_the_multiply_adds_are_torchvision_s_own() -> None:
    weights = models.ResNet18_Weights.IMAGENET1K_V1
    counted = size(Torchvision(constructor="resnet18"), (3, 224, 224), 1000)
    assert counted.params == weights.meta["num_params"]
    assert counted.macs / 1e9 == pytest.approx(weights.meta["_ops"], abs=0.01)


def test_networks_with_extra_classifiers_give_logits_alone() -> None:
    with torch.device("meta"):
        network = Torchvision(constructor="googlenet").build(3, 7).train()
        assert network(torch.empty(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("constructor", ["densenet121", "squeezenet1_1"])
def test_a_tap_is_what_its_module_gave_though_a_relu_in_place_follows(constructor: str) -> None:
    spec = Torchvision(constructor=constructor)
    network = spec.build(3, 7).eval()
    module = {"densenet121": "features.norm5", "squeezenet1_1": "features.0"}[constructor]
    given: list[torch.Tensor] = []
    network.get_submodule(module).register_forward_hook(lambda module, inputs, output: given.append(output.clone()))
    tapped = Tapped(network, {tap: tap for tap in (*spec.taps, module)}, spec.classifier)
    with torch.no_grad():
        for _ in range(2):
            features = tapped(torch.randn(2, 3, 32, 32))
            assert torch.equal(features.maps[module], given[-1])
            assert float(given[-1].min()) < 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"constructor": "resnet51"}, r"no classifier of torchvision; did you mean resnet"),
        ({"constructor": "fasterrcnn_resnet50_fpn"}, "no classifier of torchvision; did you mean"),
        ({"constructor": "resnet50", "weights": "IMAGENET1K_V3"}, "no weights of resnet50; did you mean IMAGENET1K_V"),
        ({"constructor": "resnet18", "settings": {"num_classes": 3}}, "the data say how many"),
        ({"constructor": "resnet18", "settings": {"depth": 3}}, r"resnet18\(depth=3\) cannot be built: .* 'depth'"),
        ({"constructor": "vit_b_16", "settings": {"image_size": 20}}, "vit_b_16.* cannot be built"),
    ],
)
def test_what_torchvision_has_not_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Torchvision.model_validate(settings)


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match=r"alexnet does not take images of 3×8×8 \(Given input size.*take another"):
        anatomy(Torchvision(constructor="alexnet"), (3, 8, 8), 10)


def test_default_weights_become_the_name_that_they_stand_for() -> None:
    spec = Torchvision(constructor="resnet50", weights="DEFAULT")
    assert spec.weights == "IMAGENET1K_V2"
    assert spec.label == "resnet50-imagenet1k_v2"
    assert spec.id == Torchvision(constructor="resnet50", weights="IMAGENET1K_V2").id
    assert (spec.is_pretrained, spec.is_trained_for(1000), spec.is_trained_for(10)) == (True, True, False)
    assert not Torchvision(constructor="resnet50").is_pretrained


def test_weights_fill_all_but_a_head_of_other_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = place_weights(tmp_path, monkeypatch)
    spec = Torchvision(constructor=CONSTRUCTOR, weights="DEFAULT")
    whole = spec.load_pretrained(spec.build(3, 1000)).state_dict()
    assert all(torch.equal(whole[name], value) for name, value in state.items())

    fresh = spec.build(1, 10)
    head, first = fresh.fc.weight.detach().clone(), "conv1.0.weight"
    drawn = torch.get_rng_state()
    grey = spec.load_pretrained(fresh).state_dict()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(grey["fc.weight"], head)
    assert torch.equal(grey[first], state[first].sum(dim=1, keepdim=True))
    rest = [name for name in state if not name.startswith("fc.") and name != first]
    assert all(torch.equal(grey[name], state[name]) for name in rest)


def test_weights_that_cannot_be_had_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setattr("urllib.request._opener", None)  # an earlier download has settled without the proxy
    spec = Torchvision(constructor=CONSTRUCTOR, weights="DEFAULT")
    network = spec.build(3, 10)  # downloads nothing
    with pytest.raises(MissingError, match=f"cannot be downloaded .*refused.*; put {WEIGHTS.url} there"):
        spec.load_pretrained(network)
    place_weights(tmp_path, monkeypatch)
    (path,) = (tmp_path / "hub" / "checkpoints").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(MissingError, match="are not whole in"):
        spec.load_pretrained(network)


def test_weights_that_do_not_fit_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_weights(tmp_path, monkeypatch, classes=7)
    monkeypatch.setitem(WEIGHTS.meta, "categories", ["a", "b"])
    spec = Torchvision(constructor=CONSTRUCTOR, weights="DEFAULT")
    with pytest.raises(UserError, match="the weights IMAGENET1K_V1 of shufflenet_v2_x0_5 do not fit its settings"):
        spec.load_pretrained(spec.build(3, 2))


@pytest.mark.parametrize(("constructor", "weights"), [("googlenet", "DEFAULT"), ("inception_v3", "DEFAULT")])
def test_weights_that_take_images_of_another_spread_get_them(constructor: str, weights: str) -> None:
    with torch.device("meta"):
        pretrained = Torchvision(constructor=constructor, weights=weights).build(3, 1000)
        blank = Torchvision(constructor=constructor).build(3, 1000)
    assert (pretrained.transform_input, blank.transform_input) == (True, False)
