"""Records: what trials leave behind. The two towers meet here and nowhere else.

    EpochRecord   one row per epoch of a trial   (a value on validation at epoch 12 of 60)
    TrialRecord   one row per trial, at its end  (a value with its fidelity, seeds and provenance)
    LookRecord    one row per further look at the test split, after the confirmation's own

Accuracies are fractions in [0, 1], times are seconds, sizes are counts. Minimising, percent signs and
rounding belong to whoever shows a number. The Arrow schema of the store derives from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Purpose = Literal["teacher", "search", "confirmation"]
Status = Literal["completed", "stopped", "diverged", "failed"]
"""`stopped` is a search trial that its search gave up at a rung, after `epochs_done` of `epochs`."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch of training did, measured on the validation split."""

    trial_id: str
    epoch: int
    """Counted from 1."""
    epochs: int
    """The schedule's full length: the fidelity is epoch / epochs."""
    accuracy: float | None
    """On validation; None where this epoch was not evaluated."""
    loss: float | None
    """Cross-entropy on validation, nats an image."""
    images: int
    """How many validation images the two are measured on."""
    train_loss: float
    """The weighted total that was minimised, mean over the epoch's images."""
    losses: dict[str, float]
    """The method's named losses, unweighted, mean over the epoch's images."""
    learning_rate: float
    """At the epoch's last step."""
    seconds: float
    """Training time of this epoch, evaluation excluded."""


@dataclass(frozen=True)
class Provenance:
    """Where a number comes from: enough to say why another machine's may differ."""

    harness: str
    python: str
    torch: str
    numba: str
    machine: str
    """Operating system, architecture and processor; never a host name."""
    device: str
    threads: int
    packed: bool
    """Whether the trial was trained by the vectorised step of packs, which rounds differently from the single one;
    how many trials were trained beside it changes nothing."""
    commit: str | None
    """Git commit of the harness where it runs from a checkout, with `+` when the tree has changes."""
    data_fingerprint: str
    """SHA-256 over images and labels beside the test images, and over the settings that cut and augment them."""


@dataclass(frozen=True)
class TrialRecord:
    """One training run of one network with one fully resolved config."""

    study: str
    purpose: Purpose
    trial_id: str
    config_id: str
    """The id without seeds and purpose: replicates and confirmation of one config share it."""
    arm: str
    method: str
    dataset: str
    teacher: str | None
    """Label of the teacher; None for a teacher itself and for methods that need none."""
    student: str
    teacher_id: str | None
    seed: int
    proposal: int | None
    """Which proposal of its search this config was, from 0; None for teachers."""
    point: dict[str, str]
    """What the search chose: dotted path → value as JSON."""
    spec: str
    """The whole TrialSpec as JSON: all that `harness reproduce` needs."""
    status: Status
    error_class: str | None
    error_message: str | None
    traceback_digest: str | None
    stopped_because: str | None
    """Why a search gave the trial up, in words; None unless it is stopped."""
    attempt: int
    epochs_done: int
    epochs: int
    validation_accuracy: float | None
    validation_loss: float | None
    validation_images: int
    test_accuracy: float | None
    """Read once, by a confirmation; None everywhere else."""
    test_loss: float | None
    test_images: int
    params: int
    macs: int
    """Multiply-adds of one image's forward pass."""
    latency: float | None
    """Seconds for one image's forward pass on the trial's device; measured where a study minimises it."""
    peak_bytes: int | None
    """The most memory that the trial's device (on a CPU: its process) held; None where nothing was measured."""
    train_seconds: float
    wall_seconds: float
    student_digest: str | None
    """SHA-256 of the trained weights."""
    teacher_digest: str | None
    started_at: datetime
    finished_at: datetime
    provenance: Provenance | None
    """None where the trial failed before it had a machine to speak of."""

    def __post_init__(self) -> None:
        if self.test_accuracy is not None and self.purpose != "confirmation":
            raise ValueError(
                f"a {self.purpose} trial carries a test accuracy; only confirmation may read the test split"
            )
        if self.status != "completed" and (self.test_accuracy is not None or self.validation_accuracy is not None):
            raise ValueError(f"a {self.status} trial carries an accuracy; only a completed one has any")
        for accuracy in (self.validation_accuracy, self.test_accuracy):
            if accuracy is not None and not 0 <= accuracy <= 1:
                raise ValueError(f"an accuracy of {accuracy}; it is a fraction between 0 and 1")

    @property
    def is_full_length(self) -> bool:
        """Whether the trial completed its whole schedule: only such trials may stand on a front."""
        return self.status == "completed" and self.epochs_done == self.epochs


@dataclass(frozen=True)
class LookRecord:
    """One look at the test split besides the confirmation's, whose look its own TrialRecord tells."""

    study: str
    trial_id: str
    config_id: str
    seed: int
    reason: Literal["reproduction"]
    looked_at: datetime
    test_accuracy: float
    test_images: int
    provenance: Provenance | None

    def __post_init__(self) -> None:
        if not 0 <= self.test_accuracy <= 1:
            raise ValueError(f"an accuracy of {self.test_accuracy}; it is a fraction between 0 and 1")
