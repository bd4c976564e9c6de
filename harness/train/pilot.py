"""The pilot: a few real steps of a study's trials, to know what they take before they run.

It is carried out like any other trial, on a few batches and with a teacher of one epoch, in a cache that is thrown
away; nothing of it is a record.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.source import MissingError
from harness.train.account import Account, Assignment, carry_out_pack
from harness.train.cost import activation_bytes
from harness.train.seeds import Seeds
from harness.train.trial import TrialSpec
from harness.train.workshop import Workshop

BATCHES = 4
EPOCHS = 3
"""Of which the quickest counts: in the first, memory is asked for and kernels are chosen."""
FULL = 0.9
"""The share of a device's memory that trials may take; the rest is for what they share and for what varies."""


@dataclass(frozen=True)
class Pilot:
    """What trials of one config took, `together` of them as one pack."""

    together: int
    peak_bytes: int
    """Of the pack, with what its process holds besides."""
    step_seconds: float
    """One trial's share of a step, the teacher's answers being kept already."""
    asking_seconds: float
    """What a step takes longer, a trial, while the teacher has to be asked."""


class PilotError(MissingError):
    """The pilot did not complete; the message says why."""


class _NoMemoryError(PilotError):
    """It found no memory."""


def hungriest(specs: Iterable[TrialSpec]) -> TrialSpec:
    """The trial that keeps most activations for its backward pass, a teacher's forward pass counted in."""
    return max(specs, key=_appetite)


def _appetite(spec: TrialSpec) -> int:
    networks = [spec.student, *([spec.teacher.network] if spec.teacher else [])]
    each = sum(activation_bytes(network, spec.data.shape, spec.data.classes) for network in networks)
    return spec.training.batch_size * each


@contextmanager
def rehearsal(data_root: Path, device: torch.device) -> Iterator[Workshop]:
    """A workshop for pilots, whose cache is thrown away."""
    with tempfile.TemporaryDirectory() as cache:
        yield Workshop(data_root, Path(cache), device)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the process may live on beside those that train


def fly(spec: TrialSpec, workshop: Workshop, together: int = 1) -> Pilot:
    """Trains a few batches of a trial, or of so many seeds of it as a pack, twice: the second time its teacher has
    been asked. A pack that finds no memory is halved, as a search does. Raises `PilotError` where it does not complete.
    """
    while True:
        try:
            return _flown(spec, workshop, together)
        except _NoMemoryError:
            if together == 1:
                raise
            together //= 2


def _flown(spec: TrialSpec, workshop: Workshop, together: int) -> Pilot:
    images = max(BATCHES * spec.training.batch_size, 2 * spec.data.classes)
    changes = {"data.train": min(images, spec.data.train_count), "training.epochs": EPOCHS}
    changes["data.validation"] = min(images, spec.data.validation)
    if spec.teacher:
        changes["teacher.training.epochs"] = EPOCHS if spec.purpose == "teacher" else 1
    short = spec.with_values(changes)
    steps = max(1, short.data.train_count // spec.training.batch_size)
    seeds = [short.model_copy(update={"seeds": Seeds.all(seed)}) for seed in range(together)]
    pack = [Assignment(one, "pilot", "pilot", packs=together > 1) for one in seeds]
    first, again = ([_completed(account) for account in _accounts(pack, workshop)] for _ in range(2))
    asked, kept = (min(epoch.seconds for epoch in accounts[0].epochs) / steps for accounts in (first, again))
    left_out = (spec.data.train_count - short.data.train_count) * torch.Size(spec.data.shape).numel()
    resident = 2 * left_out if spec.data.views else 0  # with their border; streamed images lie on disk
    peak = max(account.trial.peak_bytes or 0 for account in (*first, *again))
    return Pilot(together, peak + resident, kept, max(0.0, asked - kept))


def _accounts(pack: list[Assignment], workshop: Workshop) -> list[Account]:
    return [news for news in carry_out_pack(pack, workshop) if isinstance(news, Account)]


def _completed(account: Account) -> Account:
    trial = account.trial
    if not account.epochs:
        kind = _NoMemoryError if trial.error_class in ("OutOfMemoryError", "MemoryError") else PilotError
        raise kind(
            f"what a trial takes could not be measured: one of {trial.student} by {trial.method} "
            f"{trial.status} ({trial.error_class}: {trial.error_message}); mend that"
        )
    return account


def busy_share(spec: TrialSpec, pilot: Pilot, workshop: Workshop) -> float:
    """The share of a step for which a pilot's trials keep their device at work; raises `PilotError` as `fly` does."""
    half = spec.training.batch_size // 2
    if not half:
        return 1.0
    flown = fly(spec.with_values({"training.batch_size": half}), workshop, pilot.together)
    return growing_share(pilot.step_seconds, flown.step_seconds)


def growing_share(whole: float, half: float) -> float:
    """What of a step's time grows with its images, 0 to 1, from a step's seconds and those of one of half its images.

    The rest is what starts its operations, during which a device waits.
    """
    return min(1.0, max(0.0, 2 * (whole - half) / whole))


def trials_a_device(memory: int, peak: int, cores: int, busy: float) -> int:
    """How many trials share a device: as many as its memory holds, as there are cores to feed them, and as keep it at
    work without a pause; at least one.

    `memory` and `peak` are bytes, `cores` those that the device's trials have, in units of what a trial takes; for the
    share `busy` of a step, one of them keeps it at work.
    """
    of_time = math.ceil(1 / busy) if busy > 1 / max(1, cores) else cores
    return max(1, min(int(FULL * memory) // max(1, peak), cores, of_time))
