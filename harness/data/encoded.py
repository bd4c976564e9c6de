"""Encoded images: JPEG, PNG or WebP as they lie in files, with their labels, read when they are wanted.

Pillow decodes: torchvision's own decoders are three times as fast on 32×32 JPEGs (32 against 93 µs, equal
pixels), and are announced to be removed.
"""

from __future__ import annotations

import io
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from harness.data.dataset import DataError

FORMATS = ("JPEG", "PNG", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MODES = {1: "L", 3: "RGB"}
"""Channels → Pillow's name for such pixels."""
PLAIN = {"1": "L", "P": "RGB"}
"""What black and white, and numbers into a palette, are read as."""
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True, eq=False)
class Encoded(ABC):
    """Labelled images that are not decoded yet; small to pass to another process."""

    labels: NDArray[np.int64]
    digest: str
    """Of the whole data set, which these are a part of."""

    @abstractmethod
    def content(self, index: int) -> bytes:
        """The bytes of one image's file."""

    @abstractmethod
    def where(self, index: int) -> str:
        """Where one image lies, for a message."""

    @abstractmethod
    def taken(self, indices: NDArray[np.int64]) -> Self:
        """The images at some indices, in that order."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """The data set's content: the labels are part of it."""
        return self.digest


def decoded(content: bytes, where: str, channels: int | None) -> Tensor:
    """One image as uint8 (c, h, w), turned grey or into colours where `channels` says so.

    Raises `DataError` with the image's place for bytes that are no whole image of 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.mode in DEEP:
                raise DataError(f"{where} has more than 8 bits a channel ({image.mode}); convert it to 8")
            if image.format == "PNG" and content[24] > 8:  # Pillow cuts colours of 16 bits to 8
                raise DataError(f"{where} has {content[24]} bits a channel; convert it to 8")
            if image.format == "PNG" and b"IEND" not in content:  # Pillow lets the end be missing
                raise ValueError("it ends too early")
            mode = MODES[channels] if channels else PLAIN.get(image.mode, image.mode)
            pixels = np.array(image if mode == image.mode else image.convert(mode))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).partition(" <")[0]  # without the name of an object in memory
        raise DataError(f"{where} is no whole image ({reason}); replace it or remove it") from error
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()


def expect_shape(pixels: Tensor, shape: tuple[int, int, int], where: str) -> None:
    """Raises `DataError` where an image is not of the data set's shape."""
    if tuple(pixels.shape) == shape:
        return
    if pixels.shape[0] != shape[0]:
        raise DataError(
            f"{where} has {pixels.shape[0]} channels and the data set's first image has {shape[0]}; "
            f"replace it, or set `channels: 1` or `channels: 3` to convert them all"
        )
    raise DataError(
        f"{where} has {pixels.shape[1]}×{pixels.shape[2]} pixels and the data set's first image has "
        f"{shape[1]}×{shape[2]}; set `size` to resize them all"
    )
