"""The search space as the study declared it, and where in it each config lay.

    fields(study)      arm → dotted path → its domain, the study's own `space` standing over the arm's
    placed(...)        config × field in long form, with the share of the range at which a number lies

Domains are read from the frozen study's JSON: `{float: [low, high], log}`, `{int: …}`, `{choice: […]}`, `{subset: …}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.analysis.cells import CELL, numbered
from harness.store.shared import Shared

MOST_PLACED = 1_000
"""Configs of one search: importances and dead parts would hardly change with more."""


@dataclass(frozen=True)
class Field:
    """One field that was searched: a range of numbers, or choices where `low` is None."""

    path: str
    low: float | None
    high: float | None
    is_log: bool
    is_whole: bool

    @property
    def is_number(self) -> bool:
        """Whether it has bounds."""
        return self.low is not None

    def share(self, value: object) -> float | None:
        """Where a number lies between the bounds (0 to 1, in the logarithm where that is searched); None outside."""
        if self.low is None or self.high is None or isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        if not self.low <= value <= self.high:
            return None
        low, high, here = (math.log(x) if self.is_log else float(x) for x in (self.low, self.high, value))
        return (here - low) / (high - low)


def fields(study: Mapping[str, object]) -> dict[str, dict[str, Field]]:
    """Arm → path → field, from a frozen study; empty where the study does not say."""
    shared = _mapping(study.get("space"))
    arms = study.get("arms")
    found = {}
    for arm in arms if isinstance(arms, list) else []:
        method = _mapping(_mapping(arm).get("method")).get("name")
        name = _mapping(arm).get("label") or method
        space = {**_mapping(_mapping(arm).get("space")), **shared}
        found[str(name)] = {path: _field(path, _mapping(domain)) for path, domain in space.items()}
    return found


def _field(path: str, domain: Mapping[str, object]) -> Field:
    for kind in ("float", "int"):
        bounds = domain.get(kind)
        if isinstance(bounds, list) and len(bounds) == 2:
            return Field(path, float(bounds[0]), float(bounds[1]), domain.get("log") is True, kind == "int")
    return Field(path, None, None, False, False)


def _mapping(content: object) -> Mapping[str, object]:
    return content if isinstance(content, Mapping) else {}


def placed(configs: pd.DataFrame, study: Mapping[str, object]) -> pd.DataFrame:
    """A row per config and declared field that it has, with how good it was within its search.

    `configs` is as of `search_configs`. Of a search with more than 1,000 so many are placed, evenly over time.

    columns   study, CELL, method, config_id, path, value (JSON), share (as of `Field.share`, NaN for choices)
    better    the share of the search's other configs that it beat, ties halved; a config without a value (given up,
              diverged, failed) beats none that has one
    """
    number = numbered(configs, ["study", *CELL])
    search = configs.groupby(number, sort=False)
    value = configs["accuracy"].where(configs["is_whole"].astype(bool)).fillna(-1.0)
    size = search["config_id"].transform("size")
    beaten = value.groupby(number).rank(method="average") - 1
    ranked = configs.assign(better=beaten / (size - 1).clip(lower=1))
    step = np.ceil(size / MOST_PLACED)
    kept = ranked[search.cumcount() % step == 0]
    row, path, text = Shared.of(kept["point"]).exploded()
    chosen = pd.DataFrame({"path": path.cast(pa.string()).to_pandas(), "value": text.to_pandas()})
    names = ["study", *CELL, "method", "config_id", "better"]
    table = pd.concat([kept[names].iloc[row].reset_index(drop=True), chosen], axis=1).assign(share=np.nan)
    known, found = fields(study), []
    for (arm, where), members in table.groupby(["arm", "path"], sort=False):
        field = known.get(str(arm), {}).get(str(where))
        if field is not None:
            numbers = members["value"].map(json.loads) if field.is_number else None
            found.append(members if numbers is None else members.assign(share=numbers.map(field.share).astype(float)))
    columns = ["study", *CELL, "method", "config_id", "path", "value", "share", "better"]
    return pd.concat(found)[columns].sort_index(ignore_index=True) if found else pd.DataFrame(columns=columns)
