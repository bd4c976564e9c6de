"""A group: the members of a pack that learn alike, by one method whose losses are computed for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from harness.data.served import Batch
from harness.distill.method import Lesson, Losses, Parts, Targets
from harness.models.memory_order import of_members
from harness.models.stacked import Stacked
from harness.models.taps import Features
from harness.spec import content_id
from harness.train.answers import Nothing
from harness.train.stacked_optim import StackedAdam, StackedSGD
from harness.train.trial import TeacherSide, TrialSpec


def learns_alike(spec: TrialSpec) -> str:
    """What members of a group agree in: method, settings but for the losses' weights, teacher and taps."""
    teacher = spec.teacher.id if spec.teacher and spec.method.needs_teacher else None
    return content_id([spec.method.name, spec.method.shared_settings, teacher, [tap.name for tap in spec.taps]])


@dataclass(frozen=True)
class Taught:
    """One step's lesson of a group: what is minimised, and what the adversary learns from."""

    totals: Tensor
    """(members,)"""
    student: Features
    targets: Targets
    lesson: Lesson


class Group:
    """Members with one method, their parts stacked."""

    def __init__(
        self, specs: Sequence[TrialSpec], rows: Sequence[int], teacher: TeacherSide | None, parts: Sequence[Parts]
    ) -> None:
        self.specs, self.rows = list(specs), list(rows)
        self.method, self.taps = specs[0].method, specs[0].taps
        self.answers = teacher.answers if teacher else Nothing()
        self.part = Stacked([one.student for one in parts])
        self.learner = StackedSGD(self.part, [spec.training for spec in specs])
        adversaries = [one.adversary for one in parts if one.adversary is not None]
        self.adversary = Stacked(adversaries) if adversaries else None
        rates = [spec.method.adversary_learning_rate for spec in specs]
        self.rival = StackedAdam(self.adversary, rates) if self.adversary else None
        self._pairing, self._frozen = parts[0].pairing, parts[0].teacher
        self._device = parts[0].pairing.labels.device
        self.places = self._on_device(rows)
        self._none = torch.Generator()
        """Nothing may be drawn in a pack."""
        self._settle()

    def _on_device(self, rows: Sequence[int]) -> Tensor:
        """The rows as a tensor: indexing a GPU's tensor by a list would wait for the GPU."""
        return torch.tensor(rows, device=self._device)

    def _settle(self) -> None:
        """The parts of all members as the method sees them: the student's losses do not teach its adversary."""
        own = self._pairing, self.part.network
        self._parts = Parts(*own, self.adversary.frozen() if self.adversary else None, self._frozen)
        self._adversary_parts = Parts(*own, self.adversary.network if self.adversary else None, self._frozen)

    def begin_epoch(self, epochs: Sequence[int]) -> None:
        """Settles what its steps need beside the batches; `epochs` are the members', from 0."""
        weights = [spec.weights_in(epoch) for spec, epoch in zip(self.specs, epochs, strict=True)]
        self._recorded = [[name for name, weight in one.items() if weight > 0] for one in self._final_weights()]
        names = dict.fromkeys(name for one in self._recorded for name in one)
        self._weights = {name: torch.tensor([one[name] for one in weights], device=self._device) for name in names}
        self._sums = {name: torch.zeros(len(self.rows), device=self._device) for name in ("total", *names)}

    def _final_weights(self) -> list[dict[str, float]]:
        return [spec.method.loss_weights for spec in self.specs]

    def lesson(self, said: Features, batch: Batch, members: int) -> Taught:
        """The weighted losses of a batch of all of the pack's members."""
        maps = {tap.name: said.maps[tap.student] for tap in self.taps}
        own = Features(said.logits, maps).each(lambda tensor: self._own(tensor, members))
        images = self._own(batch.images, members) if self.answers.sees_images else batch.images
        views = batch.views and batch.views.each(lambda tensor: self._own(tensor, members))
        indices, labels = self._own(batch.indices, members), self._own(batch.labels, members)
        targets = self.answers.of(Batch(indices, views, images, labels))
        lesson = Lesson(labels, indices, self._none)
        means = {name: loss.mean(dim=1) for name, loss in self._losses(own, targets, lesson).items()}
        weighed = [torch.where(weight > 0, weight * means[name], 0.0) for name, weight in self._weights.items()]
        totals = torch.stack(weighed).sum(dim=0)
        for name in self._sums:
            self._sums[name] = self._sums[name] + (totals if name == "total" else means[name]).detach()
        return Taught(totals, own, targets, lesson)

    def _own(self, tensor: Tensor, members: int) -> Tensor:
        """The images of this group among those of the whole pack."""
        if len(self.rows) == members:
            return tensor
        return of_members(tensor, members, self.places)

    def _losses(self, student: Features, targets: Targets, lesson: Lesson) -> Losses:
        """The losses of every member's images, (members, images)."""
        count = len(self.rows)
        if self.method.in_pack == "together":
            return {
                name: loss.view(count, -1)
                for name, loss in self.method.losses(student, targets, lesson, self._parts).items()
            }
        each = []
        for place in range(count):
            mine = partial(_own, place=place, members=count)
            features, of_member = student.each(mine), {name: mine(target) for name, target in targets.items()}
            own = Lesson(mine(lesson.labels), mine(lesson.indices), lesson.generator)
            each.append(self.method.losses(features, of_member, own, Parts(self._pairing, nn.Identity())))
        return {name: torch.stack([losses[name] for losses in each]) for name in each[0]}

    def learn(self, rates: Tensor, scale: Tensor, taught: Taught) -> None:
        """A step of the parts, by the pack's rates and scales, and one of the adversary."""
        if self.part.leaves:
            self.learner.step(rates[self.places], scale[self.places])
        if self.adversary and self.rival:
            student = taught.student.each(Tensor.detach)
            losses = self.method.adversary_losses(student, taught.targets, taught.lesson, self._adversary_parts)
            total = losses.view(len(self.rows), -1).mean(dim=1).sum()
            self.adversary.take_gradients(torch.autograd.grad(total, self.adversary.leaves))
            self.rival.step()

    def means(self, steps: int) -> list[dict[str, float]]:
        """Each member's mean losses over an epoch, of those that it weighs."""
        names = list(self._sums)
        rows = (torch.stack(list(self._sums.values()), dim=1) / steps).tolist()
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [
            {"total": of["total"], **{name: of[name] for name in recorded}}
            for of, recorded in zip(found, self._recorded, strict=True)
        ]

    def kept(self, stay: Sequence[int]) -> Group | None:
        """This group without the members that leave, at their new rows; None where nobody stays."""
        places = [place for place, row in enumerate(self.rows) if row in stay]
        if not places:
            return None
        new_rows = [stay.index(self.rows[place]) for place in places]
        if len(places) < len(self.rows):
            self.part.keep(places)
            self.learner.keep(places)
            if self.adversary and self.rival:
                self.adversary.keep(places)
                self.rival.keep(places)
            self._settle()
        self.specs, self.rows = [self.specs[place] for place in places], new_rows
        self.places = self._on_device(new_rows)
        return self

    def state(self, row: int) -> dict[str, Any]:
        """What a checkpoint keeps of a member's parts."""
        place = self.rows.index(row)
        kept: dict[str, Any] = {"part": self.part.state(place), "part_learner": self.learner.state(place)}
        if self.adversary and self.rival:
            kept |= {"adversary": self.adversary.state(place), "rival": self.rival.state(place)}
        return kept

    def take_up(self, row: int, states: dict[str, Any]) -> None:
        """Gives a member's parts what a checkpoint kept."""
        place = self.rows.index(row)
        self.part.take_up(place, states["part"])
        self.learner.take_up(place, states["part_learner"])
        if self.adversary and self.rival:
            self.adversary.take_up(place, states["adversary"])
            self.rival.take_up(place, states["rival"])


def _own(tensor: Tensor, place: int, members: int) -> Tensor:
    """A member's images, copied to where a register begins: what begins elsewhere may be rounded otherwise."""
    own: Tensor = tensor.unflatten(0, (members, -1))[place]
    return own.clone(memory_format=torch.contiguous_format)
