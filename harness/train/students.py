"""Stored students: the weights of a confirmed trial, back in their network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from harness.record import TrialRecord
from harness.source import MissingError, reason
from harness.store.weights import weights_digest
from harness.train.trial import TrialSpec


def stored_student(spec: TrialSpec, weights: Path) -> nn.Module:
    """The student of a trial with its weights, on the CPU and in eval mode; raises `MissingError` if they misfit."""
    network = spec.student.build(spec.data.shape[0], spec.data.classes)
    try:
        network.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise MissingError(f"{weights} holds no weights of {spec.student.label} ({reason(error)})") from error
    return network.eval()


def _has(weights: Path, digest: str | None) -> bool:
    try:
        return weights_digest(weights) == digest
    except ValueError:
        return False


def weights_of(trial: TrialRecord, folders: Sequence[Path]) -> Path:
    """The file with a trial's weights, in any run or published study below some folders; raises `MissingError`.

    The trial may have run again elsewhere and ended in others: those that are in its record are taken where they are.
    """
    name = f"{trial.trial_id}.safetensors"
    found = [path for folder in folders for path in sorted(folder.glob(f"*/students/{name}"))]
    if found:
        return next((path for path in found if _has(path, trial.student_digest)), found[0])
    places = ", ".join(map(str, folders))
    raise MissingError(
        f"the weights of {trial.trial_id} are not in {places}: only confirmed students are kept, and "
        f"of a published study the small ones; `harness search` makes a run's again"
    )
