"""Streamed images: the same crops whatever the workers, and the same interface as resident ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from harness.data.dataset import DataError
from harness.data.folder import Folder
from harness.data.listed import ListedDataset
from harness.data.parquet import Packed, Parquet
from harness.data.resident import ResidentData
from harness.data.serve import serve, serve_split
from harness.data.served import TrialData
from harness.data.splits import Warrant, cut, open_test
from harness.data.streamed import StreamedData
from tests.data.own import SIZES, as_folders, as_parquet, digits, png

CPU = torch.device("cpu")
STREAM = {"validation": 3, "stream": True, "resize": 8, "crop": 6, "channels": 1, "workers": 0}


def parquet(root: Path, **settings: Any) -> Parquet:
    return Parquet(path=str(as_parquet(root / "set")), **STREAM | settings).pinned(None)


def served(data: ListedDataset, root: Path) -> TrialData:
    return serve(cut(data, root), data, CPU)


def epoch(data: TrialData, seed: int, size: int = 4) -> list[tuple[Tensor, Tensor, Tensor]]:
    batches = data.batches(size, torch.Generator().manual_seed(seed))
    return [(batch.indices, batch.images, batch.labels) for batch in batches]


def equal(one: list[tuple[Tensor, ...]], other: list[tuple[Tensor, ...]]) -> bool:
    return all(torch.equal(a, b) for two in zip(one, other, strict=True) for a, b in zip(*two, strict=True))


def test_crops_follow_from_the_seed_and_not_from_the_number_of_workers(tmp_path: Path) -> None:
    alone, helped = (served(parquet(tmp_path, workers=workers), tmp_path) for workers in (0, 2))
    for seed in (5, 6):  # the second epoch by the workers of the first
        assert equal(epoch(alone, seed), epoch(helped, seed))
    assert equal(list(alone.validation.chunks()), list(helped.validation.chunks()))
    next(iter(helped.batches(2, torch.Generator().manual_seed(9))))  # and left there, as a pre-training may
    assert equal(epoch(helped, 5), epoch(alone, 5))
    assert equal(epoch(alone, 5), epoch(alone, 5))
    assert not equal(epoch(alone, 5), epoch(alone, 6))
    assert parquet(tmp_path).id == parquet(tmp_path, workers=2).id


def test_an_images_crop_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    data = served(parquet(tmp_path), tmp_path)
    by = {
        size: {int(i): image for part in epoch(data, 5, size) for i, image in zip(part[0], part[1], strict=True)}
        for size in (3, 9)
    }
    assert by[3].keys() == by[9].keys() == set(range(SIZES["train"] - 3))
    assert all(torch.equal(by[3][index], by[9][index]) for index in by[3])


def test_the_trials_own_random_stream_is_left_alone(tmp_path: Path) -> None:
    data = served(parquet(tmp_path), tmp_path)
    state = torch.get_rng_state()
    epoch(data, 5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("count", [9, 8, 5])
def test_batches_are_as_many_as_it_says(count: int, tmp_path: Path) -> None:
    data = served(parquet(tmp_path, train=count), tmp_path)
    for size in (2, 4):
        sizes = [len(labels) for _, _, labels in epoch(data, 0, size)]
        assert len(sizes) == data.batch_count(size)
        assert sum(sizes) == count - (count % size == 1)


def test_evaluation_sees_the_middle_and_each_label_is_its_images(tmp_path: Path) -> None:
    settings = {"crop": 8, "mean": [0.0], "spread": [1 / 255]}
    for data in (parquet(tmp_path, **settings), folder(tmp_path, **settings)):
        test = serve_split(
            open_test(data, tmp_path, Warrant("t", "confirmation")), data, served(data, tmp_path).train.standard, CPU
        )
        (images, labels), *rest = test.chunks()
        assert not rest
        pixels, expected = digits("test")
        assert torch.equal(images, torch.from_numpy(pixels).float())
        assert labels.tolist() == expected.tolist()


def folder(root: Path, **settings: Any) -> Folder:
    return Folder(path=str(as_folders(root / "folders")), **STREAM | settings).pinned(None)


def test_both_kinds_have_one_interface(tmp_path: Path) -> None:
    streams = served(folder(tmp_path), tmp_path)
    resident = served(Folder(path=str(tmp_path / "folders"), validation=3), tmp_path)
    assert isinstance(streams, StreamedData)
    assert isinstance(resident, ResidentData)
    for data in (streams, resident):
        assert (len(data.train), len(data.validation), len(data.fingerprint)) == (9, 3, 64)
        assert data.train.labels.tolist() == resident.train.labels.tolist()
        (first, *_) = data.batches(4, torch.Generator().manual_seed(0))
        assert first.images.dtype == torch.float32
    assert streams.fingerprint != resident.fingerprint


def test_training_images_are_standardised_by_their_own_middles(tmp_path: Path) -> None:
    data = served(parquet(tmp_path), tmp_path)
    images = torch.cat([images for images, _ in data.train.chunks()])
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std()) - 1) < 1e-5


def test_grey_images_of_any_size_come_in_colours_and_in_one_size(tmp_path: Path) -> None:
    root = as_folders(tmp_path / "folders")
    (root / "train" / "class0" / "000.png").write_bytes(png(np.zeros((3, 30, 11), np.uint8)))
    data = Folder(path=str(root), validation=3, stream=True, resize=8, crop=6, workers=0).pinned(None)
    assert data.shape == (3, 6, 6)
    assert {tuple(images.shape[1:]) for _, images, _ in epoch(served(data, tmp_path), 0)} == {(3, 6, 6)}


def test_a_torn_image_is_named_when_it_is_met(tmp_path: Path) -> None:
    data = folder(tmp_path, mean=[0.5], spread=[0.5])
    (tmp_path / "folders" / "train" / "class1" / "005.png").write_bytes(b"torn")
    data = data.model_copy(update={"sha256": None}).pinned(None)
    whole = served(data, tmp_path)
    with pytest.raises(DataError, match=r"^\S*train/class1/005\.png is no whole image") as refusal:
        epoch(whole, 0)
        list(whole.validation.chunks())
    assert "Traceback" not in str(refusal.value)


def test_parquet_is_packed_once_and_again_when_it_is_torn(tmp_path: Path) -> None:
    data = parquet(tmp_path)
    packed = data.training_images(tmp_path)
    assert isinstance(packed, Packed)
    first = [packed.content(index) for index in range(len(packed))]
    assert first == [png(one) for one in digits("train")[0]]
    written = packed.path.stat().st_mtime_ns
    data.training_images(tmp_path)
    assert packed.path.stat().st_mtime_ns == written
    packed.path.write_bytes(packed.path.read_bytes()[:-5])
    again = data.training_images(tmp_path)
    assert isinstance(again, Packed)
    assert [again.content(index) for index in range(len(again))] == first


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"size": 8}, "leave out `size` and `shift`"),
        ({"shift": 1}, "leave out `size` and `shift`"),
        ({"crop": 9}, "crop 9 is larger than resize 8"),
        ({"stream": False}, "resize, crop and workers are a stream's"),
    ],
)
def test_settings_of_the_other_kind_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Parquet.model_validate({"path": "x", **STREAM, **wrong})


def test_the_middle_is_cut_from_an_image_whose_shorter_side_is_resized(tmp_path: Path) -> None:
    root = as_folders(tmp_path / "folders")
    wide = np.zeros((1, 8, 24), np.uint8)
    wide[:, :, 12:] = 255  # the middle sees the edge at its own middle
    for path in root.glob("*/*/*.png"):
        path.write_bytes(png(wide))
    data = folder_at(root)
    (images, _), *_ = served(data, tmp_path).validation.chunks()
    assert images.shape[2:] == (6, 6)
    columns = images[0, 0, 3]
    assert math.isclose(float(columns[0]), 0.0, abs_tol=1e-6)
    assert math.isclose(float(columns[5]), 1.0, abs_tol=1e-6)


def folder_at(root: Path) -> Folder:
    return Folder(path=str(root), **STREAM, mean=(0.0,), spread=(1.0,)).pinned(None)


def test_a_streams_views_are_endless_and_a_resident_sets_are_counted(tmp_path: Path) -> None:
    assert folder(tmp_path).views is None
    assert Folder(path="x", validation=3, shift=2, flip=True).views == 50


def test_two_columns_of_images_are_two_streams(tmp_path: Path) -> None:
    """One data root serves both: what is packed for one is not taken for the other."""
    place = as_parquet(tmp_path / "set", image="image")
    for part in ("train", "test"):
        path = place / f"{part}.parquet"
        rows = pq.read_table(path)
        pq.write_table(rows.append_column("masked", rows["image"].take(list(reversed(range(len(rows)))))), path)
    settings = {**STREAM, "mean": (0.0,), "spread": (1.0,)}
    either = [Parquet(path=str(place), image=name, **settings).pinned(None) for name in ("image", "masked")]
    first, second = (epoch(served(data, tmp_path), seed=0)[0][1] for data in either)
    assert not torch.equal(first, second)
