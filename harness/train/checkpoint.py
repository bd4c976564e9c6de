"""Checkpoints of running trials: whole or absent, and known to be what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.files import replacing
from harness.record import EpochRecord

_OF_ANOTHER_FORM = (RuntimeError, KeyError, TypeError, ValueError, AttributeError)
"""What reading or taking up raises where the content is damaged, or is what another version wrote."""


@dataclass(frozen=True)
class Progress:
    """How far a trial is: seconds of training, and a record an epoch."""

    trial_id: str
    seconds: float
    records: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class Kept:
    """What a checkpoint holds: progress, and states by name."""

    progress: Progress
    states: dict[str, Any]


def save(path: Path, progress: Progress, states: dict[str, Any]) -> None:
    """Writes a checkpoint behind its SHA-256, which torch's own format does not have."""
    written = io.BytesIO()
    torch.save({"progress": dataclasses.asdict(progress), "states": states}, written)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(written.getvalue()).digest() + written.getvalue())


@contextmanager
def taken_up(path: Path, trial_id: str) -> Iterator[Kept | None]:
    """The checkpoint of a trial, or None where there is none of it.

    One that is damaged, or that the block cannot take up since another version wrote it, is set aside, and the
    block ends quietly: training begins anew.
    """
    kept: Kept | None = None
    if path.exists():
        try:
            content = torch.load(io.BytesIO(_undamaged(path.read_bytes())), weights_only=True, map_location="cpu")
            progress = content["progress"]
            records = tuple(EpochRecord(**record) for record in progress["records"])
            kept = Kept(Progress(progress["trial_id"], progress["seconds"], records), content["states"])
        except _OF_ANOTHER_FORM:
            _set_aside(path)
    if kept and kept.progress.trial_id != trial_id:
        kept = None
    try:
        yield kept
    except _OF_ANOTHER_FORM:
        if kept is None:
            raise
        _set_aside(path)


def _set_aside(path: Path) -> None:
    path.replace(path.with_name(path.name + ".damaged"))


def _undamaged(written: bytes) -> bytes:
    digest, content = written[:32], written[32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("the checkpoint is not what was written")
    return content
