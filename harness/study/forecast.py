"""A forecast: what a study will take, from a few real steps of each cell's corner configs (see `train/pilot.py`).

    corners     the arm's own settings, and those with every searched field at its first and at its last extreme
    together    as many seeds as a pack of the cell would have
    seconds     of training, a trial: the mean over the corners; evaluation, starts and what early stopping saves are
                not in it

What asking the teachers takes is told apart, for all trials of a teacher share its answers: each view of each image is
asked for once, as far as the trials come across it. That is measured where the pilots share answers as trials do, and
as if all found room in `answers_gigabytes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from harness.study.domains import Domain, FloatRange, IntRange, Value
from harness.study.plan import Cell, Plan
from harness.study.space import Ground
from harness.train.packing import FEWEST, most_in_a_pack, shape_of
from harness.train.pilot import Pilot, fly
from harness.train.trial import TrialSpec
from harness.train.workshop import Workshop


@dataclass(frozen=True)
class CellForecast:
    """What the trials of one cell will take, or the training of one teacher."""

    arm: str
    """`teacher` for a teacher, which is its own student."""
    teacher: str | None
    student: str
    dataset: str
    is_varied: bool
    """Whether its student is searched too; `student` is the one it begins with."""
    runs: int
    together: int
    peak_bytes: int
    step_seconds: tuple[float, float]
    """Of the quickest and of the slowest corner, a trial."""
    trial_seconds: float
    asking_seconds: float
    """What asking the teacher takes in all, before its answers are kept."""

    @property
    def seconds(self) -> float:
        """Training time of all runs."""
        return self.runs * self.trial_seconds + self.asking_seconds

    def as_json(self) -> dict[str, Any]:
        """Its fields with `seconds`, as they are kept beside the run's records."""
        return {**asdict(self), "seconds": self.seconds}


def forecast(plan: Plan, workshop: Workshop, workers: int) -> Iterator[CellForecast]:
    """Flies a pilot for each teacher and each corner of each cell; raises `PilotError` where one does not complete."""
    for trial in plan.teachers:
        if trial.has_epochs:
            pilot = fly(trial, workshop)
            yield _cell_forecast("teacher", trial, 1, [pilot], [_steps(trial) * pilot.step_seconds], 0.0)
    alike = Counter(shape_of(cell.base) for cell in plan.cells)
    for cell in plan.cells:
        specs = list(corners(cell))
        together = _together(plan, cell, alike[shape_of(cell.base)], workers)
        packs = [min(together, most_in_a_pack(corner, plan.device)) for corner in specs]
        pilots = [fly(corner, workshop, size) for corner, size in zip(specs, packs, strict=True)]
        seconds = [_steps(corner) * pilot.step_seconds for corner, pilot in zip(specs, pilots, strict=True)]
        asking = _share_asked(plan, cell) * _steps(cell.base) * pilots[0].asking_seconds
        yield _cell_forecast(cell.arm.name, cell.base, plan.runs(cell), pilots, seconds, asking, cell.varies_size)


def _cell_forecast(
    arm: str,
    spec: TrialSpec,
    runs: int,
    pilots: list[Pilot],
    seconds: list[float],
    asking: float,
    is_varied: bool = False,
) -> CellForecast:
    steps = [pilot.step_seconds for pilot in pilots]
    return CellForecast(
        arm=arm,
        teacher=spec.teacher.network.label if spec.teacher and arm != "teacher" else None,
        student=spec.student.label,
        dataset=spec.data.name,
        is_varied=is_varied,
        runs=runs,
        together=pilots[0].together,
        peak_bytes=max(pilot.peak_bytes for pilot in pilots),
        step_seconds=(min(steps), max(steps)),
        trial_seconds=sum(seconds) / len(seconds),
        asking_seconds=asking,
    )


def corners(cell: Cell) -> Iterator[TrialSpec]:
    """The cell's own settings, and those at both ends of its space that differ from them and may be trained."""
    ground = Ground(cell.space, cell.base)
    seen = {cell.base.id}
    yield cell.base
    for end in (_first, _last):
        try:
            spec = ground.trial(ground.chosen(end))
        except ValidationError:  # the ends of two fields need not go together
            continue
        if spec.id not in seen and all(limit.excess(spec) <= 0 for limit in cell.constraints):
            seen.add(spec.id)
            yield spec


def _first(_: str, domain: Domain) -> Value:
    return domain.extremes()[0]


def _last(_: str, domain: Domain) -> Value:
    return domain.bounds[1] if isinstance(domain, (FloatRange, IntRange)) else domain.extremes()[-1]


def _together(plan: Plan, cell: Cell, alike: int, workers: int) -> int:
    """How many trials a pack of a cell has while it is searched: a worker's share of all cells of its shape."""
    most = min(plan.study.spec.resources.pack, most_in_a_pack(cell.base, plan.device))
    waiting = alike * min(plan.study.spec.search.batch, plan.budget(cell)) * len(plan.search_seeds)
    return min(most, max(-(-waiting // workers), FEWEST))


def _steps(spec: TrialSpec) -> int:
    return spec.training.epochs * -(-spec.data.train_count // spec.training.batch_size)


def _share_asked(plan: Plan, cell: Cell) -> float:
    """How many times a trial's images are asked for in all, by all trials of its teacher: views are drawn evenly."""
    teacher, epochs, views = cell.base.teacher, cell.base.training.epochs, cell.base.data.views
    if teacher is None or not cell.base.method.needs_teacher:
        return 0.0
    if views is None:
        return 1.0
    trials = sum(plan.runs(other) for other in plan.cells if other.base.teacher and other.base.teacher.id == teacher.id)
    return views * (1 - (1 - 1 / views) ** (epochs * trials)) / epochs
