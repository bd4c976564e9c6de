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

import pandas as pd

from harness.analysis.cells import CELL, groups
from harness.analysis.configs import search_configs


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


def placed(trials: pd.DataFrame, study: Mapping[str, object]) -> pd.DataFrame:
    """A row per config and declared field that it has, with how good it was within its search.

    columns   study, CELL, method, config_id, path, value (JSON), share (as of `Field.share`, NaN for choices)
    better    the share of the search's other configs that it beat, ties halved; a config without a value (given up,
              diverged, failed) beats none that has one
    """
    known = fields(study)
    configs = search_configs(trials)
    points = trials[trials["purpose"] == "search"].drop_duplicates("config_id").set_index("config_id")["point"]
    rows = []
    for key, members in groups(configs, ["study", *CELL]):
        declared = known.get(str(key["arm"]), {})
        value = members["accuracy"].where(members["is_whole"].astype(bool)).fillna(-1.0)
        better = (value.rank(method="average") - 1) / max(1, len(members) - 1)
        for (_, row), beaten in zip(members.iterrows(), better, strict=True):
            for path, text in dict(points[row["config_id"]]).items():
                if path in declared:
                    share = declared[path].share(json.loads(text))
                    place = {"path": path, "value": text, "share": share, "better": beaten}
                    rows.append({**key, "method": row["method"], "config_id": row["config_id"], **place})
    columns = ["study", *CELL, "method", "config_id", "path", "value", "share", "better"]
    return pd.DataFrame(rows, columns=columns).astype({"share": float, "better": float})
