"""The table of confirmed rows: one per config that was retrained on fresh seeds and read on the test split.

Rows are ranked by mean test accuracy among comparable rows (one data set, fingerprint and schedule).
**Rows that share a rank cannot be told apart**: going down from the best mean, a row shares the rank above
it unless its difference to a row of that rank is significant (two-sided t at .05, paired over common seeds
where there are two, else Welch's) and above the noise floor; the first row that is told apart opens the next
rank, whose number counts the rows above it (1, 1, 3, …). The noise floor is one standard error of a difference
of two means, from the seed sd pooled over all rows of a student: of five seeds the sd is sometimes tiny by
chance, and a test alone would then tell apart what differs by nothing. These tests are not corrected for their
number, and a row with one seed can be told apart from nothing. Sharing a rank is no proof of being equal.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pandas as pd

from harness.analysis.cells import CELL, COMPARABLE, full_length, groups, microseconds, with_fingerprint
from harness.analysis.noise import pooled_sd
from harness.analysis.statistics import bootstrap_interval, difference, estimate

ALPHA = 0.05
_COLUMNS = [
    *("rank", "study", *CELL, "method", "accuracy", "sd", "low", "high", "n", "seeds", "lost"),
    *("boot_low", "boot_high", "looks"),
    *("params", "macs", "latency", "train_seconds", "validation", "validation_n", "confirmed_validation"),
    *("config_id", "trial_id", "command", "accuracies", "evidence", *COMPARABLE[1:]),
]


def confirmed_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per config with a confirmed test accuracy, best first within each comparable group.

    accuracy, sd, low, high   over the `n` seeds, fractions; the interval is 95 %, missing for one seed
    boot_low, boot_high       the same interval by a percentile bootstrap over the seeds
    looks                     the most often that one of its trials read the test split; more than 1 is a second look
    lost                      confirmation trials that ended without a test accuracy
    latency                   as of `microseconds`
    train_seconds             mean of one confirmation trial
    validation, validation_n  mean over the search's replicates, and how many
    confirmed_validation      mean on validation over the confirmation's fresh seeds
    trial_id, command         the trial with the smallest seed, and what a shell needs to repeat it
    accuracies                seed → test accuracy
    """
    stamped = with_fingerprint(trials)
    confirmations = stamped[stamped["purpose"] == "confirmation"]
    is_finalist = stamped["config_id"].isin(confirmations["config_id"].unique())
    searched = full_length(stamped[is_finalist & (stamped["purpose"] == "search")])
    own = ["study", "config_id", *COMPARABLE[1:]]
    found = {tuple(key.values()): members for key, members in groups(searched, own)}
    rows = [
        _row(members, found.get(tuple(key[name] for name in own), searched.head(0)))
        for key, members in groups(confirmations, ["study", *CELL, "config_id", *COMPARABLE[1:]])
        if len(_read_on_test(members))
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS).astype(
        dict.fromkeys(["sd", "low", "high", "boot_low", "boot_high", "latency"], float)
    )
    table = table.sort_values([*COMPARABLE, "accuracy", "config_id"], ascending=[True] * 3 + [False, True])
    table["rank"] = [rank for _, members in groups(table, COMPARABLE) for rank in ranks(members)]
    return table.reset_index(drop=True)


def _read_on_test(confirmations: pd.DataFrame) -> pd.DataFrame:
    done = full_length(confirmations)
    return done[done["test_accuracy"].notna()].sort_values("seed")


def _row(members: pd.DataFrame, searched: pd.DataFrame) -> dict[str, object]:
    read = _read_on_test(members)
    first = read.iloc[0]
    accuracies = {int(seed): float(value) for seed, value in zip(read["seed"], read["test_accuracy"], strict=True)}
    of = estimate(list(accuracies.values()))
    resampled = bootstrap_interval(list(accuracies.values()))
    return {
        **{name: first[name] for name in ["study", *CELL, "method", "config_id", "trial_id"]},
        **{name: first[name] for name in COMPARABLE[1:]},
        "rank": 0,
        "accuracy": of.mean,
        "sd": of.sd,
        "low": of.low,
        "high": of.high,
        "n": of.n,
        "boot_low": resampled[0] if resampled else None,
        "boot_high": resampled[1] if resampled else None,
        "looks": int(read["looks"].max()),
        "seeds": list(accuracies),
        "lost": len(members) - len(read),
        "params": int(first["params"]),
        "macs": int(first["macs"]),
        "latency": microseconds(read),
        "train_seconds": float(read["train_seconds"].mean()),
        "validation": float(searched["validation_accuracy"].mean()),
        "validation_n": int(searched["validation_accuracy"].notna().sum()),
        "confirmed_validation": float(read["validation_accuracy"].mean()),
        "command": reproduce(first["trial_id"]),
        "accuracies": accuracies,
        "evidence": "test",
    }


def reproduce(trial_id: str, runs: Path | None = None) -> str:
    """The shell command that repeats a trial; quoted, for the id comes from somebody's file.

    `runs` is the folder in which its run lies, where that is not one in which the command looks by itself.
    """
    place = "" if runs in (None, Path("runs"), Path("reports")) else f" --runs {shlex.quote(str(runs))}"
    return f"harness reproduce {shlex.quote(trial_id)}{place}"


def ranks(rows: pd.DataFrame) -> list[int]:
    """The shared ranks of comparable rows that stand best mean first (see the head of this file)."""
    samples = [cast(Mapping[int, float], sample) for sample in rows["accuracies"]]
    errors = standard_errors(rows)
    found: list[int] = []
    for place, (sample, error) in enumerate(zip(samples, errors, strict=True)):
        rank = found[-1] if found else 1
        sharing = zip(samples[rank - 1 : place], errors[rank - 1 : place], strict=True)
        is_apart = any(are_told_apart(sample, other, math.hypot(error, its)) for other, its in sharing)
        found.append(place + 1 if is_apart else rank)
    return found


def standard_errors(rows: pd.DataFrame) -> list[float]:
    """Of each row's mean, from the seed sd pooled over its student's rows; 0 where no row of it has two seeds."""
    pooled = {}
    for student, members in rows[rows["n"] > 1].groupby("student"):
        pooled[student] = pooled_sd(members["sd"], members["n"])[0]
    return [pooled.get(student, 0.0) / math.sqrt(n) for student, n in zip(rows["student"], rows["n"], strict=True)]


def are_told_apart(ours: Mapping[int, float], theirs: Mapping[int, float], floor: float = 0.0) -> bool:
    """Whether two samples of seed → accuracy differ significantly at .05, uncorrected, and by more than the floor."""
    found = difference(ours, theirs)
    return found.p is not None and found.p < ALPHA and abs(found.mean) > floor


def teachers(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per teacher: its accuracy is on validation, for a teacher is never read on the test split."""
    found = trials[trials["purpose"] == "teacher"]
    table = found[["dataset", "student", "validation_accuracy", "validation_images", "params", "macs"]].assign(
        status=found["status"], seed=found["seed"], train_seconds=found["train_seconds"], trial_id=found["trial_id"]
    )
    table = table.rename(columns={"student": "teacher", "validation_accuracy": "validation"})
    return table.sort_values(["dataset", "teacher", "trial_id"], ignore_index=True)
