"""What a published row claims, and whether what was found again bears it out.

A claim is a confirmed row with all that somebody needs to doubt it: how much tuning stands behind it, how often the
test split was looked at, which weights it speaks of, and on what they were made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from harness.analysis.cells import CELL, with_fingerprint
from harness.analysis.comparability import lane_ids
from harness.analysis.confirmed import confirmed_rows
from harness.analysis.statistics import CONFIDENCE, t_quantile

POINT = 0.01
"""A claim that is off by so much is not to be let through."""
REFUSAL = 0.99
"""A refusal must be wrong rarely: it stands on the page of all studies."""
MOST = 100
"""Seeds that nobody is asked to train."""
ELSEWHERE = 1000
"""Of so many images another kind of device may round the class of one to another; of fewer, of one too."""
_SURROUNDINGS = ["harness", "python", "torch", "numba", "machine", "device", "threads", "commit"]


def claims(trials: pd.DataFrame) -> pd.DataFrame:
    """The confirmed rows of every attempt's trials (see `confirmed_rows`), with what else they claim.

    tuning_trials, tuning_seconds   trials of its arm's search for this student, and their training time
    weights         seed → SHA-256 of the student's weights
    teacher_digest  of its teacher's weights, "" for none
    versions        harness, python, torch, numba, machine, device, threads and commit of its confirmation
    lanes           where it is ranked (see `comparability`)
    """
    stamped = with_fingerprint(trials)
    last = stamped.sort_values("attempt", kind="stable").drop_duplicates(["study", "trial_id"], keep="last")
    rows = confirmed_rows(last.sort_values(["finished_at", "trial_id"], kind="stable"))
    searched = stamped[stamped["purpose"] == "search"]
    added = [_added(row, _of_row(stamped, row), searched) for _, row in rows.iterrows()]
    columns = ["tuning_trials", "tuning_seconds", "weights", "teacher_digest", "test_images", "versions"]
    table = pd.concat([rows, pd.DataFrame(added, columns=columns, index=rows.index)], axis=1)
    return table.assign(lanes=lane_ids(table))


def _of_row(stamped: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    same = (stamped[["study", "config_id", "data_fingerprint"]] == row[["study", "config_id", "data_fingerprint"]]).all(
        axis=1
    )
    read = stamped[same & (stamped["purpose"] == "confirmation") & stamped["test_accuracy"].notna()]
    return read.sort_values(["seed", "attempt"])


def _added(row: pd.Series, read: pd.DataFrame, searched: pd.DataFrame) -> dict[str, object]:
    cell = searched[(searched["study"] == row["study"]) & (searched["data_fingerprint"] == row["data_fingerprint"])]
    for name in CELL:
        cell = cell[cell[name].isna() if pd.isna(row[name]) else cell[name] == row[name]]
    latest = read.drop_duplicates("seed", keep="last")
    known = latest[latest["student_digest"].notna()]
    digests = sorted(set(latest["teacher_digest"].dropna()))
    return {
        "tuning_trials": len(cell),
        "tuning_seconds": float(cell["train_seconds"].sum()),
        "weights": dict(zip(map(int, known["seed"]), known["student_digest"], strict=True)),
        "teacher_digest": "+".join(digests),
        "test_images": int(latest["test_images"].iloc[0]),
        "versions": _versions(latest),
    }


def _versions(trials: pd.DataFrame) -> dict[str, str]:
    known = [origin for origin in trials["provenance"] if isinstance(origin, Mapping)]
    told = {name: sorted({str(origin[name]) for origin in known if origin[name] is not None}) for name in _SURROUNDINGS}
    return {name: ", ".join(values) for name, values in told.items()}


@dataclass(frozen=True)
class Repeated:
    """One seed of a row, as claimed and as found again."""

    seed: int
    claimed: float
    again: float
    same_weights: bool
    """Whether the weights are the recorded ones, bit for bit."""
    same_place: bool
    """Whether versions, processor and threads are those of the record, so that it must repeat to the last bit."""


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds, how far what was found is from it (a fraction), and why, in a few words."""

    holds: bool | None
    """None where what was found decides nothing."""
    drift: float
    said: str


def rescored(repeated: Sequence[Repeated], images: int) -> Finding:
    """Level 1: the stored students score what their row claims.

    Exactly on the same kind of device; elsewhere all but one image in a thousand, for which rounding can decide.
    """
    drift = max((one.again - one.claimed for one in repeated), key=abs)
    strange = [one.seed for one in repeated if not one.same_weights]
    if strange:
        return Finding(False, drift, f"the student of seed {strange[0]} is not the one that was recorded")
    off = [
        one
        for one in repeated
        if abs(round(one.again * images) - round(one.claimed * images))
        > (0 if one.same_place else max(1, images // ELSEWHERE))
    ]
    if off:
        said = f"seed {off[0].seed}: {off[0].claimed:.4f} is claimed and {off[0].again:.4f} is what its student scores"
        return Finding(False, drift, said)
    exact = all(one.again == one.claimed for one in repeated)
    return Finding(True, drift, "scores again exactly" if exact else "within rounding on another device")


def retrained(repeated: Sequence[Repeated], claimed: Sequence[float]) -> Finding:
    """Level 2: seeds that were trained again bear out, or not, what all `claimed` accuracies say.

    The same weights must have the same accuracy, and the same place must give the same weights. Elsewhere another
    rounding is another draw, and the difference of the two means has an interval (Student's t, pooled over both):

        refused     where 0 lies outside its 99 % interval: of a hundred honest rows that happens to one
        holds       where its 95 % interval lies within a point on both sides, so that a claim off by more is excluded
        undecided   otherwise; more seeds may tell
    """
    drift = fmean(one.again for one in repeated) - fmean(one.claimed for one in repeated)
    for one in repeated:
        if one.again != one.claimed and (one.same_weights or one.same_place):
            where = "the same weights have" if one.same_weights else "the same machine and versions give"
            return Finding(False, drift, f"seed {one.seed}: {one.claimed:.4f} is claimed and {where} {one.again:.4f}")
    if all(one.same_weights for one in repeated):
        return Finding(True, drift, "the same weights, bit for bit")
    again = [one.again for one in repeated]
    off, sd, n, k = fmean(again) - fmean(claimed), _pooled(claimed, again), len(claimed), len(again)
    if sd is None:
        return Finding(None, drift, "one seed on each side has no spread to judge by; give more --seeds")
    half = _half(sd, n, k, CONFIDENCE)
    said = f"means differ by {100 * off:+.2f} ± {100 * half:.2f} points"
    if abs(off) > _half(sd, n, k, REFUSAL):
        return Finding(False, drift, said)
    if abs(off) + half < POINT:
        return Finding(True, drift, said)
    enough = next((more for more in range(k + 1, MOST + 1) if abs(off) + _half(sd, n, more, CONFIDENCE) < POINT), None)
    remedy = f"--seeds {enough} may tell" if enough else f"{n} claimed seeds that spread so do not know it to a point"
    return Finding(None, drift, f"{said}, which decides nothing; {remedy}")


def _pooled(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The sd within two samples, as a fraction; None where neither has two values."""
    freedom = len(ours) + len(theirs) - 2
    if freedom < 1:
        return None
    squares = sum((value - fmean(of)) ** 2 for of in (ours, theirs) for value in of)
    return math.sqrt(squares / freedom)


def _half(sd: float, n: int, k: int, confidence: float) -> float:
    """Half of the interval of a difference of means of n and k values."""
    return t_quantile(n + k - 2, confidence) * sd * math.sqrt(1 / n + 1 / k)
