"""Sizes are counted without training; seconds are guessed."""

from __future__ import annotations

import pytest

from harness.distill.ksan import KSAN
from harness.models.resnet import ResNet
from harness.study.plan import predicted_seconds
from harness.train.cost import size
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


def test_predicted_time_grows_with_what_is_to_be_done() -> None:
    scratch = predicted_seconds(small_trial())
    assert scratch > 0
    assert predicted_seconds(small_trial(training__epochs=6)) == pytest.approx(2 * scratch)
    assert predicted_seconds(small_trial(KSAN())) > scratch
    assert predicted_seconds(small_trial(student__depth=14)) > scratch
