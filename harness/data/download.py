"""Downloads: torchvision's own, with its progress and checksums, tried three times, and told when there is no way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError

from harness.source import MissingError

Content = TypeVar("Content")

PAUSES = (1.0, 4.0)
"""Seconds before the second and the third attempt."""


def downloaded(name: str, root: Path, reading: Callable[[], Content], remedy: str) -> Content:
    """What `reading` returns, which skips what is there and whole; `remedy` says how to do without a network.

    Raises `MissingError` after the last attempt.
    """
    for pause in (*PAUSES, None):
        try:
            root.mkdir(parents=True, exist_ok=True)
            return reading()
        except (URLError, OSError, RuntimeError, EOFError) as error:
            if pause is None:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise MissingError(
                    f"{name} is neither in {root} nor to be downloaded ({reason}); on a machine with a network run the "
                    f"same command and copy {root} here, or {remedy} (another folder: --data-root)"
                ) from error
            time.sleep(pause)
    raise AssertionError
