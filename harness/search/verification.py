"""Levels 1 and 2 of verification: a stored student is scored again, and a recorded trial is trained again.

What is found here is only measured; whether it bears out the claim is for `analysis.claims` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.record import Provenance, TrialRecord
from harness.search.reproduce import train_again
from harness.source import MissingError
from harness.train.account import follows_from, provenance, recorded_spec
from harness.train.evaluate import evaluate
from harness.train.seeds import make_repeatable, state_digest
from harness.train.students import stored_student
from harness.train.trial import TrialSpec
from harness.train.workshop import Workshop

_PLACE = ("harness", "commit", "python", "torch", "numba", "machine", "device", "threads")
"""What decides how sums are rounded, and in which order they are made: where these are the same, every number is."""


@dataclass(frozen=True)
class Again:
    """What a confirmation trial came to again."""

    accuracy: float | None
    """On the test split; None where it came to none."""
    same_weights: bool
    same_place: bool
    data_fingerprint: str
    said: str = ""
    """Why it came to no accuracy."""
    strange: str = ""
    """What the record says, and is otherwise."""
    validation: float | None = None
    """Accuracy of a stored student on validation."""


class AlteredRecordError(MissingError):
    """A record, or a stored student, that is not what its ids name; the message says which."""


def score_again(record: TrialRecord, weights: Path, data_root: Path) -> Again:
    """Level 1: the test accuracy of a confirmation's stored student, on the kind of device that it was trained on.

    Where there is no GPU, the CPU scores a GPU's student too. Raises `AlteredRecordError` for a record whose spec is
    another's and for weights that do not fit, and `MissingError` for data that are not here.
    """
    spec = _own_spec(record)
    of_gpu = record.provenance is not None and record.provenance.device != "cpu"
    device = torch.device("cuda" if of_gpu and torch.cuda.is_available() else "cpu")
    make_repeatable(record.provenance.threads if record.provenance else 1)
    try:
        network = stored_student(spec, weights).to(device)
    except MissingError as error:
        raise AlteredRecordError(str(error)) from error
    workshop = Workshop(data_root, Path("unused"), device)
    fingerprint = workshop.data(spec.data).fingerprint
    score, validation = evaluate(network, workshop.test(spec)), evaluate(network, workshop.data(spec.data).validation)
    return Again(
        accuracy=score.accuracy,
        same_weights=state_digest(network) == record.student_digest,
        same_place=_is_same_place(record.provenance, provenance(device, fingerprint)),
        data_fingerprint=fingerprint,
        strange=_otherwise(
            record, {**follows_from(spec), "test_images": score.images, "validation_images": validation.images}
        ),
        validation=validation.accuracy,
    )


def _own_spec(record: TrialRecord) -> TrialSpec:
    spec = recorded_spec(record)
    if spec is None:
        raise AlteredRecordError(f"the spec in the record {record.trial_id} is not the one that its ids name")
    return spec


def _otherwise(record: TrialRecord, is_so: Mapping[str, Any]) -> str:
    """The first field in which a record is not what it must be, in words; "" where there is none."""
    for name, value in is_so.items():
        if getattr(record, name) != value:
            return f"seed {record.seed}: {name.replace('_', ' ')} is {getattr(record, name)} in the record, not {value}"
    return ""


def train_anew(record: TrialRecord, cache: Path, data_root: Path) -> Again:
    """Level 2: a confirmation trained from nothing, its teacher too unless `cache` holds one that was trained again.

    Raises `MissingError` where it cannot be trained here, for whatever reason: that says nothing of the record.
    """
    spec = _own_spec(record)
    again = train_again(record, cache, data_root, fresh=False)
    if again.status == "failed":
        raise MissingError(f"seed {record.seed} could not be trained here: {again.error_class}: {again.error_message}")
    fingerprint = again.provenance.data_fingerprint if again.provenance else ""
    same_weights = again.student_digest is not None and again.student_digest == record.student_digest
    must_be = {**follows_from(spec), "test_images": again.test_images} if again.test_images else follows_from(spec)
    if same_weights:  # then those that taught it are the same too
        must_be |= {"teacher_digest": again.teacher_digest, "validation_accuracy": again.validation_accuracy}
    return Again(
        accuracy=again.test_accuracy,
        same_weights=same_weights,
        same_place=_is_same_place(record.provenance, again.provenance),
        data_fingerprint=fingerprint,
        said=again.status,
        strange=_otherwise(record, must_be),
    )


def _is_same_place(old: Provenance | None, new: Provenance | None) -> bool:
    if old is None or new is None:
        return False
    return all(getattr(old, name) == getattr(new, name) for name in _PLACE)
