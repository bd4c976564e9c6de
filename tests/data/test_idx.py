"""IDX files are read exactly, found where they may be, and held against the published content."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from harness.data.dataset import DataError
from harness.data.idx import FashionMnist, Mnist, read_idx
from harness.source import MissingError

PIXELS = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
LABELS = np.array([2, 0, 1], dtype=np.uint8)
IMAGES_FILE, LABELS_FILE = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """File → content of a published set of three images, which alone passes for Fashion-MNIST in this test."""
    files = {IMAGES_FILE: idx(PIXELS), LABELS_FILE: idx(LABELS)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(FashionMnist, "_digests", digests)
    monkeypatch.setattr(FashionMnist, "_folders", ())
    return files


def put(folder: Path, files: dict[str, bytes], packed: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.gz" if packed else folder / name).write_bytes(gzip.compress(content) if packed else content)
    return folder


def test_a_home_folder_that_is_not_here_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match='"~nobody_here/x" begins with a home folder that is not here'):
        Mnist(folder="~nobody_here/x").training_images(tmp_path)


def test_an_idx_file_by_hand() -> None:
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
    assert read_idx(content, "a file").tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", idx(LABELS)[:-1], idx(LABELS) + b"\0", idx(LABELS)[:6], b"\0\0\x09\x01" + idx(LABELS)[4:]],
    ids=["empty", "cut in the head", "one value short", "one too long", "cut in the sizes", "signed"],
)
def test_what_is_no_idx_file_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(DataError, match=r"x-ubyte .*; get it again"):
        read_idx(content, "x-ubyte")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("named", [False, True], ids=["in torchvision's place", "in a named folder"])
def test_files_are_found_and_read(named: bool, packed: bool, tiny: dict[str, bytes], tmp_path: Path) -> None:
    folder = put(tmp_path / "mine" if named else tmp_path / "FashionMNIST" / "raw", tiny, packed)
    images = FashionMnist(folder=str(folder) if named else None).training_images(tmp_path)
    assert np.array_equal(images.pixels, PIXELS[:, None])
    assert images.labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_one_changed_byte_is_refused_with_the_files_name(packed: bool, tiny: dict[str, bytes], tmp_path: Path) -> None:
    changed = tiny | {LABELS_FILE: tiny[LABELS_FILE][:-1] + b"\x02"}
    folder = put(tmp_path / "mine", changed, packed)
    with pytest.raises(DataError, match=rf"{LABELS_FILE}.* has another content than the published file"):
        FashionMnist(folder=str(folder)).training_images(tmp_path)


def test_a_torn_gzip_is_refused_with_the_files_name(tiny: dict[str, bytes], tmp_path: Path) -> None:
    folder = put(tmp_path / "mine", tiny, packed=True)
    path = folder / f"{IMAGES_FILE}.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{IMAGES_FILE}\.gz is damaged"):
        FashionMnist(folder=str(folder)).training_images(tmp_path)


def test_a_named_folder_without_the_files_is_told_and_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"mnist has no train-images-idx3-ubyte .*correct `folder`"):
        Mnist(folder=str(tmp_path)).training_images(tmp_path)


@pytest.mark.skipif(not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="dataset-fashion-mnist is not here")
def test_debians_package_is_found_by_itself(tmp_path: Path) -> None:
    images = FashionMnist().training_images(tmp_path)
    assert images.pixels.shape == (60_000, 1, 28, 28)
    assert np.bincount(images.labels).tolist() == [6000] * 10
    assert not list(tmp_path.iterdir())
