"""The depot: the driver's files, for nodes that do not share its file system.

Files are known by their paths on the driver's machine. What a worker sends is on the driver's disk when the call
returns, so no record comes to lack its student. Who may make a file that is made once is written down here, and a
worker that dies loses its right when its driver says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.files import file_digest, replacing

CHUNK = 32 * 2**20
"""Bytes that one call reads."""


class Depot(Protocol):
    """The driver's files, wherever one asks from."""

    def digest(self, path: Path) -> str | None:
        """SHA-256 of a file; None where there is none."""

    def read(self, path: Path, offset: int) -> bytes:
        """Up to `CHUNK` bytes of a file; none at its end."""

    def write(self, path: Path, content: bytes, digest: str) -> None:
        """Puts a file in its place, whole; raises `ValueError` for a digest that is not the content's, or a place
        that is not the run's."""

    def remove(self, path: Path) -> None:
        """Removes a file if it is there."""

    def claim(self, path: Path, holder: str) -> bool:
        """Gives the right to make a file, unless another has it."""

    def release(self, holder: str) -> None:
        """Takes all rights of a holder."""


class FilesOnDisk:
    """The depot where the files are."""

    def __init__(self, writable: Sequence[Path]) -> None:
        self.writable = tuple(writable)
        """Folders in which files may be changed."""
        self._digests: dict[tuple[Path, int, int], str] = {}
        self._holders: dict[Path, str] = {}

    def digest(self, path: Path) -> str | None:
        if not path.is_file():
            return None
        stat = path.stat()
        key = path, stat.st_mtime_ns, stat.st_size
        if key not in self._digests:
            self._digests[key] = file_digest(path)
        return self._digests[key]

    def read(self, path: Path, offset: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK)

    def write(self, path: Path, content: bytes, digest: str) -> None:
        self._check(path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{path} did not arrive as it was sent")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)

    def remove(self, path: Path) -> None:
        self._check(path)
        path.unlink(missing_ok=True)

    def claim(self, path: Path, holder: str) -> bool:
        return self._holders.setdefault(path, holder) == holder

    def release(self, holder: str) -> None:
        self._holders = {path: other for path, other in self._holders.items() if other != holder}

    def _check(self, path: Path) -> None:
        if ".." in path.parts or not any(path.is_relative_to(folder) for folder in self.writable):
            raise ValueError(f"{path} is no place of this run")
