"""Sizes are counted without training; seconds of a pass are measured, those of a trial guessed."""

from __future__ import annotations

import pytest
import torch

from harness.distill.ksan import KSAN
from harness.models.python_model import Python
from harness.models.resnet import ResNet
from harness.study.plan import predicted_seconds
from harness.train.cost import activation_bytes, latency, size
from tests.train.small import STUDENT, small_trial


@pytest.mark.parametrize(
    ("depth", "params", "million_macs"), [(20, 272_474, 40.8), (56, 855_770, 125.8), (110, 1_730_714, 253.2)]
)
def test_sizes_are_those_of_the_published_tables(depth: int, params: int, million_macs: float) -> None:
    """Multiply-adds as in the tables of the CIFAR ResNets; the parameters include the projections."""
    counted = size(ResNet(depth=depth), (3, 32, 32), 10)
    assert counted.params == params
    assert counted.macs / 1e6 == pytest.approx(million_macs, abs=0.06)


def test_parameters_are_those_of_the_network_that_is_trained() -> None:
    assert size(STUDENT, (1, 8, 8), 10).params == sum(p.numel() for p in STUDENT.build(1, 10).parameters())


def test_kept_activations_are_those_counted_by_hand() -> None:
    """ResNet-8 of width w: a norm keeps its input, a ReLU its output, a convolution an input that is kept already."""
    width, positions = 4, 1024
    stem = 3 + 2 * width
    first = 4 * width  # two of each: a convolution's output, a ReLU's
    second, third = (5 * width * 2**stage // 4**stage for stage in (1, 2))  # and the projection's output
    floats = (stem + first) * positions + second * positions + third * positions + 4 * width
    assert activation_bytes(ResNet(depth=8, width=width), (3, 32, 32), 10) == 4 * floats


def test_kept_activations_are_what_a_cpu_keeps_too() -> None:
    network, kept = STUDENT.build(1, 10).train(), []
    for images in (2, 3):
        storages = {}

        def keep(tensor: torch.Tensor, storages: dict = storages) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = network(torch.randn(images, 1, 8, 8))
        kept.append(sum(storages.values()))
        assert logits.requires_grad
    assert kept[1] - kept[0] == activation_bytes(STUDENT, (1, 8, 8), 10)


def test_an_activation_in_place_keeps_less() -> None:
    settings = {"name": "python", "callable": "tests.contract.foreign:small"}
    assert activation_bytes(Python.model_validate(settings), (3, 32, 32), 10) < 4 * (3 + 2 * 4 + 1 + 2 * 8) * 1024


def test_latency_is_measured_and_draws_nothing() -> None:
    drawn = torch.get_rng_state()
    found = latency(STUDENT, (1, 8, 8), 10, torch.device("cpu"), batch=4, passes=7)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert 0 < found.lower_quartile <= found.median <= found.upper_quartile < 1
    assert (found.batch, found.passes) == (4, 7)


def test_predicted_time_grows_with_what_is_to_be_done() -> None:
    scratch = predicted_seconds(small_trial())
    assert scratch > 0
    assert predicted_seconds(small_trial(training__epochs=6)) == pytest.approx(2 * scratch)
    assert predicted_seconds(small_trial(KSAN())) > scratch
    assert predicted_seconds(small_trial(student__depth=14)) > scratch
