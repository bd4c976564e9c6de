"""Tables on disk of what a frozen teacher says: a row an image and view, filled as rows are asked for.

    CACHE/cpu-1/answers/ID.rows    row r: the numbers of one view of one image, then four bytes that check them

A table is a file that all processes map and fill together; its room on the disk is reserved at once, for a map of a
file without any ends its process on a full disk. They write the same bits, for a teacher never
changes and a row is computed alike in every batch, so they need not wait for each other. A row whose check does not
hold was never written, or only in part when its writer was killed or the machine lost power, or was damaged since: it
is computed again.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from harness.files import replacing

CHECK = 4
"""Bytes of a row's check."""


@dataclass(frozen=True)
class Layout:
    """What stands in a row: `shape` numbers of 32 bits, or of the upper 16 where the lower are zeros (bfloat16)."""

    rows: int
    shape: tuple[int, ...]
    is_half: bool = False

    @property
    def row_bytes(self) -> int:
        """With its check; whole words of 32 bits."""
        numbers = math.prod(self.shape)
        return 4 * (-(-numbers // 2) if self.is_half else numbers) + CHECK

    @property
    def bytes(self) -> int:
        """Of the whole table, once it is full."""
        return self.rows * self.row_bytes


class Table:
    """One table, mapped into memory."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Makes the file where there is none of this size yet; raises `OSError` where the disk has no room for it."""
        self.layout = layout
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists() or path.stat().st_size != layout.bytes:
                with replacing(path) as temporary, temporary.open("wb") as file:
                    _reserve(file, layout.bytes)
        mapped = np.memmap(path, dtype=np.uint8, mode="r+", shape=(layout.rows, layout.row_bytes))
        self._rows = torch.from_numpy(mapped)

    def read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Values of some rows, (n, …), and which of them are there, (n,)."""
        found = self._rows[rows]
        values, check = (
            found[:, :-CHECK].contiguous().view(torch.int32),
            found[:, -CHECK:].contiguous().view(torch.int32),
        )
        numbers = values.view(torch.bfloat16 if self.layout.is_half else torch.float32).float()
        shaped = numbers[:, : math.prod(self.layout.shape)].reshape(-1, *self.layout.shape)
        return shaped, _checks(values) == check[:, 0]

    def write(self, rows: Tensor, values: Tensor) -> None:
        """Fills some rows; one that 16 bits would round stays absent."""
        numbers = values.reshape(len(rows), -1).contiguous()
        if self.layout.is_half:
            is_exact = is_half(numbers)
            rows, numbers = rows[is_exact], numbers[is_exact].bfloat16()
            numbers = torch.nn.functional.pad(numbers, (0, numbers.shape[1] % 2))
        words = numbers.view(torch.int32)
        self._rows[rows] = torch.cat([words, _checks(words)[:, None]], dim=1).view(torch.uint8)


def _reserve(file: BinaryIO, size: int) -> None:
    """Gives a new file its room, all zeros."""
    if sys.platform == "linux":
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, 2**20):
        file.write(bytes(min(2**20, size - start)))


def is_half(numbers: Tensor) -> Tensor:
    """Which rows, (n, d) → (n,), are exact in bfloat16."""
    return (numbers.bfloat16().float() == numbers).all(dim=1)


def _checks(words: Tensor) -> Tensor:
    """A number for each row of 32-bit words, (n, d) → (n,), never 0: a row that was never written is all zeros."""
    factors = torch.arange(1, 2 * words.shape[1], 2, dtype=torch.int64) * 0x9E3779B1 % 2**31
    return ((words.long() * factors).sum(dim=1) % (2**31 - 1) + 1).int()


def taken(folder: Path) -> int:
    """Bytes that a folder's tables take."""
    return sum(path.stat().st_size for path in folder.glob("*.rows")) if folder.is_dir() else 0
