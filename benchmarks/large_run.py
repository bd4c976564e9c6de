"""A made-up run of any number of trials × 20 epochs, as a published study's folder, made column by column.

Its study is `digits_resnet` as it ships, asked for more; its specs, ids, points and losses have the sizes of real ones,
and accuracies follow each field of the space a little. Trials lie by id, which is a hash, as `store.published` writes
them; so any row group is a random sample of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from harness.record import EpochRecord, TrialRecord
from harness.store.parquet import STAMPED, arrow_schema
from harness.store.published import EPOCHS, TRIALS, WRITTEN
from harness.study.domains import Choice, FloatRange
from harness.study.study import Arm, StudySpec, base_trial, load_study
from harness.train.account import provenance
from harness.train.cost import size

LENGTH = 20
REPLICATES = 2
FINALISTS = 4
SEEDS = 5
_BLOCK = 20_000
_LEVEL = (0.90, 0.95, 0.97)
_GAIN = {"scratch": 0.0, "kd": 0.007, "anc": 0.006, "ksan": 0.009}


@dataclass(frozen=True)
class Kind:
    """All trials of one arm and student."""

    arm: Arm
    student: str
    params: int
    macs: int
    level: float
    pieces: tuple[str, str, str]
    """Of the spec's JSON, what stands around the learning rate and the seed."""


def write_large_run(folder: Path, trials: int, seed: int = 0) -> None:
    """Writes the run's two Parquet files and its study."""
    folder.mkdir(parents=True)
    study = load_study("digits_resnet")
    rng = np.random.default_rng(seed)
    kinds = list(_kinds(study.spec))
    _write_study(folder, study.resolved, trials // len(kinds) // REPLICATES)
    confirmed = len(kinds) * FINALISTS * SEEDS
    configs = (trials - confirmed) // REPLICATES
    ids = np.sort(rng.integers(0, 2**63, configs * REPLICATES + confirmed, dtype=np.int64))
    owners = _owners(rng, configs, len(kinds))
    with (
        pq.ParquetWriter(folder / TRIALS, arrow_schema(TrialRecord).with_metadata(STAMPED), **_options()) as to_trials,
        pq.ParquetWriter(folder / EPOCHS, arrow_schema(EpochRecord).with_metadata(STAMPED), **_options()) as to_epochs,
    ):
        for start in range(0, len(ids), _BLOCK):
            own = slice(start, start + _BLOCK)
            rows = _rows(ids[own], {name: values[own] for name, values in owners.items()}, kinds, rng)
            to_trials.write_table(rows.cast(to_trials.schema), row_group_size=WRITTEN["row_group_size"])
            to_epochs.write_table(_epochs(rows, rng).cast(to_epochs.schema), row_group_size=WRITTEN["row_group_size"])


def _options() -> dict[str, Any]:
    return {**{name: value for name, value in WRITTEN.items() if name != "row_group_size"}, "compression_level": 1}


def _kinds(spec: StudySpec) -> Iterator[Kind]:
    (pair,) = spec.pairs
    for student, level in zip(pair.students, _LEVEL, strict=True):
        measured = size(student, spec.data.shape, spec.data.classes)
        for arm in spec.arms:
            base = base_trial(spec, pair, student, arm).at("training.learning_rate", 0.123).model_dump_json()
            head, _, rest = base.rpartition('"learning_rate":0.123')
            middle, _, tail = rest.partition('"data":10000')
            pieces = (f'{head}"learning_rate":', f'{middle}"data":', tail)
            yield Kind(arm, student.label, measured.params, measured.macs, level + _GAIN[arm.name], pieces)


def _write_study(folder: Path, resolved: dict[str, Any], configs: int) -> None:
    search = {**resolved["search"], "trials": configs, "replicates": REPLICATES}
    confirm = {"best": FINALISTS, "seeds": list(range(SEEDS))}
    content = {**resolved, "name": "large", "search": search, "confirm": confirm}
    (folder / "study.json").write_text(json.dumps(content), encoding="utf-8")


def _owners(rng: np.random.Generator, configs: int, kinds: int) -> dict[str, npt.NDArray[np.int64]]:
    """Per trial its config, kind, purpose (1: confirmation) and seed, mixed; the first configs are finalists."""
    config = np.repeat(np.arange(configs), REPLICATES)
    finalists = np.repeat(np.arange(kinds * FINALISTS), SEEDS)
    columns = {
        "config": np.concatenate([config, finalists]),
        "purpose": np.concatenate([np.zeros(len(config), int), np.ones(len(finalists), int)]),
        "seed": np.concatenate(
            [10_000 + np.tile(np.arange(REPLICATES), configs), np.tile(np.arange(SEEDS), kinds * FINALISTS)]
        ),
    }
    order = rng.permutation(len(columns["config"]))
    mixed = {name: values[order] for name, values in columns.items()}
    return {**mixed, "kind": mixed["config"] % kinds}


def _rows(
    ids: npt.NDArray[np.int64], of: dict[str, npt.NDArray[np.int64]], kinds: list[Kind], rng: np.random.Generator
) -> pa.Table:
    """The TrialRecords of some trials."""
    n = len(ids)
    own = np.random.default_rng(1).random((_BLOCK, 12))  # a config's place in each field, the same for all its seeds
    place = own[(of["config"] * 7919) % _BLOCK]
    is_test = of["purpose"] == 1
    status = np.where(is_test, 0, rng.choice(4, n, p=[0.945, 0.05, 0.003, 0.002]))
    done = np.where(status == 0, LENGTH, np.where(status == 1, 7, 3))
    level = np.array([kind.level for kind in kinds])[of["kind"]] - 0.05 * (place[:, 0] - 0.6) ** 2
    validation = np.round(np.clip(level + rng.normal(0, 0.005, n), 0, 1) * 400) / 400
    test = np.round(np.clip(level + rng.normal(0, 0.004, n), 0, 1) * 997) / 997
    seconds = rng.uniform(5, 9, n) * done / LENGTH
    ended = np.datetime64("2026-01-05T08:00:00", "us") + (rng.random(n) * 4e12).astype("timedelta64[us]")
    rate = np.exp(np.log(0.03) + place[:, 0] * np.log(0.5 / 0.03)).round(6)
    by_kind = {name: np.array([getattr(kind, name) for kind in kinds]) for name in ("student", "params", "macs")}
    arms = np.array([kind.arm.name for kind in kinds])[of["kind"]]
    with_teacher = arms != "scratch"
    missing = pa.nulls(n, pa.string())
    texts = {
        "study": "large",
        "dataset": "digits",
    }
    columns: dict[str, Any] = {
        **{name: pa.array([text] * n) for name, text in texts.items()},
        "purpose": np.where(is_test, "confirmation", "search"),
        "trial_id": _hex(ids),
        "config_id": _hex(of["config"] * 6_364_136_223_846_793 + 1_442_695),
        "arm": arms,
        "method": arms,
        "teacher": pa.array(np.full(n, "resnet20-w16"), mask=~with_teacher),
        "student": by_kind["student"][of["kind"]],
        "teacher_id": pa.array(np.full(n, "00aa11bb22cc33dd"), mask=~with_teacher),
        "seed": of["seed"],
        "proposal": of["config"] // len(kinds),
        "point": _points(place, of["kind"], kinds, rate),
        "spec": _specs(of, kinds, rate),
        "status": np.array(["completed", "stopped", "diverged", "failed"])[status],
        "error_class": pa.array(np.full(n, "RuntimeError"), mask=status != 3),
        "error_message": pa.array(np.full(n, "out of memory"), mask=status != 3),
        "traceback_digest": pa.array(np.full(n, "ab12cd34ef56"), mask=status != 3),
        "stopped_because": pa.array(np.full(n, "at epoch 7 of 20 it was not among the best"), mask=status != 1),
        "attempt": np.ones(n, int),
        "epochs_done": done,
        "epochs": np.full(n, LENGTH),
        "validation_accuracy": pa.array(validation, mask=status != 0),
        "validation_loss": pa.array(1 - validation, mask=status != 0),
        "validation_images": np.full(n, 400),
        "test_accuracy": pa.array(test, mask=~is_test),
        "test_loss": pa.array(1 - test, mask=~is_test),
        "test_images": np.where(is_test, 997, 0),
        "params": by_kind["params"][of["kind"]],
        "macs": by_kind["macs"][of["kind"]],
        "latency": pa.nulls(n, pa.float64()),
        "peak_bytes": np.full(n, 300_000_000),
        "train_seconds": seconds,
        "wall_seconds": 1.1 * seconds,
        "student_digest": missing,
        "teacher_digest": missing,
        "started_at": pa.array(ended - (seconds * 1.1e6).astype("timedelta64[us]"), pa.timestamp("us", "UTC")),
        "finished_at": pa.array(ended, pa.timestamp("us", "UTC")),
        "provenance": _provenance(n),
    }
    return pa.table({name: columns[name] for name in arrow_schema(TrialRecord).names})


def _hex(numbers: npt.NDArray[np.int64]) -> pa.Array:
    """Numbers as 16 hexadecimal digits each."""
    text = numbers.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(0, len(text) + 1, 16, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _specs(of: dict[str, npt.NDArray[np.int64]], kinds: list[Kind], rate: npt.NDArray[np.float64]) -> pa.Array:
    head, middle, tail = (pa.array([kind.pieces[part] for kind in kinds]).take(of["kind"]) for part in range(3))
    numbers = (pa.array(values).cast(pa.string()) for values in (rate, of["seed"]))
    return pc.binary_join_element_wise(head, next(numbers), middle, next(numbers), tail, "")


def _points(
    place: npt.NDArray[np.float64], kind: npt.NDArray[np.int64], kinds: list[Kind], rate: npt.NDArray[np.float64]
) -> pa.Array:
    """What the search chose, field by field of each arm's space."""
    keys, values, order, counts = [], [], [], np.zeros(len(kind), int)
    for index, one in enumerate(kinds):
        own = np.flatnonzero(kind == index)
        for at, (path, domain) in enumerate(one.arm.space.items()):
            share = place[own, at]
            if isinstance(domain, FloatRange):
                low, high = domain.bounds
                scaled = low + share * (high - low) if not domain.log else low * (high / low) ** share
                texts = pa.array(rate[own] if path == "training.learning_rate" else scaled.round(6)).cast(pa.string())
            else:
                assert isinstance(domain, Choice)
                known = pa.array([json.dumps(value) for value in domain.choice])
                texts = known.take((share * len(known)).astype(int))
            keys.append(pa.array([path] * len(own)))
            values.append(texts)
            order.append(own)
        counts[own] = len(one.arm.space)
    by_trial = np.argsort(np.concatenate(order), kind="stable")
    offsets = np.concatenate([[0], np.cumsum(counts)])
    both = (pa.concat_arrays(part).take(by_trial) for part in (keys, values))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), *both)


def _provenance(n: int) -> pa.Array:
    here = asdict(provenance(torch.device("cpu"), "f" * 64, packed=True))
    return pa.array([here], arrow_schema(TrialRecord).field("provenance").type).take(np.zeros(n, int))


def _epochs(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The EpochRecords of some trials: saturating curves that end at their accuracy."""
    done = rows["epochs_done"].to_numpy()
    trial = np.repeat(np.arange(len(rows)), done)
    n = len(trial)
    epoch = np.arange(n) - np.repeat(np.cumsum(done) - done, done) + 1
    end = np.nan_to_num(rows["validation_accuracy"].to_numpy(zero_copy_only=False), nan=0.5)[trial]
    reached = 1 - np.exp(-4.5 * epoch / LENGTH)
    names = ["cross_entropy", "logits", "adversarial", "squeezed"]
    losses = np.array([1.05 - reached, 2 - reached, 3 - reached, 4 - reached]).T.ravel()
    return pa.table(
        {
            "trial_id": rows["trial_id"].combine_chunks().take(trial),
            "epoch": epoch,
            "epochs": np.full(n, LENGTH),
            "accuracy": np.clip(0.1 + (end - 0.1) * reached + rng.normal(0, 0.004, n), 0, 1),
            "loss": 2.3 * (1 - reached) + 2 * (1 - end),
            "images": np.full(n, 400),
            "train_loss": 2.5 * (1 - reached) + 0.1,
            "losses": pa.MapArray.from_arrays(
                pa.array(np.arange(0, 4 * n + 1, 4), pa.int32()),
                pa.array(names).take(np.tile(np.arange(4), n)),
                pa.array(losses),
            ),
            "learning_rate": 0.1 * (1 - epoch / LENGTH),
            "seconds": np.full(n, 0.3),
        }
    )
