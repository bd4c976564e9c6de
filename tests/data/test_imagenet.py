"""ImageNet is known by its name, found below the data root, and counted before it is used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data import imagenet
from harness.data.dataset import DataError
from harness.data.encoded import Encoded
from harness.data.imagenet import ImageNet
from harness.data.splits import Warrant, cut, open_test
from harness.source import MissingError
from tests.data.own import CLASSES, SIZES, as_folders


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a tiny set in ImageNet's layout, which counts as the whole of it."""
    for name, count in (("CLASSES", CLASSES), ("TRAIN", SIZES["train"]), ("TEST", SIZES["test"])):
        monkeypatch.setattr(imagenet, name, count)
    shutil.move(as_folders(tmp_path / "own"), tmp_path / "imagenet")
    (tmp_path / "imagenet" / "test").rename(tmp_path / "imagenet" / "val")
    return tmp_path


def test_it_is_known_without_its_files() -> None:
    data = ImageNet()
    assert (data.shape, data.classes, data.pool) == ((3, 224, 224), 1000, 1_281_167)
    assert data.pinned(None) == data
    assert data.id == ImageNet(path="/elsewhere/ilsvrc", workers=9).id


def test_it_is_streamed_from_below_the_data_root(root: Path) -> None:
    data = ImageNet(validation=3, workers=0)
    splits, test = cut(data, root), open_test(data, root, Warrant("t", "confirmation"))
    assert isinstance(splits.train, Encoded)
    assert (len(splits.train), len(splits.validation), len(test)) == (SIZES["train"] - 3, 3, SIZES["test"])


def test_its_absence_is_told_with_the_place_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        MissingError, match=f"imagenet is not in {tmp_path}/imagenet: unpack ILSVRC 2012 .* --data-root"
    ):
        cut(ImageNet(), tmp_path)


def test_a_part_of_it_is_refused_under_its_name(root: Path) -> None:
    next((root / "imagenet" / "train").rglob("*.png")).unlink()
    with pytest.raises(DataError, match="train holds 11 images in 3 classes, and the published set has 12 in 3; "):
        cut(ImageNet(validation=3), root)
