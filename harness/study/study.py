"""Studies: the question, the pairs, the arms, one budget and the confirmation, from one YAML file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import torch
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from harness.data.catalog import AnyDataset
from harness.data.dataset import Dataset
from harness.distill.catalog import AnyMethod
from harness.models.catalog import AnyArchitecture
from harness.models.taps import anatomy
from harness.source import Location, Problem, Source, SpecError, UserError, read_yaml, shown
from harness.spec import Spec, problems_of
from harness.study.constraints import Constraint
from harness.study.domains import Value
from harness.study.samplers import TPE, Grid, Sampler, misfits
from harness.study.shelf import NotOnShelfError, find
from harness.study.space import Ground, SearchSpace, problems_in, problems_of_point
from harness.study.stopping import Halving
from harness.study.tracking import Tracking
from harness.train.optim import Training
from harness.train.seeds import Seed, Seeds
from harness.train.teachers import state_for
from harness.train.trial import Checkpoint, TeacherSpec, TrialSpec

Pinned = TypeVar("Pinned", Dataset, Checkpoint)

SEARCH_SEEDS = 10_000
"""Search trains with seeds from here on, confirmation with smaller ones: no seed serves both."""


class Pair(Spec):
    """One teacher with its students, on the study's data or on data of its own."""

    teacher: AnyArchitecture
    students: tuple[AnyArchitecture, ...] = Field(min_length=1)
    data: AnyDataset | None = None
    training: Training | None = None
    """How the students are trained; the study's `training` where it is not said."""
    teacher_training: Training | None = None
    """How the teacher is trained; the study's `training` where it is not said."""
    teacher_seed: Seed = 0
    checkpoint: Checkpoint | None = None


class Arm(Spec):
    """A method with its search space; without a space its settings are what they say."""

    label: str | None = Field(default=None, min_length=1, max_length=40)
    method: AnyMethod
    space: SearchSpace = Field(default_factory=dict)
    known: tuple[dict[str, Value], ...] = ()
    """Points of the space that the search tries after the method's defaults, before its own; what a point does
    not name stays at the defaults."""

    @field_validator("label")
    @classmethod
    def _can_be_seen(cls, label: str | None) -> str | None:
        if label is not None and not label.strip():
            raise ValueError("a label of blanks cannot be seen; write a name, or leave it out")
        return label

    @property
    def name(self) -> str:
        """How tables call it: its label, or its method's name."""
        return self.label or self.method.name


def _by_name(content: object) -> object:
    return {"name": content} if isinstance(content, str) else content


Stopping = Annotated[Halving, BeforeValidator(_by_name)]


class Budget(Spec):
    """What a search may cost beside its number of configs; whatever is spent first ends it, and confirmation follows.

    What runs when a budget is spent trains to its end, or to its rung, and counts; so do the defaults of every arm,
    without which a pair would have no answer.
    """

    epochs: int | None = Field(default=None, ge=1)
    """Epochs a pair and arm, over all configs, seeds and rungs: the same for every arm, however it spends them."""
    device_hours: float | None = Field(default=None, gt=0)
    """Hours of training of all search trials, times the share of a GPU that each has; on a CPU hours of a core."""
    wall_hours: float | None = Field(default=None, gt=0)
    """Hours since the run began, those in which no driver ran left out."""


class Search(Spec):
    """The budget and the proposals, the same for every pair and arm."""

    trials: int = Field(default=16, ge=1)
    """Configs a pair and arm; the first is always the method's defaults."""
    budget: Budget = Budget()
    replicates: int = Field(default=1, ge=1, le=100)
    """Seeds a config; the objective is their mean."""
    stopping: Stopping | None = None
    """Which configs are given up before their last epoch and seed; None lets all of them train to their end."""
    sampler: Sampler = TPE()
    batch: int = Field(default=4, ge=1)
    """Configs of one pair and arm that are proposed together. Larger keeps more workers busy in a small
    study; the proposals do not depend on which of them ends first, so that a search can be repeated."""
    seed: int = Field(default=0, ge=0, le=1_000_000)
    failures: float = Field(default=0.2, ge=0, le=1)
    """Share of trials that may fail (not diverge) before the search stops."""

    @property
    def can_end_early(self) -> bool:
        """Whether fewer trials may be run, or shorter ones, than the number of configs comes to."""
        return self.stopping is not None or self.budget != Budget() or isinstance(self.sampler, Grid)


class Confirm(Spec):
    """The finalists' retraining on fresh seeds: the only place where the test split is read."""

    best: int = Field(default=1, ge=1)
    """Configs a pair and arm."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)

    @field_validator("seeds")
    @classmethod
    def _are_fresh(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice; keep one")
        if not all(0 <= seed < SEARCH_SEEDS for seed in seeds):
            raise ValueError(f"confirmation seeds lie in 0…{SEARCH_SEEDS - 1}; search uses the others")
        return seeds


Size = Literal["params", "macs", "latency"]


class Objectives(Spec):
    """What is good: accuracy, and a size."""

    accuracy: Literal["max"] = "max"
    params: Literal["min"] | None = None
    macs: Literal["min"] | None = None
    """Multiply-adds of one image."""
    latency: Literal["min"] | None = None
    """Seconds for one image, measured on the trial's device before it trains; what else runs there is in it."""

    @model_validator(mode="after")
    def _has_one_size(self) -> Objectives:
        if sum(way is not None for way in (self.params, self.macs, self.latency)) != 1:
            raise ValueError("name one size to minimise: params, macs or latency")
        return self

    @property
    def size(self) -> Size:
        """The size that is minimised."""
        return "params" if self.params else "macs" if self.macs else "latency"


class Reference(Spec):
    """The worst values that count on a front: hypervolume is measured from here, and never from what was found."""

    accuracy: float = Field(ge=0, lt=1)
    """A fraction, such as what guessing reaches."""
    params: float | None = Field(default=None, gt=0)
    macs: float | None = Field(default=None, gt=0)
    latency: float | None = Field(default=None, gt=0)
    """Seconds for one image."""


class Resources(Spec):
    """What one trial takes of the machine."""

    cpus_per_trial: int = Field(default=1, ge=1, le=1024)
    """Threads; another number rounds differently, so it is part of what makes a trial repeatable."""
    gpus_per_trial: Annotated[float, Field(ge=0)] | Literal["auto"] = 0.0
    """A share of a GPU, or `auto`: as many trials share one as a pilot finds that its memory holds and its steps leave
    idle."""

    pack: int = Field(default=32, ge=1, le=1024)
    """Trials of one shape that train in lockstep as one vectorised step, at most; 1 trains each by itself, which
    rounds differently. How many it comes to beside that depends on what waits, and changes no number."""
    answers_gigabytes: float = Field(default=4.0, ge=0)
    """What teachers' answers may take of the cache's disk; what finds no room is asked of the teacher anew."""

    @field_validator("gpus_per_trial")
    @classmethod
    def _is_a_share_or_whole(cls, gpus: float | Literal["auto"]) -> float | Literal["auto"]:
        if gpus != "auto" and gpus > 1 and gpus != int(gpus):
            raise ValueError("a trial takes a share of one GPU, at most 1, or whole ones; write a whole number")
        return gpus

    @property
    def asks_for_gpu(self) -> bool:
        """Whether trials run on a GPU where nobody says otherwise."""
        return self.gpus_per_trial == "auto" or self.gpus_per_trial > 0

    @property
    def share(self) -> float:
        """The share of a GPU that a trial takes where it runs on one; all of it until a pilot has measured."""
        return self.gpus_per_trial or 1.0 if isinstance(self.gpus_per_trial, float) else 1.0


class StudySpec(Spec):
    """A study as its YAML file says it, with every default filled in."""

    question: str = Field(min_length=1)
    data: AnyDataset
    pairs: tuple[Pair, ...] = Field(min_length=1)
    training: Training = Training()
    arms: tuple[Arm, ...] = Field(min_length=1)
    space: SearchSpace = Field(default_factory=dict)
    """What every arm may vary, in place of what its own space says of the same fields."""
    search: Search = Search()
    confirm: Confirm = Confirm()
    objectives: Objectives = Objectives(params="min")
    reference: Reference | None = None
    """Where the hypervolume of a front is measured from; where none is declared, none is shown."""
    constraints: tuple[Constraint, ...] = ()
    """What every student must be; a proposal that is not is never trained, and costs no budget."""
    resources: Resources = Resources()
    tracking: Tracking = Tracking()

    @field_validator("arms")
    @classmethod
    def _names_are_distinct(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        names = [arm.name for arm in arms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two arms are called {twice[0]}; give one of them a `label`")
        return arms

    def space_of(self, arm: Arm) -> SearchSpace:
        """What an arm's search may vary: its own space, under the one that all arms share."""
        return {**arm.space, **self.space}


@dataclass(frozen=True)
class Study:
    """A study that was read and checked: its name, its spec and its text."""

    name: str
    spec: StudySpec
    text: str
    path: Path

    @property
    def resolved(self) -> dict[str, Any]:
        """The spec with its name and id, as the store keeps it."""
        return {"name": self.name, "id": self.spec.id, **self.spec.model_dump(mode="json", by_alias=True)}


def base_trial(study: StudySpec, pair: Pair, student: AnyArchitecture, arm: Arm) -> TrialSpec:
    """The trial that an arm's search begins from; raises `ValidationError` where the three do not fit."""
    teacher = TeacherSpec(
        network=pair.teacher,
        training=pair.teacher_training or study.training,
        seed=pair.teacher_seed,
        checkpoint=pair.checkpoint,
    )
    return TrialSpec(
        arm=arm.name,
        data=pair.data or study.data,
        teacher=teacher if arm.method.needs_teacher else None,
        student=student,
        method=arm.method,
        training=pair.training or study.training,
        seeds=Seeds.all(SEARCH_SEEDS + study.search.seed),
    )


def load_study(name: str) -> Study:
    """Reads and checks a study by name or path; raises `SpecError` with everything that is wrong."""
    try:
        path = find("studies", name)
    except NotOnShelfError as error:
        raise SpecError([Problem(name, None, "", str(error))]) from error
    if path.stem == "cache" or path.stem.startswith("."):
        message = f"cannot be called {path.stem}: its run's folder would be taken for another; rename the file"
        raise SpecError([Problem(str(path), None, "", message)])
    return _Loading(path).study()


class _Loading:
    """One study's reading: its own file, and the files of the spaces that its arms name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = read_yaml(path)
        self.spaces: dict[int, Source] = {}
        self.problems: list[Problem] = []

    def study(self) -> Study:
        content = self._with_spaces()
        try:
            spec = StudySpec.model_validate(content)
        except ValidationError as error:
            for detail in problems_of(error, self.source, StudySpec, self._elsewhere):
                self.problems.append(detail)
            raise SpecError(self.problems) from error
        spec = self._pinned(spec)
        if self.problems:
            raise SpecError(self.problems)
        self.problems.extend(self._misfits(spec))
        if self.problems:
            raise SpecError(self.problems)
        return Study(self.path.stem, spec, self.path.read_text(encoding="utf-8"), self.path)

    def _with_spaces(self) -> dict[str, Any]:
        """The content with every space that is a name replaced by what its file says."""
        content = dict(self.source.content)
        arms = content.get("arms")
        if not isinstance(arms, list):
            return content
        content["arms"] = [self._with_space(index, arm) for index, arm in enumerate(arms)]
        return content

    def _with_space(self, index: int, arm: object) -> object:
        if not isinstance(arm, dict) or "space" not in arm or isinstance(arm["space"], dict):
            return arm
        name = arm["space"]
        without = {key: value for key, value in arm.items() if key != "space"}
        if name is None:
            return without
        if not isinstance(name, str):
            message = f"{shown(name)} is neither the name of a search space nor a mapping of paths to domains"
            self.problems.append(self.source.problem(("arms", index, "space"), message))
            return without
        try:
            source = read_yaml(find("search_spaces", name, beside=self.path))
        except NotOnShelfError as error:
            self.problems.append(self.source.problem(("arms", index, "space"), f'"{name}" {error}'))
            return without
        except SpecError as error:
            self.problems.extend(error.problems)
            return without
        self.spaces[index] = source
        return {**arm, "space": source.content}

    def _elsewhere(self, location: Location) -> tuple[Source, Location] | None:
        """Where a location of the study lies when it lies in a space's own file."""
        match location:
            case ("arms", int(index), "space", *rest) if index in self.spaces:
                return self.spaces[index], tuple(rest)
        return None

    def _pinned(self, spec: StudySpec) -> StudySpec:
        """The study with the digest of every file that it names; what is wrong with them becomes a problem."""
        pairs = tuple(
            pair.model_copy(
                update={
                    "data": self._pin(pair.data, ("pairs", index, "data", "path")),
                    "checkpoint": self._pin(pair.checkpoint, ("pairs", index, "checkpoint", "path")),
                }
            )
            for index, pair in enumerate(spec.pairs)
        )
        return spec.model_copy(update={"data": self._pin(spec.data, ("data", "path")), "pairs": pairs})

    def _pin(self, named: Pinned | None, location: Location) -> Pinned | None:
        if named is None:
            return None
        try:
            return named.pinned(self.path)
        except (UserError, OSError) as error:
            self.problems.append(self._problem(location, str(error)))
            return named

    def _misfits(self, spec: StudySpec) -> Iterator[Problem]:
        """What only shows once pair, student and arm meet."""
        yield from self._misfit_reference(spec)
        if spec.confirm.best > spec.search.trials:
            message = (
                f"{spec.confirm.best} is more than the {spec.search.trials} configs that a search tries; lower it, or "
                "raise search.trials"
            )
            yield self._problem(("confirm", "best"), message)
        if spec.data.shortage or spec.data.misfit:
            yield self._problem(("data",), _of_data(spec.data))
        for pair_index, pair in enumerate(spec.pairs):
            if pair.data and (pair.data.shortage or pair.data.misfit):
                yield self._problem(("pairs", pair_index, "data"), _of_data(pair.data))
            refused = list(self._refused_networks(pair, pair.data or spec.data, pair_index))
            yield from refused
            for student in () if refused else pair.students:
                for arm_index, arm in enumerate(spec.arms):
                    try:
                        base = base_trial(spec, pair, student, arm)
                    except ValidationError as error:
                        for detail in error.errors(include_url=False):
                            message = str(detail.get("ctx", {}).get("error", detail["msg"]))
                            yield self._problem(("arms", arm_index, "method"), f"does not fit: {message}")
                        continue
                    yield from self._misfits_of(spec, arm_index, base)

    def _misfit_reference(self, spec: StudySpec) -> Iterator[Problem]:
        if spec.reference is None:
            return
        size, named = (
            spec.objectives.size,
            [name for name in get_args(Size) if getattr(spec.reference, name) is not None],
        )
        if named != [size]:
            told = f"names {' and '.join(named)}" if named else "names no size"
            message = f"{told}, and the objectives minimise {size}; write {{accuracy: …, {size}: …}}"
            yield self._problem(("reference",), message)

    def _misfits_of(self, spec: StudySpec, arm_index: int, base: TrialSpec) -> Iterator[Problem]:
        """What is wrong with an arm's search of one student: its space, its known points, its sampler, its size."""
        arm, own = spec.arms[arm_index], ("arms", arm_index)
        space = spec.space_of(arm)
        wrong = [(self._in_space(spec, own, place), message) for place, message in problems_in(space, base)]
        if not wrong:
            for index, point in enumerate(arm.known):
                wrong += [
                    ((*own, "known", index, *at), message) for at, message in problems_of_point(point, space, base)
                ]
            for place, message in misfits(spec.search.sampler, Ground(space, base)):
                wrong.append((self._in_space(spec, own, place) if place else ("search", "sampler"), message))
        if arm.known and len(arm.known) >= spec.search.trials:
            message = (
                f"holds {len(arm.known)} points, which the defaults precede, and the search tries {spec.search.trials} "
                f"configs; raise search.trials to {len(arm.known) + 1} or more"
            )
            wrong.append(((*own, "known"), message))
        for loss in _never_weighed(base):
            message = f"has no epoch in which {loss} counts, of {base.training.epochs}; raise training.epochs"
            wrong.append(((*own, "method"), message))
        if not any(path.startswith("student.") for path in space):
            for index, limit in enumerate(spec.constraints):
                if limit.excess(base) > 0:
                    message = (
                        f"{limit} is violated by {base.student.label}, which has {limit.of(base):,}; raise the limit, "
                        f"take another student, or search it"
                    )
                    wrong.append((("constraints", index), message))
        for location, message in wrong:
            yield self._problem(location, message)

    def _in_space(self, spec: StudySpec, own: Location, place: Location) -> Location:
        return (*(() if place[0] in spec.space else own), "space", *place)

    def _refused_networks(self, pair: Pair, data: Dataset, index: int) -> Iterator[Problem]:
        """Networks that do not take the data's images."""
        places: list[tuple[Location, AnyArchitecture]] = [(("pairs", index, "teacher"), pair.teacher)]
        places += [(("pairs", index, "students", at), student) for at, student in enumerate(pair.students)]
        for location, network in places:
            try:
                found = anatomy(network, data.shape, data.classes)
            except ValueError as error:
                yield self._problem(location, f"does not fit the data {data.name}: {error}")
                continue
            if location[-1] == "teacher" and pair.checkpoint:
                yield from self._misfit_checkpoint(pair.checkpoint, network, data, index)
            comes_trained = location[-1] == "teacher" and (pair.checkpoint or network.is_trained_for(data.classes))
            if not found.learnable and not comes_trained:
                message = f"has no weights that can be trained: {found.label} has none, or all have requires_grad=False"
                yield self._problem(location, message)

    def _misfit_checkpoint(
        self, checkpoint: Checkpoint, network: AnyArchitecture, data: Dataset, index: int
    ) -> Iterator[Problem]:
        with torch.device("meta"):
            ghost = network.build(data.shape[0], data.classes)
        try:
            state_for(ghost, checkpoint)
        except (UserError, OSError) as error:
            yield self._problem(("pairs", index, "checkpoint"), str(error))

    def _problem(self, location: Location, message: str) -> Problem:
        elsewhere = self._elsewhere(location)
        source, place = elsewhere or (self.source, location)
        return source.problem(place, message)


def _never_weighed(spec: TrialSpec) -> Iterator[str]:
    """Losses that the method's schedule leaves out of so short a training, though they have a weight."""
    by_epoch = [spec.weights_in(epoch) for epoch in range(spec.training.epochs)]
    for loss, weight in spec.method.loss_weights.items():
        if weight > 0 and not any(weights.get(loss, 0) > 0 for weights in by_epoch):
            yield loss


def _of_data(data: Dataset) -> str:
    return f"asks for too much: {data.shortage}" if data.shortage else f"is refused: {data.misfit}"
