"""Files that are whole or absent: written beside their place, synced, and renamed into it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.source import MissingError, shown


def at_home(path: str | Path) -> Path:
    """A path with the home folder in place of `~` or `~user`; raises `MissingError` where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise MissingError(f"{shown(str(path))} begins with a home folder that is not here; write it out") from error


def printable(path: Path | str) -> str:
    """A path as a message shows it: bytes of its name that are no text are marked."""
    return os.fsencode(path).decode(errors="replace")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path`, synced, once the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk is told without the name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text_whole(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees all of it or none."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
