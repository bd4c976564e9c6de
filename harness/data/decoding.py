"""Decoding: every image once, on all cores, kept on disk by content for all later processes.

ROOT/decoded/KEY.npy    the pixels, uint8 (n, c, h, w), read back memory-mapped
ROOT/decoded/KEY.json   their SHA-256

Threads do: Pillow lets go of the interpreter's lock while it decodes, and processes take seconds to start
(measured: 50,000 JPEGs of 32×32 in 7 s with two threads, 11 s with two processes).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from torch import Tensor

from harness.data.dataset import Images
from harness.data.encoded import Encoded, decoded, expect_shape
from harness.files import file_digest, replacing, write_text_whole

CHUNK = 512
"""Images that a worker takes at a time."""


def decoded_images(encoded: Encoded, shape: tuple[int, int, int], convert: Conversion, root: Path, key: str) -> Images:
    """The images as `convert` makes them, from the disk where they were decoded before.

    Raises `DataError` for the first image that cannot be decoded or is not of `shape`.
    """
    folder = root / "decoded"
    folder.mkdir(parents=True, exist_ok=True)
    path, note = folder / f"{key}.npy", folder / f"{key}.json"
    with FileLock(folder / f"{key}.lock"):
        pixels = _kept(path, note, (len(encoded), *shape))
        if pixels is None:
            pixels = _decode(encoded, shape, convert)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, pixels)
            write_text_whole(note, json.dumps({"sha256": file_digest(path)}))
    return Images(pixels, encoded.labels)


@dataclass(frozen=True)
class Conversion:
    """How an image becomes one of the data set's."""

    channels: int | None = None
    """1 for grey, 3 for colours; as it is where it is not said."""
    size: int | None = None
    """Height and width."""

    def __call__(self, content: bytes, where: str) -> Tensor:
        """uint8 (c, h, w); with a size the shorter side is brought to it and the middle is cut out."""
        pixels = decoded(content, where, self.channels)
        if self.size is None:
            return pixels
        from torchvision.transforms.v2 import functional as F

        middle: Tensor = F.center_crop(F.resize(pixels, [self.size], antialias=True), [self.size, self.size])
        return middle


def _decode(encoded: Encoded, shape: tuple[int, int, int], convert: Conversion) -> NDArray[np.uint8]:
    parts = np.array_split(np.arange(len(encoded)), -(-len(encoded) // CHUNK))
    workers = Parallel(n_jobs=int(cpu_count()), prefer="threads", return_as="generator")
    pixels = np.empty((len(encoded), *shape), np.uint8)
    tasks = (delayed(_decoded_part)(encoded.taken(part), shape, convert) for part in parts)
    for part, piece in zip(parts, workers(tasks), strict=True):
        pixels[part] = piece
    return pixels


def _decoded_part(encoded: Encoded, shape: tuple[int, int, int], convert: Conversion) -> NDArray[np.uint8]:
    pixels = np.empty((len(encoded), *shape), np.uint8)
    for index in range(len(encoded)):
        where = encoded.where(index)
        image = convert(encoded.content(index), where)
        expect_shape(image, shape, where)
        pixels[index] = image.numpy()
    return pixels


def _kept(path: Path, note: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The pixels of an earlier process; None where there are none, or not those that were written."""
    try:
        if json.loads(note.read_text(encoding="utf-8"))["sha256"] != file_digest(path):
            return None
        pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None
