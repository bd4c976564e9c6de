"""Records refuse what no trial can have come to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from harness.record import Purpose, Status
from tests.records import diverged, failed, stopped, trial


@pytest.mark.parametrize("purpose", ["search", "teacher"])
def test_only_a_confirmation_carries_a_test_accuracy(purpose: Purpose) -> None:
    with pytest.raises(ValueError, match=f"a {purpose} trial carries a test accuracy"):
        trial(purpose=purpose, test=0.9)
    assert trial(purpose="confirmation", test=0.0).test_accuracy == 0.0


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_trial_that_did_not_complete_carries_no_accuracy(status: Status) -> None:
    with pytest.raises(ValueError, match=f"a {status} trial carries an accuracy"):
        replace(trial(validation=0.0), status=status)
    with pytest.raises(ValueError, match=f"a {status} trial carries an accuracy"):
        replace(trial(purpose="confirmation", validation=None, test=0.0), status=status)


@pytest.mark.parametrize("accuracy", [-0.01, 1.01, 96.5, float("nan")])
def test_an_accuracy_is_a_fraction(accuracy: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        trial(validation=accuracy)
    with pytest.raises(ValueError, match="between 0 and 1"):
        trial(purpose="confirmation", test=accuracy)


def test_only_a_completed_whole_schedule_is_full_length() -> None:
    assert trial().is_full_length
    assert not stopped(trial()).is_full_length
    assert not diverged(trial()).is_full_length
    assert not replace(failed(trial()), epochs_done=20).is_full_length


def test_a_record_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        trial().seed = 3  # type: ignore[misc]
