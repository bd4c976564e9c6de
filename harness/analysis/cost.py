"""What the study cost, what of it was lost, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from harness.analysis.cells import CELL, full_length
from harness.store.shared import Shared

STATUSES = ["completed", "stopped", "diverged", "failed"]
PURPOSES = ["teacher", "search", "confirmation"]


def cost_summary(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per purpose that occurs: trials by how they ended, train seconds, and seconds lost.

    `stopped` trials were given up by their search. `lost_seconds` is what failed and diverged trials trained.
    """
    rows = []
    for purpose in PURPOSES:
        of = trials["purpose"] == purpose
        if of.any():
            lost = of & trials["status"].isin(["diverged", "failed"])
            rows.append(
                {
                    "purpose": purpose,
                    **{status: int((trials.loc[of, "status"] == status).sum()) for status in STATUSES},
                    "train_seconds": float(trials.loc[of, "train_seconds"].sum()),
                    "lost_seconds": float(trials.loc[lost, "train_seconds"].sum()),
                }
            )
    return pd.DataFrame(rows, columns=["purpose", *STATUSES, "train_seconds", "lost_seconds"])


def predicted_and_spent(trials: pd.DataFrame, forecast: pd.DataFrame) -> pd.DataFrame:
    """A row of a pilot's forecast each, with what its trials took.

    `predicted` and `actual` are training seconds of a trial of full length, `trials` how many of them there are, and
    `ratio` actual by predicted; all but `predicted` are missing where no trial has come to its end.
    """
    keys = ["arm", "teacher", "student", "dataset"]
    whole = full_length(trials)
    arm = whole["arm"].where(whole["purpose"] != "teacher", "teacher")
    spent = _by_text(whole.assign(arm=arm), whole["varies_student"].astype(bool))
    spent = spent.groupby(keys)["train_seconds"].agg(actual="mean", trials="size").reset_index()
    told = _by_text(forecast, forecast["is_varied"].astype(bool)).assign(predicted=forecast["trial_seconds"])
    table = told[[*keys, "predicted"]].merge(spent, on=keys, how="left").assign(**forecast[["teacher", "student"]])
    table = table.astype({"actual": float, "predicted": float}).assign(trials=table["trials"].fillna(0).astype(int))
    return table.assign(ratio=table["actual"] / table["predicted"])[[*keys, "predicted", "actual", "ratio", "trials"]]


def _by_text(rows: pd.DataFrame, is_varied: pd.Series) -> pd.DataFrame:
    """Rows whose names are texts to be matched: no teacher is "", and so is a student that a search varies."""
    texts = {name: rows[name].fillna("").astype(str) for name in ("arm", "teacher", "student", "dataset")}
    return rows.assign(**texts).assign(student=texts["student"].mask(is_varied, ""))


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that failed or diverged, with what is known of the reason, the costliest first."""
    lost = trials[trials["status"].isin(["failed", "diverged"])]
    columns = [
        *("status", "purpose", *CELL, "seed", "epochs_done", "epochs", "train_seconds"),
        *("error_class", "error_message", "traceback_digest", "attempt", "trial_id"),
    ]
    return lost.sort_values(["train_seconds", "trial_id"], ascending=[False, True], ignore_index=True)[columns]


def origins(trials: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Provenance field → value → number of trials; more than one value of a field is worth a reader's eye."""
    found: dict[str, dict[str, int]] = {}
    for origin, n in _counted(trials["provenance"]):
        for name, value in origin.items():
            text = "unknown" if value is None else str(value)
            counts = found.setdefault(str(name), {})
            counts[text] = counts.get(text, 0) + n
    return found


def _counted(origins: pd.Series) -> Iterator[tuple[Mapping[str, object], int]]:
    """The origins that differ, with their numbers of trials."""
    known = origins.array
    if isinstance(known, Shared):
        yield from known.counts()
    else:
        yield from ((origin, 1) for origin in known if isinstance(origin, Mapping))


def seeds_by_purpose(trials: pd.DataFrame) -> dict[str, list[int]]:
    """The seeds that each purpose used, ascending."""
    return {
        purpose: sorted({int(seed) for seed in trials.loc[trials["purpose"] == purpose, "seed"]})
        for purpose in PURPOSES
        if (trials["purpose"] == purpose).any()
    }


def training_seconds(trials: pd.DataFrame) -> dict[str, float]:
    """Search config → what training it once takes: the mean over its full-length trials, in seconds."""
    whole = full_length(trials[trials["purpose"] == "search"])
    return {str(config): float(value) for config, value in whole.groupby("config_id")["train_seconds"].mean().items()}
