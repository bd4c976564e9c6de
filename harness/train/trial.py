"""A trial: one training run of one student with one fully resolved config. Read this page first.

`run_trial` is the whole of it, one loop from top to bottom. Whoever iterates it gets an `EpochRecord`
an epoch and may stop at any; given a place for its checkpoint it keeps itself there when it is closed, and
continues where the last run of the same trial stopped, with identical numbers.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from harness.data.catalog import AnyDataset
from harness.data.placed import Placed
from harness.data.served import TrialData
from harness.distill.catalog import AnyMethod
from harness.distill.method import Lesson, Losses, Pairing, Parts, TeacherPart
from harness.distill.scratch import Scratch
from harness.files import file_digest
from harness.models.catalog import AnyArchitecture
from harness.models.pairing import PairedTap, paired_taps
from harness.models.taps import Tapped, anatomy
from harness.record import EpochRecord, Purpose
from harness.source import MissingError, UserError, contained, reason, shown
from harness.spec import Spec, content_id
from harness.train.answers import Answers, Nothing
from harness.train.checkpoint import Progress, save, taken_up
from harness.train.evaluate import Score, evaluate
from harness.train.layout import memory_format
from harness.train.optim import Training, adversary_optimiser, set_learning_rate
from harness.train.seeds import Seed, Seeds, seeded


class Checkpoint(Placed):
    """A user's own weights for a teacher: a safetensors file, or a torch file of tensors alone."""

    def pinned(self, beside: Path | None) -> Checkpoint:
        """The same with its place found and its digest filled in; raises `MissingError`."""
        found = self.at_its_place(beside)
        if not Path(found.path).is_file():
            raise MissingError(f"{shown(self.path)} is no file here; correct the path")
        digest = file_digest(Path(found.path))
        if self.sha256 and self.sha256 != digest:
            raise MissingError(f"{shown(self.path)} is not the file that sha256 names; its own is {digest}")
        return found.model_copy(update={"sha256": digest})


class TeacherSpec(Spec):
    """A teacher: a network with how it is trained, or with a checkpoint instead."""

    network: AnyArchitecture
    training: Training = Training()
    seed: Seed = 0
    checkpoint: Checkpoint | None = None

    def comes_trained(self, classes: int) -> bool:
        """Whether nothing is left to train: it has a checkpoint, or pretrained weights for exactly these classes."""
        return self.checkpoint is not None or self.network.is_trained_for(classes)


class TrialSpec(Spec):
    """Everything that decides a trial's numbers; its id is the trial's."""

    purpose: Purpose = "search"
    arm: str = ""
    """The arm whose trial it is: two arms that come to the same config keep a record each."""
    data: AnyDataset
    teacher: TeacherSpec | None = None
    student: AnyArchitecture
    method: AnyMethod
    training: Training = Training()
    seeds: Seeds = Seeds()

    @model_validator(mode="after")
    def _can_be_trained(self) -> TrialSpec:
        try:
            with contained():
                self._check_method()
        except (ValueError, UserError, OSError):
            raise
        except Exception as error:  # a method may be a third party's
            said = f"{type(error).__name__}: {reason(error)}"
            raise ValueError(f"the method {self.method.name} cannot be asked for its settings ({said})") from error
        return self

    def _check_method(self) -> None:
        name = self.method.name
        if self.method.needs_teacher and self.teacher is None:
            raise ValueError(f"the method {name} needs a teacher")
        for loss, weight in self.method.loss_weights.items():
            if not isinstance(weight, (int, float)):
                raise ValueError(f"the method {name} weighs its loss {loss} by {shown(weight)}, which is no number")
        for epoch in range(self.training.epochs if self.method.has_schedule else 1):
            if not any(weight > 0 for weight in self.weights_in(epoch).values()):
                when = f" in epoch {epoch + 1}" if any(self.method.loss_weights.values()) else ""
                raise ValueError(f"every loss of {name} has the weight 0{when}; nothing would be learnt")
        taps = self.taps
        if taps and self.method.needs_positions and all(tap.common_size == (1, 1) for tap in taps):
            at = ", ".join(tap.name for tap in taps)
            raise ValueError(f"the method {name} compares where maps are active, and at {at} they have one position")

    @property
    def taps(self) -> tuple[PairedTap, ...]:
        """The taps that the method reads in this student and this teacher; raises `ValueError` where it cannot."""
        if self.method.tapped is None or self.teacher is None:
            return ()
        networks = (self.student, self.teacher.network)
        ours, theirs = (anatomy(network, self.data.shape, self.data.classes) for network in networks)
        return paired_taps(self.method.tapped, ours, theirs)

    def weights_in(self, epoch: int) -> dict[str, float]:
        """The losses' weights in an epoch, counted from 0: those of its middle."""
        return self.method.weights_at((epoch + 0.5) / self.training.epochs)

    @property
    def has_epochs(self) -> bool:
        """Whether it trains: all do but those of teachers that come trained."""
        is_trained = self.teacher is not None and self.teacher.comes_trained(self.data.classes)
        return not (self.purpose == "teacher" and is_trained)

    @property
    def config_id(self) -> str:
        """The id without seeds and purpose, which replicates and confirmation of one config share."""
        return content_id(self.identity(without=("seeds", "purpose")))


def teacher_trial(teacher: TeacherSpec, data: AnyDataset) -> TrialSpec:
    """The trial that trains a teacher: a student of nobody, which `scratch` sees to."""
    return TrialSpec(
        purpose="teacher",
        data=data,
        teacher=teacher,
        student=teacher.network,
        method=Scratch(),
        training=teacher.training,
        seeds=Seeds.all(teacher.seed),
    )


@dataclass(frozen=True)
class TeacherSide:
    """What a trial has of its teacher: what it says, the shapes, and the method's frozen part."""

    answers: Answers
    pairing: Pairing
    part: TeacherPart | None
    digest: str


SAVING = 200
"""Training takes at least so many times as long as saving it does, however large a network and slow a disk."""


@dataclass(frozen=True)
class Resumption:
    """Where a running trial keeps itself, and how often (seconds of training between two saves)."""

    path: Path
    every: float = 2.0
    """At least, see `SAVING`; a drain saves what it finds, but for an epoch that is too long for it."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: the trained student, and its last score unless it diverged."""

    status: Literal["completed", "diverged"]
    student: nn.Module
    validation: Score | None
    epochs_done: int
    train_seconds: float


def run_trial(
    spec: TrialSpec,
    data: TrialData,
    teacher: TeacherSide | None,
    device: torch.device,
    resumption: Resumption | None = None,
) -> Generator[EpochRecord, None, Outcome]:
    """Trains the student of `spec` and yields a record an epoch; returns the `Outcome`.

    A loss or a logit that is no finite number ends the trial as diverged: NaN logits would count as
    class 0, which is no accuracy. Validation is the only split that it evaluates on.
    """
    training, method, trial_id = spec.training, spec.method, spec.id
    student, parts = fresh(spec, teacher, data, device)
    learner = training.optimiser(student, parts.student)
    rival = adversary_optimiser(parts.adversary, method.adversary_learning_rate) if parts.adversary else None
    learnt = [parameter for group in learner.param_groups for parameter in group["params"]]
    tapped_student = Tapped(student, {tap.name: tap.student for tap in spec.taps}, spec.student.classifier)
    answers = teacher.answers if teacher else Nothing()
    layout = memory_format(student, training.channels_last, device)
    weighed = [name for name, weight in method.loss_weights.items() if weight > 0]

    state = _State(student, parts, learner, rival)
    seconds, score, records = 0.0, None, list[EpochRecord]()
    if resumption and (saved := state.restored_from(resumption.path, trial_id)):
        seconds, records = saved
        yield from records

    saved_at, last_save_took = seconds, 0.0
    for epoch in range(len(records), training.epochs):
        began = time.perf_counter()
        order = torch.Generator().manual_seed(spec.seeds.stream("data", epoch))
        steps = data.batch_count(training.batch_size)
        draws = torch.Generator(device).manual_seed(spec.seeds.stream("estimator", epoch))
        weights = spec.weights_in(epoch)
        sums = dict.fromkeys(("total", *weighed), torch.zeros((), device=device))
        student.train()
        with seeded(spec.seeds.stream("student", epoch), device):  # dropout draws from it
            for index, batch in enumerate(data.batches(training.batch_size, order)):
                rate = training.learning_rate_at(epoch * steps + index, training.epochs * steps)
                set_learning_rate(learner, rate)
                images = batch.images.contiguous(memory_format=layout)

                targets = answers.of(batch)
                with precision(spec, device):
                    said = tapped_student(images)
                said = said.each(Tensor.float)

                lesson = Lesson(batch.labels, batch.indices, draws)
                losses = _means(method, method.losses(said, targets, lesson, parts), len(batch.labels))
                total = torch.stack([weights[name] * losses[name] for name in weighed if weights[name] > 0]).sum()
                learner.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(learnt, training.clip)
                learner.step()

                if rival:
                    rival.zero_grad()
                    own = method.adversary_losses(said.each(Tensor.detach), targets, lesson, parts).mean()
                    penalty = method.adversary_penalty(parts)
                    (own if penalty is None else own + penalty).backward()
                    rival.step()

                for name, loss in (("total", total), *losses.items()):
                    if name in sums:
                        sums[name] = sums[name] + loss.detach()

        means = dict(zip(sums, (torch.stack(list(sums.values())) / steps).tolist(), strict=True))
        spent = time.perf_counter() - began
        seconds += spent
        is_last = epoch + 1 == training.epochs
        evaluated = is_last or (epoch + 1) % training.evaluate_every == 0
        score = evaluate(student, data.validation) if evaluated else None
        if not all(abs(mean) < float("inf") for mean in means.values()) or (score and not score.is_finite):
            return Outcome("diverged", student, None, epoch, seconds)

        record = EpochRecord(
            trial_id=trial_id,
            epoch=epoch + 1,
            epochs=training.epochs,
            accuracy=score.accuracy if score else None,
            loss=score.loss if score else None,
            images=len(data.validation),
            train_loss=means.pop("total"),
            losses=means,
            learning_rate=rate,
            seconds=spent,
        )
        records.append(record)
        if resumption and (seconds - saved_at >= max(resumption.every, SAVING * last_save_took) or is_last):
            saving_began = time.perf_counter()
            state.save(resumption.path, trial_id, seconds, records)
            saved_at, last_save_took = seconds, time.perf_counter() - saving_began
        try:
            yield record
        except GeneratorExit:  # whoever iterates stops here, and may go on later
            if resumption and saved_at < seconds:
                state.save(resumption.path, trial_id, seconds, records)
            raise

    if score is None:  # every epoch came from the checkpoint
        score = evaluate(student, data.validation)
    return Outcome("completed", student, score, training.epochs, seconds)


def _means(method: AnyMethod, losses: Losses, images: int) -> dict[str, Tensor]:
    """The mean of each loss; raises `ValueError` for what is no loss an image, of which the mean would say nothing."""
    absent = [name for name, weight in method.loss_weights.items() if weight > 0 and name not in losses]
    if absent:
        raise ValueError(
            f"the method {method.name} weighs its loss {absent[0]} and gives {', '.join(losses) or 'none'}"
        )
    for name, loss in losses.items():
        if not isinstance(loss, Tensor):
            raise ValueError(f"the loss {name} of the method {method.name} is a {type(loss).__name__} and no tensor")
        if loss.shape != (images,):
            raise ValueError(
                f"the loss {name} of the method {method.name} has the shape {tuple(loss.shape)} for {images} images; "
                f"give one number an image, ({images},)"
            )
    return {name: loss.mean() for name, loss in losses.items()}


def fresh(
    spec: TrialSpec, teacher: TeacherSide | None, data: TrialData, device: torch.device
) -> tuple[nn.Module, Parts]:
    """The student and the method's parts as they are before training, each from its own seed."""
    channels, classes = spec.data.shape[0], spec.data.classes
    with seeded(spec.seeds.stream("student")):
        student = spec.student.build(channels, classes)
    student = spec.student.load_pretrained(student)
    pairing = teacher.pairing if teacher else Pairing.of((), data.train.labels, classes)
    with seeded(spec.seeds.stream("estimator")):
        student_part = spec.method.student_part(pairing)
    with seeded(spec.seeds.stream("discriminator")):
        adversary = spec.method.adversary(pairing)
    layout = memory_format(student, spec.training.channels_last, device)
    student = student.to(device).to(memory_format=layout)
    parts = Parts(
        pairing, student_part.to(device), adversary.to(device) if adversary else None, teacher.part if teacher else None
    )
    return student, parts


def precision(spec: TrialSpec, device: torch.device) -> torch.autocast:
    """The arithmetic in which a trial's networks run."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=spec.training.precision == "bfloat16")


class _State:
    """Everything that training changes, to be written to and read from a checkpoint."""

    def __init__(
        self, student: nn.Module, parts: Parts, learner: torch.optim.Optimizer, rival: torch.optim.Optimizer | None
    ) -> None:
        members: dict[str, nn.Module | torch.optim.Optimizer | None]
        members = {"student": student, "part": parts.student, "adversary": parts.adversary}
        members |= {"learner": learner, "rival": rival}
        self.members = {name: member for name, member in members.items() if member is not None}

    def _states(self) -> dict[str, Any]:
        return {name: member.state_dict() for name, member in self.members.items()}

    def _take_up(self, states: dict[str, Any]) -> None:
        for name, member in self.members.items():
            member.load_state_dict(states[name])

    def save(self, path: Path, trial_id: str, seconds: float, records: list[EpochRecord]) -> None:
        save(path, Progress(trial_id, seconds, tuple(records)), self._states())

    def restored_from(self, path: Path, trial_id: str) -> tuple[float, list[EpochRecord]] | None:
        """Takes up a checkpoint of the same trial; one that cannot be read is set aside."""
        fresh = copy.deepcopy(self._states())
        with taken_up(path, trial_id) as kept:
            if kept is None:
                return None
            try:
                self._take_up(kept.states)
            except Exception:
                self._take_up(fresh)  # some members may have taken up theirs before one could not
                raise
            return kept.progress.seconds, list(kept.progress.records)
        return None
