"""A trial runs on resident and on streamed images alike, teacher and test split included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.data.folder import Folder
from harness.distill.ksan import KSAN
from harness.models.resnet import ResNet
from harness.train.account import Assignment, carry_out
from harness.train.answers import Asked, Remembered
from harness.train.optim import Training
from harness.train.trial import TeacherSpec, TrialSpec
from harness.train.workshop import Workshop
from tests.data.own import as_folders
from tests.train.small import CPU, exhausted, run, timeless

KINDS: dict[str, tuple[dict[str, Any], type]] = {
    "resident": ({}, Remembered),
    "streamed": ({"stream": True, "resize": 9, "crop": 8, "channels": 1, "workers": 0}, Asked),
}


@pytest.mark.parametrize(("settings", "answers"), KINDS.values(), ids=KINDS)
def test_a_student_is_distilled_and_confirmed(settings: dict[str, Any], answers: type, tmp_path: Path) -> None:
    data = Folder(path=str(as_folders(tmp_path / "set")), validation=3, **settings).pinned(None)
    training = Training(epochs=2, batch_size=4)
    spec = TrialSpec(
        purpose="confirmation",
        data=data,
        teacher=TeacherSpec(network=ResNet(depth=8, width=4), training=training),
        student=ResNet(depth=8, width=2),
        method=KSAN().at("attention.pretraining.steps", 2),
        training=training,
    )
    workshop = Workshop(tmp_path, tmp_path / "cache", CPU)
    side = workshop.side(spec)
    assert side is not None
    assert isinstance(side.answers, answers)
    epochs, account = exhausted(carry_out(Assignment(spec, study="kinds", arm="ksan"), workshop))
    trial = account.trial
    assert (trial.status, trial.error_message) == ("completed", None)
    assert (trial.epochs_done, trial.validation_images, trial.test_images) == (2, 3, 6)
    assert timeless(epochs) == timeless(run(spec, Workshop(tmp_path, tmp_path / "cache", CPU))[0])


def test_a_streamed_trial_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    data = Folder(path=str(as_folders(tmp_path / "set")), validation=3, **KINDS["streamed"][0]).pinned(None)
    training = Training(epochs=3, batch_size=4)
    spec = TrialSpec(data=data, student=ResNet(depth=8, width=2), method={"name": "scratch"}, training=training)
    whole, _ = run(spec, Workshop(tmp_path, tmp_path, CPU))
    kept = tmp_path / "kept.pt"
    for _ in range(2):  # the second finds what the first kept
        again, _ = run(spec, Workshop(tmp_path, tmp_path, CPU), kept)
        assert timeless(again) == timeless(whole)
