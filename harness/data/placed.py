"""What a user places: a file or folder that a study names by its path and that is known by its content.

A path says where something lies on one machine, so it is no part of any id: the SHA-256 of the content is,
which is filled in when the study is loaded and held against the content when it is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, FieldSerializationInfo, field_serializer

from harness.files import at_home, file_digest, printable, write_text_whole
from harness.source import MissingError, shown
from harness.spec import Spec, is_identity

DIGESTS = Path("~/.cache/ksan-harness/digests")
LARGE = 64 * 2**20
"""Bytes from which on a digest is remembered for paths, sizes and times of change; less is read again each time."""


class Placed(Spec):
    """A path with the digest of what must be there."""

    path: str = Field(min_length=1)
    """Relative to the working folder, or else to the study's file."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of the content; filled in when the study is loaded, checked before use, and part of the id."""

    @field_serializer("path")
    def _place(self, path: str, info: FieldSerializationInfo) -> str:
        return "" if self.sha256 and is_identity(info) else path

    def at_its_place(self, beside: Path | None) -> Self:
        """The same, its path such that it leads there from the working folder.

        `beside` is the file that names it. Raises `MissingError` where nothing is.
        """
        own = at_home(self.path)
        places = [own, beside.parent / own] if beside else [own]
        for place in places:
            if _is_there(place):
                if printable(place) != str(place):
                    raise MissingError(f"{printable(place)} has a name that is no UTF-8; rename it")
                return self if place == Path(self.path) else self.model_copy(update={"path": str(place)})
        raise MissingError(f"{shown(self.path)} is no file here; correct the path")


def _is_there(place: Path) -> bool:
    try:
        return place.exists()
    except OSError as error:  # a name that is too long, or a loop of links
        raise MissingError(f"{shown(str(place))} cannot be read ({error.strerror}); correct the path") from error


def digest_of(files: Sequence[tuple[str, Path]]) -> str:
    """SHA-256 over the names and contents of files, in their order."""
    stamps, size = hashlib.sha256(), 0
    for name, path in files:
        stat = path.stat()
        size += stat.st_size
        stamps.update(os.fsencode(f"{name}\0{path.absolute()}\0{stat.st_mtime_ns}\0{stat.st_size}\n"))
    note = at_home(DIGESTS) / stamps.hexdigest()
    if size >= LARGE and note.is_file() and len(noted := note.read_text(encoding="utf-8")) == 64:
        return noted
    total = hashlib.sha256()
    for name, path in files:
        total.update(os.fsencode(f"{name}\0{file_digest(path)}\n"))
    if size >= LARGE:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(note, total.hexdigest())
    return total.hexdigest()
