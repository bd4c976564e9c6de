"""A pack: trials of one student's shape trained in lockstep, as one vectorised step; read `run_trial` first.

    members    trials of equal data, student and batches; of any seeds, arms, methods, rates, weights and lengths
    students   one stacked network (see `models/stacked.py`)
    groups     members that learn alike: by one method, but for its losses' weights (see `group.py`)

Each member keeps its own order of images, views, learning rate, loss weights, clipping and checkpoint, and leaves
when it is finished, pauses or diverges; nothing that one does touches another. On a CPU a member's numbers do not
depend on its company, bit for bit; from those of `run_trial` they differ by rounding.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from harness.data.augment import Views
from harness.data.resident import ResidentData
from harness.models.batch_invariant import squared_norms
from harness.models.stacked import Stacked
from harness.models.taps import Tapped
from harness.record import EpochRecord
from harness.train.checkpoint import Progress, save, taken_up
from harness.train.evaluate import Score, evaluate
from harness.train.group import Group, learns_alike
from harness.train.stacked_optim import StackedSGD
from harness.train.trial import SAVING, Outcome, Resumption, TeacherSide, TrialSpec, fresh, precision


@dataclass
class Member:
    """A trial of a pack, with how far it is."""

    spec: TrialSpec
    teacher: TeacherSide | None
    resumption: Resumption | None = None
    until: int | None = None
    """The epoch after which it pauses; None for its last."""
    records: list[EpochRecord] = field(default_factory=list)
    seconds: float = 0.0
    """Its share of the pack's training time."""
    saved_at: int = 0
    """The epoch that its checkpoint holds."""

    @cached_property
    def id(self) -> str:
        """The trial's."""
        return self.spec.id

    @property
    def epoch(self) -> int:
        """The next epoch, counted from 0."""
        return len(self.records)

    @property
    def is_finished(self) -> bool:
        """Whether its whole schedule is trained."""
        return self.epoch == self.spec.training.epochs

    @property
    def pauses(self) -> bool:
        """Whether it is at the epoch where it pauses, or beyond: its checkpoint may be of a later leg."""
        return self.until is not None and self.until < self.spec.training.epochs and self.epoch >= self.until

    @property
    def is_done(self) -> bool:
        """Whether it leaves the pack: finished, or where it pauses."""
        return self.is_finished or self.pauses


@dataclass(frozen=True)
class Left:
    """A member that left the pack: how its trial ended, or None where it pauses at its checkpoint."""

    member: Member
    outcome: Outcome | None


def run_pack(
    members: Sequence[Member], data: ResidentData, device: torch.device
) -> Generator[EpochRecord | Left, None, None]:
    """Trains the members; yields a record an epoch of each, and each as it leaves.

    As with `run_trial`, a member whose losses or logits are not finite has diverged, a member with a checkpoint goes
    on from there, and closing the generator leaves every member at its checkpoint.
    """
    if not members:
        return
    pack = _Pack(members, data, device)
    try:
        for member in members:
            yield from tuple(member.records[: member.until])
        leaving = {row: pack.left(row) for row, member in enumerate(pack.members) if member.is_done}
        yield from pack.parted(leaving)
        saved_at, last_save_took = time.perf_counter(), 0.0
        while pack.members:
            began = time.perf_counter()
            means = pack.train_epoch()
            share = (time.perf_counter() - began) / len(pack.members)
            leaving = {}
            for row, (member, found) in enumerate(zip(pack.members, means, strict=True)):
                member.seconds += share
                epochs, due = member.spec.training.epochs, member.spec.training.evaluate_every
                score = pack.score(row) if member.epoch + 1 == epochs or (member.epoch + 1) % due == 0 else None
                if not all(abs(mean) < float("inf") for mean in found.values()) or (score and not score.is_finite):
                    leaving[row] = Left(member, pack.outcome(row, "diverged", None))
                    member.saved_at = member.epoch  # a checkpoint of these weights would go on from no number
                    continue
                member.records.append(_record(member, data, score, found, share))
                if member.is_done:
                    leaving[row] = pack.left(row, score)
            every = min((one.resumption.every for one in pack.members if one.resumption), default=float("inf"))
            is_due = time.perf_counter() - saved_at >= max(every, SAVING * last_save_took)
            saving_began = time.perf_counter()
            pack.save(range(len(pack.members)) if is_due else leaving)
            if is_due:
                saved_at, last_save_took = time.perf_counter(), time.perf_counter() - saving_began
            diverged = [left.member for left in leaving.values() if left.outcome and left.outcome.status == "diverged"]
            for member in pack.members:
                if member not in diverged:
                    yield member.records[-1]
            yield from pack.parted(leaving)
    except GeneratorExit:  # whoever iterates stops here, and may go on later
        pack.save(range(len(pack.members)))
        raise


def _record(
    member: Member, data: ResidentData, score: Score | None, means: dict[str, float], seconds: float
) -> EpochRecord:
    training = member.spec.training
    steps = data.batch_count(training.batch_size)
    return EpochRecord(
        trial_id=member.id,
        epoch=member.epoch + 1,
        epochs=training.epochs,
        accuracy=score.accuracy if score else None,
        loss=score.loss if score else None,
        images=len(data.validation),
        train_loss=means["total"],
        losses={name: mean for name, mean in means.items() if name != "total"},
        learning_rate=training.learning_rate_at((member.epoch + 1) * steps - 1, training.epochs * steps),
        seconds=seconds,
    )


class _Pack:
    """The members that train now, their networks, and what they learn from; a row is a member's place in each."""

    def __init__(self, members: Sequence[Member], data: ResidentData, device: torch.device) -> None:
        self.members, self.data, self.device = list(members), data, device
        built = [fresh(member.spec, member.teacher, data, device) for member in members]
        self.students = Stacked([student for student, _ in built])
        self.learner = StackedSGD(self.students, [member.spec.training for member in members])
        alike: dict[str, list[int]] = {}
        for row, member in enumerate(members):
            alike.setdefault(learns_alike(member.spec), []).append(row)
        self.groups = [
            Group([members[row].spec for row in rows], rows, members[rows[0]].teacher, [built[row][1] for row in rows])
            for rows in alike.values()
        ]
        for row in range(len(members)):
            self._resume(row)
        self._begin()

    def _begin(self) -> None:
        """Settles what depends on who is here."""
        specs = [member.spec for member in self.members]
        if not specs:
            return
        paths = {tap.student: tap.student for spec in specs for tap in spec.taps}
        self._tapped = Tapped(self.students.network, paths, specs[0].student.classifier)
        self._clip = torch.tensor([spec.training.clip for spec in specs], device=self.device)

    def train_epoch(self) -> list[dict[str, float]]:
        """One epoch of every member; the means of its losses, as `run_trial` has them."""
        data, first, count = self.data, self.members[0].spec, len(self.members)
        orders = [torch.Generator().manual_seed(one.spec.seeds.stream("data", one.epoch)) for one in self.members]
        drawn = [data.drawn(order) for order in orders]
        indices = torch.stack([of_member for of_member, _ in drawn])
        views = Views.stacked([of_member for _, of_member in drawn])
        size, steps = first.training.batch_size, data.batch_count(first.training.batch_size)
        rates = self._rates(steps)
        leaves = [*self.students.leaves, *(leaf for group in self.groups for leaf in group.part.leaves)]
        for group in self.groups:
            group.begin_epoch([self.members[row].epoch for row in group.rows])
        for step in range(steps):
            part = slice(step * size, (step + 1) * size)
            batch = data.batch(indices[:, part].flatten(), views.each(lambda tensor: tensor[:, part].flatten()))  # noqa: B023
            with precision(first, self.device):
                said = self._tapped(batch.images)
            said = said.each(Tensor.float)

            lessons = [group.lesson(said, batch, count) for group in self.groups]
            total = torch.cat([lesson.totals for lesson in lessons]).sum()
            found = iter(torch.autograd.grad(total, leaves, allow_unused=True))
            for stack in (self.students, *(group.part for group in self.groups)):
                stack.take_gradients([next(found) for _ in stack.leaves])
            scale = self._scale()
            self.learner.step(rates[step], scale)
            for group, lesson in zip(self.groups, lessons, strict=True):
                group.learn(rates[step], scale, lesson)
        by_row = {
            row: means for group in self.groups for row, means in zip(group.rows, group.means(steps), strict=True)
        }
        return [by_row[row] for row in range(count)]

    def _rates(self, steps: int) -> Tensor:
        """Learning rates, (steps, members, 1)."""
        rates = [
            [
                one.spec.training.learning_rate_at(one.epoch * steps + step, one.spec.training.epochs * steps)
                for one in self.members
            ]
            for step in range(steps)
        ]
        return torch.tensor(rates, device=self.device)[:, :, None]

    def _scale(self) -> Tensor:
        """What each member's gradient is scaled by so that its norm is no larger than allowed, (members, 1)."""
        squares = squared_norms(self.students.gradients)
        for group in self.groups:
            if group.part.leaves:
                squares.index_add_(0, group.places, squared_norms(group.part.gradients))
        return (self._clip / (squares.sqrt() + 1e-6)).clamp(max=1.0)[:, None]

    def score(self, row: int) -> Score:
        """A member's score on validation, of the plain network that it is."""
        return evaluate(self.students.lent(row), self.data.validation)

    def left(self, row: int, score: Score | None = None) -> Left:
        """A member that is done."""
        member = self.members[row]
        if member.pauses:
            return Left(member, None)
        return Left(member, self.outcome(row, "completed", score or self.score(row)))

    def outcome(self, row: int, status: Literal["completed", "diverged"], score: Score | None) -> Outcome:
        """How a member's trial ended."""
        member = self.members[row]
        return Outcome(status, self.students.member(row), score, member.epoch, member.seconds)

    def parted(self, leaving: Mapping[int, Left]) -> Iterable[Left]:
        """Goes on without some members, and tells of them."""
        if leaving:
            stay = [row for row in range(len(self.members)) if row not in leaving]
            self.members = [self.members[row] for row in stay]
            if stay:
                self.students.keep(stay)
                self.learner.keep(stay)
                self.groups = [kept for group in self.groups if (kept := group.kept(stay))]
            self._begin()
        return leaving.values()

    def save(self, rows: Iterable[int]) -> None:
        """Puts members at their checkpoints, where they came further than those hold."""
        for row in rows:
            member = self.members[row]
            if member.resumption and member.saved_at < member.epoch:
                states = {"student": self.students.state(row), "learner": self.learner.state(row)}
                for group in self.groups:
                    if row in group.rows:
                        states |= group.state(row)
                save(member.resumption.path, Progress(member.id, member.seconds, tuple(member.records)), states)
                member.saved_at = member.epoch

    def _resume(self, row: int) -> None:
        """Takes a member up from its checkpoint, or leaves it as it is built."""
        member = self.members[row]
        if member.resumption is None:
            return
        (group,) = (group for group in self.groups if row in group.rows)
        fresh_states = {"student": self.students.state(row), "learner": self.learner.state(row), **group.state(row)}
        with taken_up(member.resumption.path, member.id) as kept:
            if kept is None:
                return
            try:
                self._take_up(row, group, kept.states)
            except Exception:
                self._take_up(row, group, fresh_states)
                raise
            member.records, member.seconds = list(kept.progress.records), kept.progress.seconds
            member.saved_at = member.epoch

    def _take_up(self, row: int, group: Group, states: dict[str, Any]) -> None:
        self.students.take_up(row, states["student"])
        self.learner.take_up(row, states["learner"])
        group.take_up(row, states)
