"""Batches: seeded, standardised by the training split, each image once an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data.dataset import DataError, Images
from harness.data.digits import Digits
from harness.data.resident import ResidentData, resident
from harness.data.served import Batch
from harness.data.splits import Splits, cut

CPU = torch.device("cpu")


def digits(**settings: object) -> ResidentData:
    data = Digits.model_validate(settings)
    return resident(cut(data, Path()), data, CPU)


def drawn(data: ResidentData, size: int, seed: int) -> list[Batch]:
    return list(data.batches(size, torch.Generator().manual_seed(seed)))


def test_the_same_seed_draws_the_same_batches_and_another_seed_others() -> None:
    data = digits()
    first, again, other = (drawn(data, 32, seed) for seed in (5, 5, 6))
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    assert not torch.equal(first[0].indices, other[0].indices)
    assert not torch.equal(torch.cat([b.views.dy for b in first]), torch.cat([b.views.dy for b in other]))


def test_an_epoch_has_each_image_once_with_its_own_label() -> None:
    data = digits()
    batches = drawn(data, 64, 0)
    assert [len(batch.labels) for batch in batches] == [64] * 6 + [16]
    indices = torch.cat([batch.indices for batch in batches])
    assert indices.sort().values.tolist() == list(range(400))
    assert torch.equal(torch.cat([batch.labels for batch in batches]), data.train.labels[indices])


def test_a_last_batch_of_one_image_is_left_out_and_one_of_two_kept() -> None:
    assert [len(batch.labels) for batch in drawn(digits(train=65), 32, 0)] == [32, 32]
    assert [len(batch.labels) for batch in drawn(digits(train=66), 32, 0)] == [32, 32, 2]


def test_unmoved_training_images_have_mean_0_and_spread_1() -> None:
    images = torch.cat([images for images, _ in digits().train.chunks()])
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std()) - 1) < 1e-5


def test_validation_is_standardised_as_training_was() -> None:
    data = digits()
    mean, spread = data.train.pixels.double().mean(), data.train.pixels.double().std()
    (images, labels), *rest = data.validation.chunks()
    assert not rest
    assert torch.allclose(images.double(), (data.validation.pixels.double() - mean) / spread, atol=1e-5)
    assert torch.equal(labels, data.validation.labels)


def test_without_augmentation_a_batch_is_its_images() -> None:
    data = digits(shift=0)
    for batch in drawn(data, 128, 0):
        assert torch.equal(batch.images, data.train.standard(data.train.pixels[batch.indices]))


def test_chunks_are_in_order_and_miss_nothing() -> None:
    data = digits()
    sizes = [len(labels) for _, labels in data.validation.chunks(150)]
    assert sizes == [150, 150, 100]
    assert torch.equal(torch.cat([labels for _, labels in data.validation.chunks(150)]), data.validation.labels)


def test_channels_are_standardised_apart_and_a_constant_one_is_0() -> None:
    pixels = np.zeros((4, 2, 3, 3), np.uint8)
    pixels[:, 0] = 9
    pixels[2:, 1] = 20
    images = Images(pixels, np.zeros(4, np.int64))
    data = resident(Splits(images, images, images.fingerprint), Digits(), CPU)
    (found, _), *_ = data.train.chunks()
    assert torch.equal(found[:, 0], torch.zeros(4, 3, 3))
    # 36 pixels of which half are 20: mean 10, spread √(36·100/35)
    assert torch.allclose(found[0, 1], torch.tensor(-10 / (3600 / 35) ** 0.5))


def test_a_mean_and_a_spread_that_are_named_are_used() -> None:
    named, own = digits(mean=[0.25], spread=[0.5]), digits(spread=[0.5])
    (images, _), *_ = named.validation.chunks()
    assert torch.allclose(images, (named.validation.pixels / 255 - 0.25) / 0.5, atol=1e-6)
    assert torch.allclose(own.train.standard.mean, digits().train.standard.mean)
    assert float(own.train.standard.spread) == 127.5


def test_a_mean_for_another_number_of_channels_is_refused() -> None:
    with pytest.raises(DataError, match="mean has 3 values and the images of digits have 1 channels"):
        digits(mean=[0.5, 0.5, 0.5])
