"""The account of a trial: carries out one assignment and tells how it went, whatever happened.

A trial that diverges, or that raises, is a result: its record says so and why. Only a completed trial
has accuracies, and only a completed confirmation has one on test.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError

import harness
from harness.data.resident import ResidentData
from harness.files import replacing
from harness.models.batch_last import compile_kernels
from harness.record import EpochRecord, Provenance, TrialRecord
from harness.source import MissingError
from harness.store.parquet import now
from harness.train.cost import latency, size
from harness.train.evaluate import Score, evaluate
from harness.train.pack import Left, Member, run_pack
from harness.train.packing import shape_of
from harness.train.seeds import state_digest
from harness.train.teachers import save_weights
from harness.train.trial import Outcome, Resumption, TrialSpec, run_trial, teacher_trial
from harness.train.workshop import Workshop


@dataclass(frozen=True)
class Assignment:
    """A trial with its place in a study."""

    spec: TrialSpec
    study: str
    arm: str
    proposal: int | None = None
    point: dict[str, str] = field(default_factory=dict)
    """What the search chose: dotted path → value as JSON."""
    attempt: int = 1
    until: int | None = None
    """The epoch after which the trial pauses, for its search to decide whether it goes on; None for its last."""

    @cached_property
    def id(self) -> str:
        """The trial's id, worked out once: it is a hash of the whole spec."""
        return self.spec.id

    packs: bool = False
    """Whether it is trained by the vectorised step, alone or beside others."""

    @cached_property
    def shape(self) -> str | None:
        """What trials agree in that train as one; None where this one trains by itself."""
        return shape_of(self.spec) if self.packs else None

    measures_latency: bool = False
    """Whether the student's latency is measured before it trains, which takes a moment and changes no number."""


@dataclass(frozen=True)
class Account:
    """A trial that ended or paused: its record and its epochs; one that paused is told as if it were stopped."""

    trial: TrialRecord
    epochs: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class Places:
    """Where a trial may write: its checkpoint while it runs, and a confirmed student's weights."""

    checkpoints: Path
    students: Path


def carry_out(
    assignment: Assignment, workshop: Workshop, places: Places | None = None
) -> Generator[EpochRecord, None, Account]:
    """Runs an assignment, yields its epochs and returns its account; what it raises becomes a failed trial's record.

    Closing it leaves the trial at its checkpoint, and so does pausing it.
    """
    started, began = now(), time.perf_counter()
    forget_peak(workshop.device)
    epochs: list[EpochRecord] = []
    speed: float | None = None
    try:
        if assignment.measures_latency:
            speed = _latency(assignment.spec, workshop, places)
        finished = yield from _watched(_run(assignment.spec, workshop, places), epochs, assignment.until)
        if finished is None:
            record = _paused(assignment, workshop, started, epochs)
        else:
            record = _record(assignment, workshop, started, finished)
            if places:
                _put_away(assignment.spec, finished[0], places)
    except Exception as error:
        told = _full_disk(error) or error
        record = replace(failed(assignment, told, started), epochs_done=len(epochs))
    return Account(
        replace(record, latency=speed, wall_seconds=time.perf_counter() - began, finished_at=now()), tuple(epochs)
    )


def carry_out_pack(
    assignments: Sequence[Assignment], workshop: Workshop, places: Places | None = None
) -> Generator[EpochRecord | Account, None, None]:
    """Runs assignments together where they pack, and one after another where not; tells of each as it ends.

    What one of them raises before they train is its own failure, and the others train without it. What is raised
    while they train together is the failure of every one that is left.
    """
    if not assignments[0].packs:
        for assignment in assignments:
            yield (yield from carry_out(assignment, workshop, places))
        return
    if workshop.device.type == "cpu":
        compile_kernels()  # in nobody's time
    started, clock = now(), _Clock(len(assignments))
    forget_peak(workshop.device)
    speeds: dict[str, float] = {}
    waiting = {assignment.id: assignment for assignment in assignments}
    epochs: dict[str, list[EpochRecord]] = {id: [] for id in waiting}

    def account(assignment: Assignment, record: TrialRecord) -> Account:
        del waiting[assignment.id]
        wall, speed = clock.leave(), speeds.get(assignment.id)
        ended = replace(record, latency=speed, wall_seconds=wall, finished_at=now())
        return Account(ended, tuple(epochs[assignment.id]))

    try:
        data = workshop.data(assignments[0].spec.data)
        if not isinstance(data, ResidentData):
            raise TypeError("trials on streamed data cannot train as a pack")
        members = []
        for assignment in assignments:
            try:
                if assignment.measures_latency:
                    speeds[assignment.id] = _latency(assignment.spec, workshop, places)
                members.append(_member(assignment, workshop, places))
            except Exception as error:  # what it needs of its own, such as its teacher's estimators, could not be made
                yield account(assignment, failed(assignment, _full_disk(error) or error, started))
        with closing(run_pack(members, data, workshop.device)) as news:
            for item in news:
                if isinstance(item, EpochRecord):
                    epochs[item.trial_id].append(item)
                    yield item
                    continue
                assignment = waiting[item.member.id]
                yield account(assignment, _left(assignment, item, workshop, places, started, epochs[assignment.id]))
    except Exception as error:
        for assignment in tuple(waiting.values()):
            done = len(epochs[assignment.id])
            told = failed(assignment, _full_disk(error) or error, started)
            yield account(assignment, replace(told, epochs_done=done))


def _left(
    assignment: Assignment,
    left: Left,
    workshop: Workshop,
    places: Places | None,
    started: datetime,
    epochs: list[EpochRecord],
) -> TrialRecord:
    """The record of a trial that left its pack."""
    if left.outcome is None:
        return _paused(assignment, workshop, started, epochs)
    side = left.member.teacher
    test = _test(assignment.spec, left.outcome, workshop)
    record = _record(assignment, workshop, started, (left.outcome, test, side.digest if side else None))
    if places:
        _put_away(assignment.spec, left.outcome, places)
    return record


class _Clock:
    """Shares out the time of a pack among those that are in it."""

    def __init__(self, members: int) -> None:
        self.members, self.seconds, self.at = members, 0.0, time.perf_counter()

    def leave(self) -> float:
        """The share so far of one that leaves, in seconds."""
        moment = time.perf_counter()
        self.seconds += (moment - self.at) / self.members
        self.at, self.members = moment, max(1, self.members - 1)
        return self.seconds


def _member(assignment: Assignment, workshop: Workshop, places: Places | None) -> Member:
    spec = assignment.spec
    resumption = Resumption(places.checkpoints / f"{spec.id}.pt") if places else None
    return Member(spec, workshop.side(spec), resumption, assignment.until)


def _full_disk(error: Exception) -> MissingError | None:
    """What a trial that a full disk ended is told as: the machine lacks room, which is nobody's result."""
    said = str(error)  # safetensors gives no number of the error
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not is_full and not any(os.strerror(number) in said for number in (errno.ENOSPC, errno.EDQUOT)):
        return None
    return MissingError(f"{said}; free some space, then the same command continues")


Finished = tuple[Outcome, Score | None, str | None]


def _record(assignment: Assignment, workshop: Workshop, started: datetime, finished: Finished) -> TrialRecord:
    outcome, test, teacher_digest = finished
    score = outcome.validation
    return replace(
        _blank(assignment, started),
        status=outcome.status,
        epochs_done=outcome.epochs_done,
        validation_accuracy=score.accuracy if score else None,
        validation_loss=score.loss if score else None,
        validation_images=score.images if score else 0,
        test_accuracy=test.accuracy if test else None,
        test_loss=test.loss if test else None,
        test_images=test.images if test else 0,
        peak_bytes=peak_bytes(workshop.device),
        train_seconds=outcome.train_seconds,
        student_digest=state_digest(outcome.student),
        teacher_digest=teacher_digest,
        provenance=provenance(workshop.device, workshop.data(assignment.spec.data).fingerprint, assignment.packs),
    )


def _paused(assignment: Assignment, workshop: Workshop, started: datetime, epochs: list[EpochRecord]) -> TrialRecord:
    return replace(
        _blank(assignment, started),
        status="stopped",
        epochs_done=len(epochs),
        peak_bytes=peak_bytes(workshop.device),
        train_seconds=sum(epoch.seconds for epoch in epochs),
        provenance=provenance(workshop.device, workshop.data(assignment.spec.data).fingerprint, assignment.packs),
    )


def _latency(spec: TrialSpec, workshop: Workshop, places: Places | None) -> float:
    """Seconds for one image on the trial's device, the median after a warm-up; of a trial that goes on, as before.

    A second measurement of a paused trial would be another number, and its search would be told two sizes.
    """
    kept = places.checkpoints / f"{spec.id}.latency" if places else None
    if kept and kept.exists():
        with suppress(ValueError):
            return float(kept.read_text())
    found = latency(spec.student, spec.data.shape, spec.data.classes, workshop.device).median
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as temporary:
            temporary.write_text(repr(found))
    return found


def _put_away(spec: TrialSpec, outcome: Outcome, places: Places) -> None:
    """Keeps a confirmed student, and no checkpoint of what ended."""
    if spec.purpose == "confirmation" and outcome.status == "completed":
        save_weights(outcome.student, places.students / f"{spec.id}.safetensors")
    for kept in ("pt", "latency"):
        (places.checkpoints / f"{spec.id}.{kept}").unlink(missing_ok=True)


def _watched(
    run: Generator[EpochRecord, None, Finished], epochs: list[EpochRecord], until: int | None
) -> Generator[EpochRecord, None, Finished | None]:
    """What a run yields, noted; None where it pauses."""
    with closing(run):
        while True:
            try:
                record = next(run)
            except StopIteration as end:
                finished: Finished = end.value
                return finished
            epochs.append(record)
            yield record
            if until is not None and record.epoch == until < record.epochs:
                return None


def _run(spec: TrialSpec, workshop: Workshop, places: Places | None) -> Generator[EpochRecord, None, Finished]:
    if spec.purpose == "teacher":
        return (yield from _teacher(spec, workshop)), None, None
    data, side = workshop.data(spec.data), workshop.side(spec)
    resumption = Resumption(places.checkpoints / f"{spec.id}.pt") if places else None
    outcome = yield from run_trial(spec, data, side, workshop.device, resumption)
    return outcome, _test(spec, outcome, workshop), side.digest if side else None


def _test(spec: TrialSpec, outcome: Outcome, workshop: Workshop) -> Score | None:
    """A confirmed student's score on the test split; None for any other trial, which does not see it."""
    if spec.purpose != "confirmation" or outcome.status != "completed":
        return None
    return evaluate(outcome.student, workshop.test(spec))


def _teacher(spec: TrialSpec, workshop: Workshop) -> Generator[EpochRecord, None, Outcome]:
    if spec.teacher is None:
        raise ValueError("a teacher's trial names the teacher that it trains")
    known = yield from workshop.teacher(spec.teacher, spec.data)
    status: Literal["completed", "diverged"] = "completed" if known.validation else "diverged"
    return Outcome(status, known.network, known.validation, len(known.epochs), known.train_seconds)


def failed(assignment: Assignment, error: BaseException, started: datetime) -> TrialRecord:
    """The record of a trial that raised; the digest tells whether two failures are the same."""
    frames = [(frame.filename.rpartition("/")[2], frame.name) for frame in traceback.extract_tb(error.__traceback__)]
    ended = now()
    return replace(
        _blank(assignment, started),
        error_class=type(error).__name__,
        error_message=str(error)[:2000],
        traceback_digest=hashlib.sha256(repr((type(error).__name__, frames)).encode()).hexdigest()[:16],
        finished_at=ended,
        wall_seconds=(ended - started).total_seconds(),
    )


def follows_from(spec: TrialSpec) -> dict[str, Any]:
    """What of a record follows from its trial's spec alone."""
    teacher = spec.teacher if spec.method.needs_teacher else None
    weight = size(spec.student, spec.data.shape, spec.data.classes)
    return {
        "purpose": spec.purpose,
        "trial_id": spec.id,
        "config_id": spec.config_id,
        "method": spec.method.name,
        "dataset": spec.data.name,
        "teacher": teacher.network.label if teacher else None,
        "student": spec.student.label,
        "teacher_id": teacher_trial(teacher, spec.data).id if teacher else None,
        "seed": spec.seeds.student,
        "epochs": spec.training.epochs if spec.has_epochs else 0,
        "params": weight.params,
        "macs": weight.macs,
    }


def _blank(assignment: Assignment, started: datetime) -> TrialRecord:
    """What is known of a trial before it runs, as the record of one that failed at once."""
    spec = assignment.spec
    return TrialRecord(
        **follows_from(spec),
        study=assignment.study,
        arm=assignment.arm,
        proposal=assignment.proposal,
        point=assignment.point,
        spec=spec.model_dump_json(),
        status="failed",
        error_class=None,
        error_message=None,
        traceback_digest=None,
        stopped_because=None,
        attempt=assignment.attempt,
        epochs_done=0,
        validation_accuracy=None,
        validation_loss=None,
        validation_images=0,
        test_accuracy=None,
        test_loss=None,
        test_images=0,
        latency=None,
        peak_bytes=None,
        train_seconds=0.0,
        wall_seconds=0.0,
        student_digest=None,
        teacher_digest=None,
        started_at=started,
        finished_at=started,
        provenance=None,
    )


def recorded_spec(record: TrialRecord) -> TrialSpec | None:
    """The spec in a record; None where it is not the one that the record's ids were made of."""
    try:
        spec = TrialSpec.model_validate_json(record.spec)
    except ValidationError:
        return None
    return spec if (spec.id, spec.config_id) == (record.trial_id, record.config_id) else None


def forget_peak(device: torch.device) -> None:
    """Lets `peak_bytes` begin anew; outside of Linux a process's own peak stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(device: torch.device) -> int:
    """The most memory since `forget_peak`: of torch on a GPU, of the process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def provenance(device: torch.device, fingerprint: str, packed: bool = False) -> Provenance:
    """Where this process's numbers come from."""
    return Provenance(
        harness=harness.__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        numba=version("numba"),
        machine=machine(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
        packed=packed,
        commit=commit(),
        data_fingerprint=fingerprint,
    )


@cache
def machine() -> str:
    """Operating system, architecture, processor and the vector instructions that torch uses on it.

    In a virtual machine the processor's name may hide which it is.
    """
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = named[0].partition(":")[2].strip() if named else processor
    instructions = torch.backends.cpu.get_cpu_capability()
    return " ".join(filter(None, (platform.system(), platform.machine(), processor, f"({instructions})")))


@cache
def commit() -> str | None:
    """The harness's git commit where it runs from a checkout, `+` when its tree has changes."""
    checkout = Path(harness.__file__).parent.parent
    if not (checkout / ".git").exists():
        return None
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
