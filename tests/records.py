"""Made-up records for tests of the telling tower: small, fixed, and written by the real store.

`sample_trials` is a study as a reader would meet it: 3 students × 4 arms, 6 search configs × 2 replicates, one
finalist per cell on 5 fresh seeds, one failed and one diverged trial. Its numbers are invented.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from harness.record import EpochRecord, LookRecord, Provenance, Purpose, TrialRecord
from harness.spec import content_id
from harness.store.parquet import Store
from harness.store.query import Run, read_run, run_of

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
PROVENANCE = Provenance(
    harness="0.1.0",
    python="3.11.7",
    torch="2.14.0",
    numba="0.68.1",
    machine="Linux x86_64",
    device="cpu",
    threads=1,
    packed=False,
    commit="0123456789ab",
    data_fingerprint="f" * 64,
)
STUDY: dict[str, Any] = {
    "name": "sample",
    "id": "00112233445566aa",
    "question": "Does squeezed-knowledge distillation beat plain training and KD at equal student size?",
    "objectives": {"accuracy": "max", "params": "min"},
    "confirm": {"best": 1, "seeds": [100, 101, 102, 103, 104]},
}
SIZES = {"resnet20-w16": 272_474, "resnet8-w2": 1_394, "resnet8-w4": 5_214, "resnet14-w4": 11_502}
_PACE = {"scratch": 3.4, "kd": 4.6, "anc": 4.0, "ksan": 5.4}
_LOSSES = {"scratch": [], "kd": ["kl"], "anc": ["logits", "adversarial"], "ksan": ["logits", "adversarial", "squeezed"]}


def trial(
    *,
    purpose: Purpose = "search",
    arm: str = "ksan",
    student: str = "resnet8-w4",
    teacher: str | None = "resnet20-w16",
    seed: int = 0,
    proposal: int | None = 0,
    validation: float | None = 0.9,
    test: float | None = None,
    config: str = "",
    after: float = 0.0,
    seconds: float = 10.0,
) -> TrialRecord:
    """A completed, full-length trial; `after` is its end in seconds after the study's start."""
    config_id = content_id([config or proposal, arm, student, teacher])
    end = START + timedelta(seconds=after)
    return TrialRecord(
        study="sample",
        purpose=purpose,
        trial_id=content_id([config_id, purpose, seed]),
        config_id=config_id,
        arm=arm,
        method=arm,
        dataset="digits",
        teacher=teacher,
        student=student,
        teacher_id=content_id(teacher) if teacher else None,
        seed=seed,
        proposal=proposal,
        point={"training.learning_rate": "0.1"},
        spec="{}",
        status="completed",
        error_class=None,
        error_message=None,
        traceback_digest=None,
        stopped_because=None,
        attempt=1,
        epochs_done=20,
        epochs=20,
        validation_accuracy=validation,
        validation_loss=None if validation is None else 1 - validation,
        validation_images=400,
        test_accuracy=test,
        test_loss=None if test is None else 1 - test,
        test_images=997 if test is not None else 0,
        params=SIZES.get(student, 1_000),
        macs=SIZES.get(student, 1_000) * 150,
        latency=None,
        peak_bytes=None,
        train_seconds=seconds,
        wall_seconds=seconds * 1.1,
        student_digest=None,
        teacher_digest=None,
        started_at=end - timedelta(seconds=seconds),
        finished_at=end,
        provenance=PROVENANCE,
    )


def confirmations(accuracies: dict[int, float], **kind: Any) -> list[TrialRecord]:
    """One confirmation trial per seed, each with its test accuracy."""
    return [trial(purpose="confirmation", seed=seed, test=value, **kind) for seed, value in accuracies.items()]


def look(at: TrialRecord, when: datetime) -> LookRecord:
    """A reproduction of a confirmed trial, which read the test split again."""
    return LookRecord(
        study=at.study,
        trial_id=at.trial_id,
        config_id=at.config_id,
        seed=at.seed,
        reason="reproduction",
        looked_at=when,
        test_accuracy=at.test_accuracy or 0.0,
        test_images=at.test_images,
        provenance=at.provenance,
    )


def failed(of: TrialRecord, error: str = "RuntimeError", message: str = "out of memory") -> TrialRecord:
    """The trial, had it failed after 7 epochs."""
    return replace(
        _without_values(of),
        status="failed",
        error_class=error,
        error_message=message,
        traceback_digest="ab12cd34ef56",
        epochs_done=7,
    )


def diverged(of: TrialRecord) -> TrialRecord:
    """The trial, had its loss become NaN in epoch 3."""
    return replace(_without_values(of), status="diverged", epochs_done=3)


def stopped(of: TrialRecord, epochs_done: int = 5) -> TrialRecord:
    """The trial, had its search given it up early; it trained in proportion."""
    return replace(
        _without_values(of),
        status="stopped",
        stopped_because=f"at epoch {epochs_done} of {of.epochs} its accuracy was not among the best",
        epochs_done=epochs_done,
        train_seconds=of.train_seconds * epochs_done / of.epochs,
    )


def _without_values(of: TrialRecord) -> TrialRecord:
    return replace(of, validation_accuracy=None, validation_loss=None, test_accuracy=None, test_loss=None)


def epochs_of(of: TrialRecord, rng: random.Random | None = None) -> list[EpochRecord]:
    """A saturating learning curve that ends at the trial's validation accuracy."""
    noise = rng or random.Random(0)
    end = of.validation_accuracy if of.validation_accuracy is not None else 0.5
    rows = []
    for epoch in range(1, of.epochs_done + 1):
        reached = 1 - math.exp(-_PACE.get(of.arm, 4.0) * epoch / of.epochs)
        accuracy = min(1.0, max(0.0, 0.1 + (end - 0.1) * reached + noise.gauss(0, 0.004)))
        rows.append(
            EpochRecord(
                trial_id=of.trial_id,
                epoch=epoch,
                epochs=of.epochs,
                accuracy=end if epoch == of.epochs else accuracy,
                loss=2.3 * (1 - reached) + 2 * (1 - end) + abs(noise.gauss(0, 0.02)),
                images=400,
                train_loss=2.5 * (1 - reached) + 0.1,
                losses={
                    name: (i + 1) * (1.05 - reached)
                    for i, name in enumerate(["cross_entropy", *_LOSSES.get(of.arm, [])])
                },
                learning_rate=0.1 * (1 - epoch / of.epochs),
                seconds=of.train_seconds / of.epochs,
            )
        )
    return rows


def frame(trials: Iterable[TrialRecord], tmp: Path, study: dict[str, Any] | None = None) -> pd.DataFrame:
    """The trials as the analysis gets them: through real Parquet and DuckDB."""
    return read_run(write_run(tmp, list(trials), study)).trials


def write_run(folder: Path, trials: Sequence[TrialRecord], study: dict[str, Any] | None = None) -> Path:
    """A run folder with these trials and their epochs."""
    store, rng = Store(folder), random.Random(7)
    store.freeze_study(study or STUDY, "question: a sample\n")
    for one in trials:
        store.write(one, epochs_of(one, rng))
    return folder


def sample_trials() -> list[TrialRecord]:
    """The trials of the sample study (see the head of this file)."""
    rng, clock, found = random.Random(11), 0.0, [_teacher()]
    base = {"resnet8-w2": 0.905, "resnet8-w4": 0.953, "resnet14-w4": 0.972}
    gain = {"scratch": 0.0, "kd": 0.007, "anc": 0.006, "ksan": 0.009}
    for student, floor in base.items():
        for arm, plus in gain.items():
            teacher = None if arm == "scratch" else "resnet20-w16"
            kind: dict[str, Any] = {"arm": arm, "student": student, "teacher": teacher}
            best, best_value = 0, 0.0
            for proposal in range(6):
                level = floor + plus - abs(rng.gauss(0, 0.012)) * (1 if proposal else 4)
                values = [level + rng.gauss(0, 0.005) for _ in range(2)]
                for seed, value in enumerate(values):
                    seconds = rng.uniform(5, 9) * (1 + SIZES[student] / 8_000)
                    clock += seconds
                    found.append(
                        trial(
                            **kind,
                            proposal=proposal,
                            seed=seed,
                            validation=round(value * 400) / 400,
                            after=clock,
                            seconds=seconds,
                        )
                    )
                if sum(values) / 2 > best_value:
                    best, best_value = proposal, sum(values) / 2
            for seed in STUDY["confirm"]["seeds"]:
                seconds = rng.uniform(5, 9) * (1 + SIZES[student] / 8_000)
                clock += seconds
                shared = random.Random(seed).gauss(0, 0.004)
                value = floor + plus + shared + rng.gauss(0, 0.0035)
                found.append(
                    trial(
                        **kind,
                        purpose="confirmation",
                        proposal=best,
                        seed=seed,
                        validation=round((value - 0.002) * 400) / 400,
                        test=round(value * 997) / 997,
                        after=clock,
                        seconds=seconds,
                    )
                )
    found[20] = failed(found[20])
    found[40] = diverged(found[40])
    found[55] = stopped(found[55])
    return found


def _teacher() -> TrialRecord:
    network = trial(
        purpose="teacher", arm="teacher", student="resnet20-w16", teacher=None, proposal=None, validation=0.985
    )
    return replace(network, method="scratch", trial_id=content_id("resnet20-w16"), train_seconds=66.0)


def large_run(configs: int = 125, students: int = 4) -> Run:
    """A study of 5 arms whose settings matter, as it is read: with the defaults 5,101 trials and 10 epochs each.

    Learning rate and the weight of the first loss decide; a twentieth of the configs diverges, a tenth is stopped.
    """
    rng, clock, trials = random.Random(5), 0.0, [_teacher()]
    for size in range(1, students + 1):
        for arm in ("scratch", "kd", "at", "anc", "ksan"):
            kind: dict[str, Any] = {"arm": arm, "student": f"resnet8-w{2 * size}"}
            kind["teacher"] = None if arm == "scratch" else "resnet20-w16"
            best: tuple[float, int] = (0.0, 0)
            for proposal in range(configs):
                rate, weight = 0.03 * (0.5 / 0.03) ** rng.random(), 2 * 50 ** rng.random()
                shape = rng.choice(["cosine", "step"])
                point = {"training.learning_rate": f"{rate}", "training.schedule": f'"{shape}"'}
                if arm != "scratch":
                    point["method.weights.logits"] = f"{weight}"
                level = 0.9 + 0.02 * size - 0.05 * math.log(rate / 0.12) ** 2 * 0.5
                level -= 0.01 * math.log(weight / 20) ** 2 * (arm != "scratch")
                fate = rng.random()
                for seed in range(2):
                    clock += 4.0
                    value = round(min(0.995, max(0.1, level + rng.gauss(0, 0.006))) * 400) / 400
                    one = trial(**kind, proposal=proposal, seed=seed, validation=value, after=clock, seconds=6.0 + size)
                    one = replace(one, point=point, params=1_400 * size**2, macs=210_000 * size**2)
                    one = diverged(one) if fate < 0.05 else stopped(one) if fate < 0.15 and seed else one
                    trials.append(one)
                best = max(best, (level, proposal)) if fate >= 0.15 else best
            for seed in STUDY["confirm"]["seeds"]:
                clock += 4.0
                value = round((best[0] + random.Random(seed).gauss(0, 0.004) + rng.gauss(0, 0.003)) * 997) / 997
                one = trial(
                    **kind,
                    purpose="confirmation",
                    proposal=best[1],
                    seed=seed,
                    validation=value,
                    test=min(1.0, value),
                    after=clock,
                )
                trials.append(replace(one, params=1_400 * size**2, macs=210_000 * size**2))
    epochs = [row for one in trials for row in epochs_of(one, rng) if row.epoch % 2 == 0]
    space: dict[str, Any] = {"training.learning_rate": {"float": [0.03, 0.5], "log": True}}
    space["training.schedule"] = {"choice": ["cosine", "step"]}
    weighted = {**space, "method.weights.logits": {"float": [2, 100], "log": True}}
    arms = [{"method": {"name": name}, "space": weighted} for name in ("kd", "at", "anc", "ksan")]
    declared: dict[str, Any] = {"arms": [{"method": {"name": "scratch"}, "space": space}, *arms]}
    declared["reference"] = {"accuracy": 0.5, "params": 50_000}
    run = run_of(Path("large"), {**STUDY, **declared, "name": "large"}, trials)
    return replace(run, epochs=pd.DataFrame([vars(row) for row in epochs]))
