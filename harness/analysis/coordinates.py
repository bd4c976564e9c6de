"""Parallel coordinates: where each config of a search lies on every axis that was searched, and how it did.

An axis runs from 0 to 1: a number by its value, or by its logarithm where its values span a factor of 8; anything
else (choices, subsets, a field that some configs do not have) by the order of its values. The last axis is how far,
in accuracy, a config lies below the best of its own student, so that students of all sizes can share a figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.configs import whole_configs

ABSENT = "–"
_WIDE = 8.0
"""A factor between the largest and the smallest value from which an axis is logarithmic."""


@dataclass(frozen=True)
class Axis:
    """One searched field, or the loss: its values' places, and its ticks (place → words)."""

    path: str
    places: Sequence[float]
    ticks: Sequence[tuple[float, str]]
    is_log: bool = False


@dataclass(frozen=True)
class Coordinates:
    """The configs of one arm on one data set under one teacher, the worst first."""

    config_ids: Sequence[str]
    loss: Sequence[float]
    """Accuracy of the best config of the same student minus the config's own, a fraction."""
    axes: Sequence[Axis]
    left_out: int
    """Configs that are not shown since there are too many to tell apart."""


def coordinates(configs: pd.DataFrame, most: int = 240) -> Coordinates | None:
    """The searched configs of one arm, those with a value on every replicate; None where nothing varies.

    `configs` are of one arm, data set and teacher, of `search_configs` with students `searched_together`. Of more than
    `most` the best half stays, and of the others every so many.
    """
    configs = whole_configs(configs)
    if len(configs) < 2:
        return None
    best = configs.groupby("student")["accuracy"].transform("max")
    ranked = configs.assign(loss=best - configs["accuracy"]).sort_values(["loss", "config_id"], ignore_index=True)
    kept = ranked.iloc[_thinned(len(ranked), most)][::-1].reset_index(drop=True)
    own = [{path: json.loads(value) for path, value in point.items()} for point in kept["point"]]
    paths = sorted({path for point in own for path in point})
    axes = [_axis(path, [point.get(path, ABSENT) for point in own]) for path in paths]
    axes = [axis for axis in axes if len(set(axis.places)) > 1]
    if kept["student"].nunique() > 1:
        axes.append(_by_order("student", list(kept["student"])))
    if not axes:
        return None
    loss = [float(value) for value in kept["loss"]]
    return Coordinates(list(kept["config_id"]), loss, [*axes, _loss_axis(loss)], len(ranked) - len(kept))


def _thinned(count: int, most: int) -> list[int]:
    """Places in an order, best first: all of them, or the best half of `most` and an even choice of the rest."""
    if count <= most:
        return list(range(count))
    head = most // 2
    rest = np.linspace(head, count - 1, most - head).round().astype(int)
    return [*range(head), *dict.fromkeys(int(place) for place in rest)]


def _axis(path: str, values: Sequence[object]) -> Axis:
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return _numeric(path, [float(str(value)) for value in values])
    return _by_order(path, [_said(value) for value in values])


def _numeric(path: str, values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    is_log = low > 0 and high / low >= _WIDE
    scale = math.log10 if is_log else float
    span = scale(high) - scale(low) or 1.0
    ticks = np.geomspace(low, high, 4) if is_log else np.linspace(low, high, 4)
    if all(value.is_integer() for value in values) and len(set(values)) <= 8:
        ticks = np.array(sorted(set(values)))
    return Axis(
        path,
        [(scale(value) - scale(low)) / span for value in values],
        [((scale(float(tick)) - scale(low)) / span, f"{float(tick):.3g}") for tick in ticks],
        is_log,
    )


def _by_order(path: str, values: Sequence[str]) -> Axis:
    known = sorted(set(values), key=lambda value: (value == ABSENT, value))
    span = max(len(known) - 1, 1)
    place = {value: index / span for index, value in enumerate(known)}
    return Axis(path, [place[value] for value in values], [(place[value], value) for value in known])


def _said(value: object) -> str:
    if value == ABSENT:
        return ABSENT
    text = value if isinstance(value, str) else json.dumps(value, separators=(", ", ": "))
    return text if len(text) <= 28 else f"{text[:27]}…"


def _loss_axis(loss: Sequence[float]) -> Axis:
    """The best at the top; √, so that the good ones are told apart."""
    worst = max(loss) or 1.0
    ticks = [0.0, worst / 16, worst / 4, worst]
    return Axis(
        "points below the best",
        [1 - math.sqrt(value / worst) for value in loss],
        [(1 - math.sqrt(tick / worst), f"{100 * tick:.2g}") for tick in ticks],
    )
