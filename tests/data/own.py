"""Tiny sets of a user's own: real digits, encoded and laid out in each way that the harness reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

CLASSES = 3
SIZES = {"train": 12, "test": 6}
"""Images of each part, as many of each class."""


def digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 1, 8, 8) and labels of the part's digits below `CLASSES`, in order of their class."""
    content = load_digits()
    each = SIZES[part] // CLASSES
    skip = 0 if part == "train" else 20
    rows = np.concatenate([np.flatnonzero(content.target == label)[skip : skip + each] for label in range(CLASSES)])
    return np.round(content.images[rows] * (255 / 16)).astype(np.uint8)[:, None], content.target[rows].astype(np.int64)


def png(pixels: np.ndarray) -> bytes:
    """An image (c, h, w) as PNG."""
    return encoded(pixels, "PNG")


def jpeg(pixels: np.ndarray) -> bytes:
    """An image (c, h, w) as JPEG."""
    return encoded(pixels, "JPEG", quality=95)


def encoded(pixels: np.ndarray, kind: str, **settings: Any) -> bytes:
    """An image (c, h, w) as a file's bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(file, kind, **settings)
    return file.getvalue()


def table(
    contents: list[Any], labels: list[Any], image: str = "img", label: str = "label", struct: bool = True
) -> pa.Table:
    """A hub's table: images as bytes, or as structs of bytes and path."""
    images = [{"bytes": content, "path": None} for content in contents] if struct else contents
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    return pa.table({image: pa.array(images, kind), label: pa.array(labels)})


def as_parquet(folder: Path, encode: Callable[[np.ndarray], bytes] = png, **layout: Any) -> Path:
    """Both parts as a Parquet file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in SIZES:
        pixels, labels = digits(part)
        pq.write_table(table([encode(one) for one in pixels], labels.tolist(), **layout), folder / f"{part}.parquet")
    return folder


def as_folders(folder: Path, encode: Callable[[np.ndarray], bytes] = png) -> Path:
    """Both parts as class folders."""
    for part in SIZES:
        for number, (pixels, label) in enumerate(zip(*digits(part), strict=True)):
            place = folder / part / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:03}.{'png' if encode is png else 'jpg'}").write_bytes(encode(pixels))
    return folder
