"""Whatever becomes of a trial, its account tells; and only a confirmation knows the test split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from harness.data.splits import TestSplitSealedError
from harness.distill.ksan import KSAN
from harness.distill.l2 import L2
from harness.source import MissingError
from harness.train.account import Account, Assignment, Places, _full_disk, carry_out
from harness.train.evaluate import evaluate
from harness.train.seeds import state_digest
from harness.train.trial import TrialSpec, teacher_trial
from harness.train.workshop import Workshop
from tests.train.small import DATA, EPOCHS, TEACHER, exhausted, run, small_trial, timeless

COLLAPSING = KSAN().at("attention.pretraining", {"steps": 2, "least_spread": 1000})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Where the trial may write."""
    return Places(tmp_path / "checkpoints", tmp_path / "students")


def account(spec: TrialSpec, workshop: Workshop, places: Places | None = None) -> Account:
    assignment = Assignment(spec, study="small", arm="an arm", proposal=3, point={"a": "1"}, attempt=2)
    epochs, told = exhausted(carry_out(assignment, workshop, places))
    assert told.epochs == tuple(epochs)
    return told


def test_a_completed_trial_tells_what_it_came_to(workshop: Workshop) -> None:
    spec = small_trial(KSAN())
    trial = account(spec, workshop).trial
    _, end = run(spec, workshop)
    assert end.validation is not None
    assert (trial.status, trial.epochs_done, trial.epochs, trial.is_full_length) == ("completed", EPOCHS, EPOCHS, True)
    assert (trial.validation_accuracy, trial.validation_images) == (end.validation.accuracy, 64)
    assert trial.student_digest == state_digest(end.student)
    assert trial.teacher_digest == workshop.side(spec).digest  # type: ignore[union-attr]
    assert (trial.trial_id, trial.config_id) == (spec.id, spec.config_id)
    assert (trial.study, trial.arm, trial.proposal, trial.point, trial.attempt) == ("small", "an arm", 3, {"a": "1"}, 2)
    assert (trial.teacher, trial.teacher_id) == ("resnet8-w4", teacher_trial(TEACHER, DATA).id)
    assert TrialSpec.model_validate_json(trial.spec) == spec  # all that `harness reproduce` needs
    assert trial.provenance is not None
    assert (trial.provenance.device, trial.provenance.threads) == ("cpu", 1)
    assert trial.provenance.data_fingerprint == workshop.data(DATA).fingerprint
    assert 0 < trial.train_seconds < trial.wall_seconds


def test_a_latency_is_measured_where_it_is_asked_for_and_changes_no_number(workshop: Workshop, places: Places) -> None:
    spec = small_trial()
    (_, plain), (_, timed) = (
        exhausted(carry_out(Assignment(spec, "small", "an arm", measures_latency=asked), workshop, places))
        for asked in (False, True)
    )
    assert plain.trial.latency is None
    assert 0 < timed.trial.latency < 0.1  # seconds an image
    assert timed.trial.student_digest == plain.trial.student_digest
    assert list(places.checkpoints.iterdir()) == []


def test_a_paused_trial_has_the_latency_of_its_first_measurement(workshop: Workshop, places: Places) -> None:
    assignment = Assignment(small_trial(), "small", "an arm", until=1, measures_latency=True)
    (_, paused), (_, whole) = (
        exhausted(carry_out(replace(assignment, until=until), workshop, places)) for until in (1, None)
    )
    assert (paused.trial.status, whole.trial.status) == ("stopped", "completed")
    assert paused.trial.latency == whole.trial.latency


@pytest.mark.parametrize("purpose", ["search", "teacher"])
def test_search_and_teachers_have_no_test_accuracy(purpose: str, workshop: Workshop) -> None:
    spec = teacher_trial(TEACHER, DATA) if purpose == "teacher" else small_trial()
    trial = account(spec, workshop).trial
    assert trial.status == "completed"
    assert (trial.test_accuracy, trial.test_loss, trial.test_images) == (None, None, 0)
    with pytest.raises(TestSplitSealedError):
        workshop.test(spec)


def test_a_confirmation_has_one_and_its_student_is_kept(workshop: Workshop, places: Places) -> None:
    spec = small_trial(KSAN(), purpose="confirmation")
    trial = account(spec, workshop, places).trial
    assert trial.test_images == 997
    student = spec.student.build(1, 10)
    student.load_state_dict(load_file(places.students / f"{spec.id}.safetensors"))
    assert state_digest(student) == trial.student_digest
    score = evaluate(student, workshop.test(spec))
    assert (score.accuracy, score.loss) == (trial.test_accuracy, trial.test_loss)


def test_a_trial_that_ended_leaves_no_checkpoint(workshop: Workshop, places: Places) -> None:
    account(small_trial(), workshop, places)
    assert not list(places.checkpoints.iterdir())
    assert not places.students.exists()  # a search's students are not kept


def test_a_teachers_account_is_that_of_its_training(workshop: Workshop) -> None:
    told = account(teacher_trial(TEACHER, DATA), workshop)
    assert told.trial.student_digest == workshop.side(small_trial(KSAN())).digest  # type: ignore[union-attr]
    assert [record.epoch for record in told.epochs] == [1, 2, 3]
    assert told.trial.teacher is None


def test_a_diverged_trial_has_no_accuracy(workshop: Workshop, places: Places) -> None:
    spec = small_trial(L2(), method__weights__logits=1e38, training__clip=1e38, purpose="confirmation")
    trial = account(spec, workshop, places).trial
    assert trial.status == "diverged"
    assert trial.epochs_done < trial.epochs
    assert trial.validation_accuracy is trial.test_accuracy is trial.error_class is None
    assert not places.students.exists()


def test_a_collapsed_part_fails_the_trial(workshop: Workshop) -> None:
    trial = account(small_trial(COLLAPSING), workshop).trial
    assert (trial.status, trial.error_class) == ("failed", "CollapsedError")
    assert trial.error_message is not None
    assert "collapsed" in trial.error_message
    assert trial.provenance is trial.validation_accuracy is None


def test_a_trial_that_raises_says_what_and_equal_failures_have_equal_digests(workshop: Workshop) -> None:
    too_many = [account(small_trial(data__train=1000, seed=seed), workshop).trial for seed in (0, 1)]
    for trial in too_many:
        assert (trial.status, trial.error_class, trial.epochs_done) == ("failed", "DataError", 0)
        assert trial.error_message is not None
        assert "has 800 images" in trial.error_message
        assert trial.finished_at >= trial.started_at
    assert too_many[0].traceback_digest == too_many[1].traceback_digest
    assert account(small_trial(COLLAPSING), workshop).trial.traceback_digest != too_many[0].traceback_digest


def test_a_student_that_cannot_be_kept_fails_its_trial_and_not_the_run(workshop: Workshop, places: Places) -> None:
    places.students.write_text("a file where the folder belongs")
    trial = account(small_trial(purpose="confirmation"), workshop, places).trial
    assert (trial.status, trial.error_class, trial.test_accuracy) == ("failed", "FileExistsError", None)
    assert trial.epochs_done == EPOCHS


def test_a_full_disk_is_what_the_machine_lacks_and_no_failure_of_the_trial() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device here is always full")
    with pytest.raises(OSError, match="No space left") as raised:
        full.write_text("x")
    assert str(_full_disk(raised.value)).endswith("free some space, then the same command continues")
    assert isinstance(_full_disk(RuntimeError("I/O error: No space left on device (os error 28)")), MissingError)
    assert _full_disk(PermissionError("no")) is None


def test_a_trial_that_is_stopped_goes_on_where_it_was(workshop: Workshop, places: Places) -> None:
    spec = small_trial(KSAN())
    whole = account(spec, workshop)
    assignment = Assignment(spec, study="small", arm="an arm")
    stopped = carry_out(assignment, workshop, places)
    for _ in range(EPOCHS):  # the last epoch is on disk, the account is not yet
        next(stopped)
    stopped.close()
    assert [path.name for path in places.checkpoints.iterdir()] == [f"{spec.id}.pt"]
    resumed = account(spec, workshop, places)
    assert timeless(list(resumed.epochs)) == timeless(list(whole.epochs))
    assert resumed.trial.student_digest == whole.trial.student_digest
    assert resumed.trial.validation_accuracy == whole.trial.validation_accuracy


def test_a_trial_pauses_where_it_is_asked_to_and_goes_on_with_identical_numbers(
    workshop: Workshop, places: Places
) -> None:
    spec = small_trial(KSAN())
    whole = account(spec, workshop)
    legs = []
    for until in (1, 2, None):
        _, told = exhausted(carry_out(Assignment(spec, study="small", arm="an arm", until=until), workshop, places))
        legs.append(told)
    assert [(leg.trial.status, leg.trial.epochs_done, leg.trial.validation_accuracy is None) for leg in legs] == [
        ("stopped", 1, True),
        ("stopped", 2, True),
        ("completed", EPOCHS, False),
    ]
    assert [len(leg.epochs) for leg in legs] == [1, 2, EPOCHS]
    assert timeless(list(legs[-1].epochs)) == timeless(list(whole.epochs))
    assert legs[-1].trial.student_digest == whole.trial.student_digest
    assert not list(places.checkpoints.iterdir())


def test_a_rung_at_the_last_epoch_is_the_trials_end(workshop: Workshop, places: Places) -> None:
    _, told = exhausted(carry_out(Assignment(small_trial(), "small", "an arm", until=EPOCHS), workshop, places))
    assert told.trial.status == "completed"
