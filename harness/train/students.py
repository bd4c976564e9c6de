"""Stored students: the weights of a confirmed trial, back in their network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from harness.source import MissingError, reason
from harness.train.trial import TrialSpec


def stored_student(spec: TrialSpec, weights: Path) -> nn.Module:
    """The student of a trial with its weights, on the CPU and in eval mode; raises `MissingError` if they misfit."""
    network = spec.student.build(spec.data.shape[0], spec.data.classes)
    try:
        network.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise MissingError(f"{weights} holds no weights of {spec.student.label} ({reason(error)})") from error
    return network.eval()


def weights_of(trial_id: str, folders: Sequence[Path]) -> Path:
    """The file with a trial's weights, in any run or published study below some folders; raises `MissingError`."""
    for folder in folders:
        for path in sorted(folder.glob(f"*/students/{trial_id}.safetensors")):
            return path
    raise MissingError(
        f"the weights of {trial_id} are not in {', '.join(map(str, folders))}: only confirmed students are kept, and "
        f"of a published study the small ones; `harness search` makes a run's again"
    )
