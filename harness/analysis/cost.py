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
    known = set(trials["purpose"].unique())
    purposes = [purpose for purpose in PURPOSES if purpose in known]
    by = trials.groupby(["purpose", "status"])["train_seconds"]
    number, seconds = (
        of.unstack("status").reindex(index=purposes, columns=STATUSES).fillna(0) for of in (by.size(), by.sum())
    )
    return pd.DataFrame(
        {
            "purpose": pd.Series(purposes, dtype="object"),
            **{status: number[status].to_numpy(dtype=int) for status in STATUSES},
            "train_seconds": seconds.sum(axis=1).to_numpy(dtype=float),
            "lost_seconds": seconds[["diverged", "failed"]].sum(axis=1).to_numpy(dtype=float),
        }
    )


def predicted_and_spent(trials: pd.DataFrame, forecast: pd.DataFrame) -> pd.DataFrame:
    """A row of a pilot's forecast each, with what its trials took.

    `predicted` and `actual` are training seconds of a trial of full length, `trials` how many of them there are, and
    `ratio` actual by predicted; all but `predicted` are missing where no trial has come to its end.
    """
    keys = ["arm", "teacher", "student", "dataset"]
    trials = trials if len(forecast) else trials.head(0)
    told = _by_text(forecast, forecast["is_varied"].astype(bool)).assign(predicted=forecast["trial_seconds"])
    table = told[[*keys, "predicted"]].merge(_spent(trials, keys), on=keys, how="left")
    table = table.assign(**forecast[["teacher", "student"]], trials=table["trials"].fillna(0).astype(int))
    table = table.astype({"seconds": float, "predicted": float})
    table = table.assign(actual=table["seconds"] / table["trials"].where(table["trials"] > 0))
    return table.assign(ratio=table["actual"] / table["predicted"])[[*keys, "predicted", "actual", "ratio", "trials"]]


def _spent(trials: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Per name of a forecast's row, as text: the `trials` of full length and their `seconds`."""
    names = [*keys, "purpose", "varies_student"]
    whole = full_length(trials[[*names, "status", "epochs_done", "epochs", "train_seconds"]])
    table = whole.groupby(names, dropna=False)["train_seconds"].agg(seconds="sum", trials="size").reset_index()
    table = table.assign(arm=table["arm"].where(table["purpose"] != "teacher", "teacher"))
    return (
        _by_text(table, table["varies_student"].astype(bool)).groupby(keys)[["seconds", "trials"]].sum().reset_index()
    )


def _by_text(rows: pd.DataFrame, is_varied: pd.Series) -> pd.DataFrame:
    """Rows whose names are texts to be matched: no teacher is "", and so is a student that a search varies."""
    texts = {
        name: rows[name].astype("object").fillna("").astype(str) for name in ("arm", "teacher", "student", "dataset")
    }
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
    used = trials[["purpose", "seed"]].drop_duplicates()
    by = {str(purpose): sorted(map(int, seeds)) for purpose, seeds in used.groupby("purpose")["seed"]}
    return {purpose: by[purpose] for purpose in PURPOSES if purpose in by}


def training_seconds(trials: pd.DataFrame) -> dict[str, float]:
    """Search config → what training it once takes: the mean over its full-length trials, in seconds."""
    whole = full_length(trials[trials["purpose"] == "search"])
    return {str(config): float(value) for config, value in whole.groupby("config_id")["train_seconds"].mean().items()}
