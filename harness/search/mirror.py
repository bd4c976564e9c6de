"""A mirror's protocol, and what all mirrors call an entry and its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from harness.record import EpochRecord, TrialRecord
from harness.train.account import Assignment


class Mirror(Protocol):
    """A place that numbers go to; every method is called from one thread, and may raise."""

    def lacks(self, trial: TrialRecord) -> bool:
        """Whether a trial that ended is missing there, or is there in part."""

    def began(self, assignment: Assignment) -> None:
        """A trial runs."""

    def trained(self, epoch: EpochRecord) -> None:
        """A running trial finished an epoch, which may be there already."""

    def ended(self, trial: TrialRecord, epochs: Iterable[EpochRecord]) -> None:
        """A trial ended; `epochs` are all that it had, for one that is missing."""

    def close(self) -> None:
        """Nothing more comes."""


def key(trial_id: str, attempt: int) -> str:
    """What an entry is found by."""
    return f"{trial_id}-{attempt}"


def scalars(epoch: EpochRecord) -> dict[str, float]:
    """An epoch's numbers by name."""
    known = {"validation/accuracy": epoch.accuracy, "validation/loss": epoch.loss, "train/loss": epoch.train_loss}
    known |= {"train/learning_rate": epoch.learning_rate, **{f"loss/{name}": of for name, of in epoch.losses.items()}}
    return {name: value for name, value in known.items() if value is not None}


def results(trial: TrialRecord) -> dict[str, float]:
    """A trial's numbers at its end."""
    known = {"validation_accuracy": trial.validation_accuracy, "test_accuracy": trial.test_accuracy}
    known |= {"params": trial.params, "macs": trial.macs, "train_seconds": trial.train_seconds}
    return {f"final/{name}": float(value) for name, value in known.items() if value is not None}
