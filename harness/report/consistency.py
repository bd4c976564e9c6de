"""What a published study's records must agree on, whoever sealed them: what changed in one place shows in another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.record import EpochRecord, TrialRecord
from harness.report.completeness import completeness_faults
from harness.source import SpecError, read_yaml
from harness.spec import leaves
from harness.store.weights import weights_digest

_OF_A_RUN = ("name", "id", "device")
"""What study.json has, and a study that is asked for has not."""
_PLACES = {"path", "folder"}
"""Fields that say where files lie on one machine: loading a study settles them."""


def trial_faults(folder: Path, attempts: Sequence[TrialRecord], epochs: Sequence[EpochRecord]) -> Iterator[str]:
    """What is wrong with the trials themselves."""
    yield from _twice(attempts, epochs)
    last: dict[str, TrialRecord] = {}
    for trial in sorted(attempts, key=lambda one: one.attempt):
        last[trial.trial_id] = trial
    final = {epoch.trial_id: epoch for epoch in epochs if epoch.epoch == epoch.epochs}
    for trial in attempts:
        yield from _uncounted(trial)
        yield from _misspoken(trial)
    for trial in last.values():
        epoch = final.get(trial.trial_id)
        if epoch and trial.validation_accuracy is not None and epoch.accuracy not in (None, trial.validation_accuracy):
            yield (
                f"trial {trial.trial_id} says {trial.validation_accuracy} on validation, "
                f"and its last epoch {epoch.accuracy}"
            )
    yield from _same_weights(list(last.values()))
    yield from _other_teachers(last)
    yield from _students(folder, last)


def _twice(attempts: Sequence[TrialRecord], epochs: Sequence[EpochRecord]) -> Iterator[str]:
    for (id, attempt), n in Counter((trial.trial_id, trial.attempt) for trial in attempts).items():
        if n > 1:
            yield f"trial {id} stands {n} times as its attempt {attempt}"
    seeds = Counter((one.config_id, one.seed) for one in _last(attempts) if one.purpose == "confirmation")
    yield from (f"row {config} has seed {seed} {n} times" for (config, seed), n in seeds.items() if n > 1)
    for (id, epoch), n in Counter((one.trial_id, one.epoch) for one in epochs).items():
        if n > 1:
            yield f"epoch {epoch} of trial {id} stands {n} times"


def _last(attempts: Sequence[TrialRecord]) -> list[TrialRecord]:
    return list({trial.trial_id: trial for trial in sorted(attempts, key=lambda one: one.attempt)}.values())


def _uncounted(trial: TrialRecord) -> Iterator[str]:
    """An accuracy is a share of so many images: most made-up numbers are none."""
    for split in ("validation", "test"):
        accuracy, images = getattr(trial, f"{split}_accuracy"), getattr(trial, f"{split}_images")
        if accuracy is not None and (images < 1 or abs(accuracy * images - round(accuracy * images)) > 1e-6):
            yield f"trial {trial.trial_id}: a {split} accuracy of {accuracy} is no count of {images} images"


def _misspoken(trial: TrialRecord) -> Iterator[str]:
    """What a record says beside its spec, and the spec says otherwise."""
    spec: Mapping[str, Any] = json.loads(trial.spec)
    said: dict[str, tuple[object, object]] = {
        "arm": (trial.arm, spec.get("arm") or trial.arm),
        "purpose": (trial.purpose, spec.get("purpose", trial.purpose)),
        "method": (trial.method, _at(spec, "method", "name", trial.method)),
        "data set": (trial.dataset, _at(spec, "data", "name", trial.dataset)),
        "seed": (trial.seed, _at(spec, "seeds", "student", trial.seed)),
        "epochs": (trial.epochs, _at(spec, "training", "epochs", trial.epochs) if trial.epochs else 0),
    }
    for name, (ours, theirs) in said.items():
        if ours != theirs:
            yield f"trial {trial.trial_id} says {name} {ours}, and its spec says {theirs}"


def _at(spec: Mapping[str, Any], part: str, field: str, otherwise: object) -> object:
    content = spec.get(part)
    return content.get(field, otherwise) if isinstance(content, Mapping) else otherwise


def _same_weights(trials: Sequence[TrialRecord]) -> Iterator[str]:
    """Two seeds of a config that end in the same weights are one seed told twice."""
    seen: dict[tuple[str, str], int] = {}
    for trial in trials:
        if trial.student_digest is None or trial.purpose != "confirmation":
            continue
        other = seen.setdefault((trial.config_id, trial.student_digest), trial.seed)
        if other != trial.seed:
            yield f"row {trial.config_id}: seeds {other} and {trial.seed} have the same weights"


def _other_teachers(trials: Mapping[str, TrialRecord]) -> Iterator[str]:
    """A student's record says which weights taught it, and the teacher's own which it has."""
    for trial in trials.values():
        teacher = trials.get(trial.teacher_id or "")
        if teacher and trial.teacher_digest not in (None, teacher.student_digest):
            yield (
                f"trial {trial.trial_id} says that its teacher has the weights {str(trial.teacher_digest)[:8]}, "
                f"and trial {teacher.trial_id}, its teacher, {str(teacher.student_digest)[:8]}"
            )


def _students(folder: Path, trials: Mapping[str, TrialRecord]) -> Iterator[str]:
    for path in sorted((folder / "students").glob("*")):
        trial = trials.get(path.stem)
        if trial is None or trial.purpose != "confirmation":
            yield f"students/{path.name} is the student of no confirmation here"
            continue
        try:
            digest = weights_digest(path)
        except ValueError as error:
            yield f"students/{path.name} cannot be read: {error}"
            continue
        if digest != trial.student_digest:
            yield (
                f"students/{path.name} holds other weights than trial {trial.trial_id} "
                f"({trial.arm} on {trial.student}, seed {trial.seed}) recorded"
            )


def repeatable(frozen: Mapping[str, Any]) -> str:
    """The resolved study as YAML that `harness search` takes, its search spaces within: it needs no other file."""
    content = {key: value for key, value in frozen.items() if key not in _OF_A_RUN}
    head = "# The whole study as it was run, defaults and search spaces within, made of study.json.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def study_faults(folder: Path, name: str, attempts: Sequence[TrialRecord]) -> Iterator[str]:
    """What is wrong between the study as it was asked and what was run."""
    try:
        frozen = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        asked = read_yaml(folder / "study.yaml").content
    except (OSError, ValueError, SpecError) as error:
        yield f"the study cannot be read: {error}"
        return
    if frozen.get("name") != name:
        yield f"it is the study {frozen.get('name')} (study.json), and lies in the folder of {name}"
    others = sorted({trial.study for trial in attempts} - {name})
    yield from (f"its records are of the study {other}" for other in others)
    yield from _edited(asked, frozen)
    yield from _cut_short(asked, frozen)
    yield from completeness_faults(frozen, _last(attempts))


def _edited(asked: Mapping[str, Any], frozen: Mapping[str, Any]) -> Iterator[str]:
    """Where the study as written and the study as resolved say different things of one field."""
    resolved = dict(leaves(frozen))
    for path, value in leaves(asked):
        if path in resolved and path.rpartition(".")[2] not in _PLACES and resolved[path] != value:
            yield f"{path} is {value!r}, and the study was run with {resolved[path]!r} (study.json)"


def _cut_short(asked: Mapping[str, Any], frozen: Mapping[str, Any]) -> Iterator[str]:
    """What the study as written has more of than the study as resolved."""
    yield from (f"{name} is not in study.json" for name in asked if name not in frozen)
    for name in ("pairs", "arms"):
        ours, theirs = (len(of.get(name, ())) for of in (asked, frozen))
        if ours != theirs:
            yield f"{name} are {ours}, and the study was run with {theirs} (study.json)"
    seeds = [(of.get("confirm") or {}).get("seeds") for of in (asked, frozen)]
    if seeds[0] is not None and seeds[0] != seeds[1]:
        yield f"confirm.seeds is {seeds[0]!r}, and the study was run with {seeds[1]!r} (study.json)"
