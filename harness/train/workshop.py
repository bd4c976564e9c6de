"""A workshop: what one process keeps between trials, so that data and teachers are loaded once in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from harness.data.dataset import Dataset
from harness.data.serve import serve, serve_split
from harness.data.served import Split, TrialData
from harness.data.splits import Warrant, cut, open_test
from harness.distill.method import Pairing, Parts
from harness.models.taps import Tapped
from harness.record import EpochRecord
from harness.spec import content_id
from harness.train.answers import Asked, answers
from harness.train.seeds import seeded
from harness.train.teachers import Once, Teacher, frozen_part, locked, teacher
from harness.train.trial import TeacherSide, TeacherSpec, TrialSpec, precision, teacher_trial

REMEMBERED = 512 * 2**20
"""Bytes of teachers' answers that a process keeps in memory; the sides that were not used for longest go first."""
ON_DISK = 4 * 2**30


class Workshop:
    """Data and teachers on one device, by the id of what asked for them."""

    def __init__(
        self, data_root: Path, cache: Path, device: torch.device, once: Once = locked, answers_budget: int = ON_DISK
    ) -> None:
        self.data_root, self.cache, self.device, self.once = data_root, cache, device, once
        self.answers_budget = answers_budget
        """Bytes of teachers' answers that may lie on disk."""
        kind = torch.cuda.get_device_name(device).replace(" ", "-") if device.type == "cuda" else device.type
        self._own_cache = cache / f"{kind}-{torch.get_num_threads()}"
        """What another kind of device, or another number of threads, rounds differently is another content."""
        self._data: dict[str, TrialData] = {}
        self._teachers: dict[str, Teacher] = {}
        self._logits: dict[tuple[str, str], tuple[float, float]] = {}
        self._sides: OrderedDict[str, TeacherSide] = OrderedDict()

    def data(self, data: Dataset) -> TrialData:
        """Training and validation of a data set; raises `MissingError` where they cannot be had."""
        if data.id not in self._data:
            self._data[data.id] = serve(cut(data, self.data_root), data, self.device)
        return self._data[data.id]

    def test(self, spec: TrialSpec) -> Split:
        """The test split, for a confirmation; raises `TestSplitSealedError` for any other trial."""
        images = open_test(spec.data, self.data_root, Warrant(spec.id, spec.purpose))
        return serve_split(images, spec.data, self.data(spec.data).train.standard, self.device)

    def teacher(self, spec: TeacherSpec, data: Dataset) -> Generator[EpochRecord, None, Teacher]:
        """A teacher, trained now if nobody has; yields its epochs."""
        trial = teacher_trial(spec, data)
        if trial.id not in self._teachers:
            self._teachers[trial.id] = yield from teacher(
                trial, self.data(data), self._own_cache, self.device, self.once
            )
        else:
            yield from self._teachers[trial.id].epochs
        return self._teachers[trial.id]

    def side(self, spec: TrialSpec) -> TeacherSide | None:
        """What a trial needs of its teacher; None for a method that needs none."""
        if spec.teacher is None or not spec.method.needs_teacher:
            return None
        method, training = spec.method, spec.training
        of_teacher = method.teacher_settings and method.teacher_settings.id
        of_method = [method.name, of_teacher, method.target_settings, [tap.name for tap in spec.taps]]
        of_training = [training.precision, training.channels_last, training.epochs]
        key = content_id([spec.data.id, spec.teacher.id, spec.student.id, of_method, of_training])
        if key not in self._sides:
            self._sides[key] = self._new_side(spec, drained(self.teacher(spec.teacher, spec.data)))
        self._sides.move_to_end(key)
        while len(self._sides) > 1 and sum(side.answers.size for side in self._sides.values()) > REMEMBERED:
            self._sides.popitem(last=False)
        return self._sides[key]

    def _new_side(self, spec: TrialSpec, known: Teacher) -> TeacherSide:
        data, method = self.data(spec.data), spec.method
        assert spec.teacher is not None
        network = spec.teacher.network.id
        mean, spread = self._logits_of(spec.teacher, known, spec.data)
        unmeasured = Pairing.of(spec.taps, data.train.labels, spec.data.classes)
        pairing = replace(unmeasured, logit_mean=mean, logit_spread=spread)
        paths = {tap.name: tap.teacher for tap in spec.taps}
        tapped = Tapped(known.network, paths, spec.teacher.network.classifier)
        part = frozen_part(method, known, tapped, pairing, data, self._own_cache, self.device, network, self.once)
        parts = Parts(pairing, torch.nn.Identity(), None, part)
        asked = Asked(tapped, method, parts, precision(spec, self.device))
        with seeded(0, self.device):
            place = partial(self._place, spec, known, pairing)
            says = answers(asked, data, spec.training.epochs, place, self.answers_budget)
        return TeacherSide(says, pairing, part, known.digest)

    def _logits_of(self, spec: TeacherSpec, known: Teacher, data: Dataset) -> tuple[float, float]:
        """Mean and spread of a teacher's logits over the training images, whatever learns from it."""
        key = spec.id, data.id
        if key not in self._logits:
            with torch.no_grad(), seeded(0, self.device):
                logits = torch.cat([known.network(images) for images, _ in self.data(data).train.chunks()]).double()
            self._logits[key] = float(logits.mean()), float(logits.std())
        return self._logits[key]

    def _place(self, spec: TrialSpec, known: Teacher, pairing: Pairing, name: str) -> Path:
        """Where one kind of a teacher's answers lies: by all that decides them. Logits are the teacher's alone."""
        assert spec.teacher is not None
        # The same weights in another network, as one with another stride may have them, say other things.
        teacher = [spec.teacher.network.id, known.digest]
        decides: list[object] = [*teacher, self.data(spec.data).fingerprint, spec.training.precision, name]
        if name != "logits":
            method = spec.method
            settings = method.teacher_settings and method.teacher_settings.id
            taps = [[tap.teacher, *pairing.common_size(tap.name)] for tap in spec.taps]
            decides += [method.name, settings, method.target_settings, taps]
        return self._own_cache / "answers" / f"{content_id(decides)}.rows"


def drained(records: Generator[EpochRecord, None, Teacher]) -> Teacher:
    """Runs a teacher's generator to its end."""
    while True:
        try:
            next(records)
        except StopIteration as end:
            result: Teacher = end.value
            return result
