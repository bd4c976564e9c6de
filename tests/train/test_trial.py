"""One trial is a pure consequence of its spec, may be stopped at any epoch, and never changes its teacher."""

from __future__ import annotations

import hashlib
import io
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from harness.distill.anc import ANC
from harness.distill.at import AT
from harness.distill.crd import CRD
from harness.distill.dkd import DKD
from harness.distill.fitnet import FitNet
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.distill.l2 import L2
from harness.distill.method import Method
from harness.models.python_model import Python
from harness.record import EpochRecord
from harness.train.seeds import state_digest
from harness.train.trial import Outcome, Resumption, TrialSpec, run_trial
from harness.train.workshop import Workshop, drained
from tests.train.small import CPU, EPOCHS, METHODS, TEACHER, exhausted, run, small_trial, timeless

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def outcome(spec: TrialSpec, workshop: Workshop) -> Outcome:
    return run(spec, workshop)[1]


def digest(spec: TrialSpec, workshop: Workshop) -> str:
    return state_digest(outcome(spec, workshop).student)


@every_method
def test_the_same_spec_gives_the_same_numbers_and_weights(method: Method, workshop: Workshop) -> None:
    spec = small_trial(method)
    (records, first), (again, second) = run(spec, workshop), run(spec, workshop)
    assert timeless(records) == timeless(again)
    assert first.validation == second.validation
    assert state_digest(first.student) == state_digest(second.student)


def test_the_surroundings_of_a_trial_do_not_reach_it(workshop: Workshop) -> None:
    expected = digest(small_trial(KSAN()), workshop)
    torch.manual_seed(12345)
    torch.rand(7)
    state = torch.get_rng_state()
    assert digest(small_trial(KSAN()), workshop) == expected
    assert torch.equal(torch.get_rng_state(), state)  # nor does it reach its surroundings


@pytest.mark.parametrize("stream", ["student", "data", "discriminator", "estimator"])
def test_each_seed_has_a_say(stream: str, workshop: Workshop) -> None:
    spec = small_trial(KSAN())
    assert digest(spec.at(f"seeds.{stream}", 1), workshop) != digest(spec, workshop)


@pytest.mark.parametrize("stream", ["discriminator", "estimator"])
def test_the_seed_of_a_part_that_is_switched_off_has_none(stream: str, workshop: Workshop) -> None:
    spec = small_trial(KSAN(), method__weights__adversarial=0, method__weights__squeezed=0)
    assert digest(spec.at(f"seeds.{stream}", 1), workshop) == digest(spec, workshop)


@pytest.mark.parametrize(
    ("richer", "plainer"),
    [
        (KD(alpha=0), None),
        (ANC().at("weights.adversarial", 0), L2().at("weights.cross_entropy", 1)),
        (KSAN().at("weights.squeezed", 0), ANC()),
    ],
    ids=["kd without the teacher's share is scratch", "anc without its adversary is l2", "ksan without L_is is anc"],
)
def test_switching_a_loss_off_shifts_nothing_else(richer: Method, plainer: Method | None, workshop: Workshop) -> None:
    """Bitwise: the same first weights, the same batches and the same steps, whatever parts stand by idle."""
    (records, first), (expected, second) = run(small_trial(richer), workshop), run(small_trial(plainer), workshop)
    assert [record.losses for record in records] == [record.losses for record in expected]
    assert state_digest(first.student) == state_digest(second.student)


@every_method
def test_training_leaves_the_teacher_as_it_was(method: Method, workshop: Workshop) -> None:
    spec = small_trial(method)
    if spec.teacher is None:
        pytest.skip("has no teacher")
    teacher = drained(workshop.teacher(spec.teacher, spec.data))
    part = workshop.side(spec).part  # type: ignore[union-attr]
    before = state_digest(part) if part else None
    run(spec, workshop)
    assert state_digest(teacher.network) == teacher.digest
    assert (state_digest(part) if part else None) == before
    assert not teacher.network.training
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())


@every_method
def test_a_last_batch_of_one_image_is_left_out(method: Method, workshop: Workshop) -> None:
    records, end = run(small_trial(method, data__train=65, training__epochs=1, training__batch_size=32), workshop)
    assert end.status == "completed"
    assert all(math.isfinite(loss) for loss in records[0].losses.values())


@every_method
def test_networks_may_run_in_bfloat16(method: Method, workshop: Workshop) -> None:
    _, end = run(small_trial(method, training__epochs=1, training__precision="bfloat16"), workshop)
    assert end.status == "completed"


def test_fitnet_learns_the_hint_first_and_the_classes_after_it(workshop: Workshop) -> None:
    spec = small_trial(FitNet(hint_share=0.5), training__epochs=2)
    first, second = run(spec, workshop)[0]
    fallen = 4 / 9 * (1 - 0.75 / 2)  # the second stage is half over in the middle of its only epoch
    assert first.train_loss == pytest.approx(100 * first.losses["hint"])
    assert second.train_loss == pytest.approx(second.losses["cross_entropy"] + fallen * second.losses["softened_kl"])


def test_a_schedule_that_leaves_an_epoch_without_a_loss_is_refused() -> None:
    with pytest.raises(ValidationError, match="every loss of fitnet has the weight 0 in epoch 1; nothing"):
        small_trial(FitNet().at("weights.hint", 0))
    only_hints = FitNet().at("weights.cross_entropy", 0).at("weights.softened_kl", 0)
    with pytest.raises(ValidationError, match=r"every loss of fitnet has the weight 0 in epoch \d+; nothing"):
        small_trial(only_hints, training__epochs=4)
    assert small_trial(DKD(cross_entropy=0)).weights_in(0)["other_classes"] > 0
    assert small_trial(FitNet(), training__epochs=1).weights_in(0)["cross_entropy"] == 1


def test_trials_of_one_process_may_tap_in_different_places(workshop: Workshop) -> None:
    alone = {
        wish: digest(small_trial(AT(taps=wish)), Workshop(workshop.data_root, workshop.cache, CPU)) for wish in (1, 2)
    }
    assert {wish: digest(small_trial(AT(taps=wish)), workshop) for wish in (2, 1)} == alone


def test_a_contrast_s_memory_is_in_the_checkpoint(tmp_path: Path, workshop: Workshop) -> None:
    kept = tmp_path / "kept.pt"
    run(small_trial(CRD(), training__epochs=1), workshop, kept)
    content = torch.load(io.BytesIO(kept.read_bytes()[32:]), weights_only=True)["states"]
    assert content["part"]["ours"].shape == (64, 128)
    assert torch.allclose(content["part"]["theirs"].norm(dim=1), torch.ones(64), atol=1e-6)
    assert float(content["part"]["scale"].min()) > 0


def test_a_record_an_epoch_says_what_was_done(workshop: Workshop) -> None:
    spec = small_trial(ANC(), training__evaluate_every=2)
    records, end = run(spec, workshop)
    assert [record.epoch for record in records] == [1, 2, 3]
    assert {record.epochs for record in records} == {EPOCHS}
    assert {record.trial_id for record in records} == {spec.id}
    assert [record.accuracy is not None for record in records] == [False, True, True]  # the last one always
    assert end.validation is not None
    assert (records[-1].accuracy, records[-1].loss) == (end.validation.accuracy, end.validation.loss)
    for record in records:
        weighted = sum(spec.method.loss_weights[name] * loss for name, loss in record.losses.items())
        assert record.train_loss == pytest.approx(weighted, rel=1e-5)
        assert record.learning_rate == spec.training.learning_rate_at(2 * record.epoch - 1, 2 * EPOCHS)


def test_training_learns(workshop: Workshop) -> None:
    spec = small_trial(student__width=4, training__epochs=20, training__batch_size=16, data__train=256)
    records, end = run(spec, workshop)
    assert records[-1].train_loss < 0.5 * records[0].train_loss
    assert end.validation is not None
    assert end.validation.accuracy > 0.6  # chance is 0.1


@pytest.mark.parametrize(
    "spec",
    [
        small_trial(training__learning_rate=10, training__weight_decay=1, training__epochs=40),
        small_trial(L2(), method__weights__logits=1e38, training__clip=1e38),
    ],
    ids=["the weights overflow", "the loss overflows"],
)
def test_a_loss_that_is_no_number_ends_the_trial_as_diverged(spec: TrialSpec, workshop: Workshop) -> None:
    records, end = run(spec, workshop)
    assert end.status == "diverged"
    assert end.validation is None
    assert end.epochs_done == len(records) < spec.training.epochs
    assert all(math.isfinite(record.train_loss) for record in records)
    assert all(record.loss is None or math.isfinite(record.loss) for record in records)


@every_method
def test_a_trial_that_was_stopped_goes_on_with_identical_numbers(
    method: type[Method], workshop: Workshop, tmp_path: Path
) -> None:
    spec = small_trial(method)
    expected, whole = run(spec, workshop)
    for stop in range(1, EPOCHS + 1):
        kept = tmp_path / f"{stop}.pt"
        start = run_trial(spec, workshop.data(spec.data), workshop.side(spec), CPU, Resumption(kept, every=0))
        stopped = [next(start) for _ in range(stop)]
        start.close()
        records, end = run(spec, workshop, kept)
        assert records[:stop] == stopped  # to the second: these epochs were not trained again
        assert timeless(records) == timeless(expected)
        assert end.validation == whole.validation
        assert state_digest(end.student) == state_digest(whole.student)


FORGETFUL = Python(callable="tests.contract.foreign:forgetful")


@pytest.mark.parametrize("teacher", [False, True], ids=["student", "student and teacher"])
def test_dropout_follows_from_the_trial_alone(teacher: bool, workshop: Workshop, tmp_path: Path) -> None:
    """Whatever ran before it in the process, and where it was stopped."""
    changes = {"student": FORGETFUL, **({"teacher__network": FORGETFUL} if teacher else {})}
    spec = small_trial(KD(), **changes)
    expected, whole = run(spec, workshop)
    torch.rand(5)
    run(small_trial(seed=1, student=FORGETFUL), workshop)
    anew = Workshop(workshop.data_root, tmp_path / "cache", CPU)
    for kept in (tmp_path / "kept.pt", tmp_path / "kept.pt"):
        stopped = run_trial(spec, anew.data(spec.data), anew.side(spec), CPU, Resumption(kept, every=0))
        next(stopped)
        stopped.close()
        torch.rand(3)
    records, end = run(spec, anew, tmp_path / "kept.pt")
    assert timeless(records) == timeless(expected)
    assert end.validation == whole.validation
    assert state_digest(end.student) == state_digest(whole.student)
    assert digest(spec.at("seeds.student", 1), workshop) != state_digest(whole.student)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            lambda kl: {"softened_kl": kl.mean()},
            r"the loss softened_kl of the method kd has the shape \(\) for 32 images",
        ),
        (lambda kl: {"softened_kl": kl[:, None].expand(-1, 3)}, r"has the shape \(32, 3\) .* number an image, \(32,\)"),
        (lambda kl: {"softened_kl": kl[:3]}, r"has the shape \(3,\)"),
        (lambda kl: {"softened_kl": 1.0}, "the loss softened_kl of the method kd is a float and no tensor"),
        (lambda kl: {}, "the method kd weighs its loss softened_kl and gives cross_entropy"),
    ],
    ids=["mean", "matrix", "of some images", "number", "none"],
)
def test_a_loss_that_is_not_one_number_an_image_is_refused(
    given: Callable[[Tensor], dict[str, Any]], told: str, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method may be a third party's, and the mean of a mean says nothing."""
    proper = KD.losses

    def losses(method: KD, *said: Any) -> dict[str, Any]:
        each = proper(method, *said)
        return {"cross_entropy": each["cross_entropy"], **given(each["softened_kl"])}

    monkeypatch.setattr(KD, "losses", losses)
    with pytest.raises(ValueError, match=told):
        run(small_trial(KD()), workshop)


def _no_weights(method: KD) -> dict[str, float]:
    raise KeyError("oops")


def _exits(method: KD) -> dict[str, float]:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (_no_weights, "the method kd cannot be asked for its settings (KeyError: 'oops')"),
        (_exits, "the method kd cannot be asked for its settings (ExitedError: it ends the program: SystemExit 3)"),
        (lambda _: {"softened_kl": "x"}, 'the method kd weighs its loss softened_kl by "x", which is no number'),
        (lambda _: None, "the method kd cannot be asked for its settings (AttributeError: "),
    ],
    ids=["raises", "exits", "text", "nothing"],
)
def test_a_method_that_cannot_say_its_weights_is_refused(
    weights: Callable[[KD], Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_trial()
    monkeypatch.setattr(KD, "loss_weights", property(weights))
    with pytest.raises(ValidationError, match=re.escape(told)):
        TrialSpec(data=spec.data, teacher=TEACHER, student=spec.student, method=KD())


def test_a_checkpoint_of_another_trial_is_not_taken_up(workshop: Workshop, tmp_path: Path) -> None:
    kept = tmp_path / "kept.pt"
    run(small_trial(seed=1), workshop, kept)
    records, end = run(small_trial(), workshop, kept)
    assert state_digest(end.student) == digest(small_trial(), workshop)
    assert {record.trial_id for record in records} == {small_trial().id}


def _cut_short(written: bytes) -> bytes:
    return written[: len(written) // 2]


def _emptied(written: bytes) -> bytes:
    return b""


def _flipped(written: bytes) -> bytes:
    """One bit of a tensor, which torch itself would not notice."""
    middle = len(written) // 2
    return written[:middle] + bytes([written[middle] ^ 1]) + written[middle + 1 :]


def _without_optimiser(written: bytes) -> bytes:
    content = torch.load(io.BytesIO(written[32:]), weights_only=True)
    del content["states"]["learner"]
    return _sealed(content)


def _of_another_version(written: bytes) -> bytes:
    content = torch.load(io.BytesIO(written[32:]), weights_only=True)
    content["states"]["adversary"] = {}
    return _sealed(content)


def _a_list(written: bytes) -> bytes:
    return _sealed([1, 2, 3])


def _sealed(content: object) -> bytes:
    written = io.BytesIO()
    torch.save(content, written)
    return hashlib.sha256(written.getvalue()).digest() + written.getvalue()


@pytest.mark.parametrize("damage", [_cut_short, _emptied, _flipped, _without_optimiser, _of_another_version, _a_list])
def test_a_damaged_checkpoint_is_set_aside_and_the_trial_begins_anew(
    damage: Callable[[bytes], bytes], workshop: Workshop, tmp_path: Path
) -> None:
    spec, kept = small_trial(ANC()), tmp_path / "kept.pt"
    expected, whole = run(spec, workshop, kept)
    damaged = damage(kept.read_bytes())
    kept.write_bytes(damaged)
    records, end = run(spec, workshop, kept)
    assert (tmp_path / "kept.pt.damaged").read_bytes() == damaged
    assert timeless(records) == timeless(expected)
    assert state_digest(end.student) == state_digest(whole.student)


def test_a_trial_that_is_closed_keeps_itself_where_it_is(workshop: Workshop, tmp_path: Path) -> None:
    """Also where no save was due for long."""
    spec, kept = small_trial(ANC()), tmp_path / "kept.pt"
    expected, whole = run(spec, workshop)
    start = run_trial(spec, workshop.data(spec.data), workshop.side(spec), CPU, Resumption(kept, every=1e9))
    stopped = [next(start), next(start)]
    start.close()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.pt"]
    records, end = run(spec, workshop, kept)
    assert records[:2] == stopped
    assert timeless(records) == timeless(expected)
    assert state_digest(end.student) == state_digest(whole.student)


def test_a_slow_disk_is_written_to_less_often(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = []

    def slow(self: object, path: Path, trial_id: str, seconds: float, records: list[EpochRecord]) -> None:
        saves.append(len(records))
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            pass

    monkeypatch.setattr("harness.train.trial._State.save", slow)
    run(small_trial(training__epochs=8), workshop, tmp_path / "kept.pt")  # a second of training at most
    assert saves[0] == 1  # `run` asks for a save after every epoch
    assert len(saves) < 8
    assert saves[-1] == 8


def test_the_last_epoch_is_always_kept(workshop: Workshop, tmp_path: Path) -> None:
    """So that a kill between a trial's last epoch and its record costs no training."""
    spec = small_trial()
    kept = tmp_path / "kept.pt"
    exhausted(run_trial(spec, workshop.data(spec.data), None, CPU, Resumption(kept, every=1e9)))
    assert kept.exists()
