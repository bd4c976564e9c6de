"""Accuracy and cross-entropy, counted by hand on four images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from harness.data.resident import ResidentSplit
from harness.data.served import Standard
from harness.train.evaluate import evaluate


class PixelsAreLogits(nn.Module):
    """Says of an image what its two pixels say, and notes in which mode it was asked."""

    asked_in_training: bool | None = None

    def forward(self, images: Tensor) -> Tensor:
        self.asked_in_training = self.training
        return images.flatten(1)


def split(pixels: list[list[int]], labels: list[int]) -> ResidentSplit:
    plain = Standard(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    return ResidentSplit(torch.tensor(pixels, dtype=torch.uint8).reshape(-1, 1, 1, 2), torch.tensor(labels), plain)


FOUR = split([[1, 0], [0, 1], [3, 0], [0, 0]], [0, 1, 1, 0])


def test_the_score_is_the_one_worked_out_by_hand() -> None:
    score = evaluate(PixelsAreLogits(), FOUR)
    assert score.accuracy == 3 / 4  # the third is wrong; of equal logits the first counts
    by_hand = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(-1)), math.log(1 + math.exp(3)), math.log(2)]
    assert score.loss == pytest.approx(sum(by_hand) / 4)
    assert score.images == 4
    assert score.is_finite


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_asked_in_eval_mode_and_left_as_it_came(training: bool) -> None:
    network = PixelsAreLogits().train(training)
    evaluate(network, FOUR)
    assert network.asked_in_training is False
    assert network.training is training


def test_every_image_counts_once_in_whatever_chunks() -> None:
    many = split([[1, 0]] * 1500 + [[0, 1]] * 1000, [0] * 2500)
    assert evaluate(PixelsAreLogits(), many).accuracy == 1500 / 2500


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_no_score(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) * value

    assert not evaluate(Broken(), FOUR).is_finite  # though class 0 gets the right ones counted
