"""Hyper-parameter importance: which searched fields decided whether a config was among its search's better quarter.

PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255) through Optuna's evaluator, on the stored configs. It asks where the
good configs lie and so needs few; fANOVA's forests took minutes for 2,000 configs and are not used. What a config is
worth is its rank within its search, so that searches of several students and pairs can be pooled.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.analysis.cells import groups
from harness.analysis.searched_space import Field, fields
from harness.analysis.statistics import holm

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

GOOD = 0.25
"""The share of configs that counts as good; the evaluator's own 0.1 leaves two of twenty."""
LEAST = 16
"""Fewer configs have no importances: four good ones lie anywhere by chance."""
MOST = 400
"""Of more configs so many are drawn, evenly over time: Optuna takes half a millisecond for each."""
_COLUMNS = ["dataset", "teacher", "arm", "method", "path", "importance", "p_holm", "n"]


def importances(places: pd.DataFrame, study: Mapping[str, object]) -> pd.DataFrame:
    """Per pair and arm, and per arm over all pairs (`dataset` and `teacher` None), each field's share of importance.

    `places` is as of `searched_space.placed`. Shares of one arm sum to 1, but for a field with conditions, whose share
    is that among the `n` configs which have it. `p_holm` is of a two-sample test that the good configs lie where the
    others do (Kolmogorov-Smirnov for numbers, χ² for choices), Holm's over the arm's fields: a large share with a
    large p is noise. An arm with fewer than 16 configs has no rows.
    """
    declared = fields(study)
    rows: list[dict[str, object]] = []
    for key, members in groups(places, ["arm", "method"]):
        of_arm = declared.get(str(key["arm"]), {})
        over_all = _of_arm(members, of_arm)
        of_pairs = groups(members, ["dataset", "teacher"])
        for pair, own in of_pairs:
            found = _of_arm(own, of_arm) if len(of_pairs) > 1 else over_all
            rows += [{**pair, **key, **row} for row in found]
        rows += [{"dataset": None, "teacher": None, **key, **row} for row in over_all]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"importance": float, "p_holm": float})


def _of_arm(members: pd.DataFrame, declared: Mapping[str, Field]) -> list[dict[str, object]]:
    inside = members[members["share"].notna() | ~members["path"].map(lambda path: declared[path].is_number)]
    values = inside.pivot_table("value", ["study", "student", "config_id"], "path", aggfunc="first")
    better = inside.groupby(["study", "student", "config_id"])["better"].first().reindex(values.index)
    if len(values) > MOST:
        kept = np.linspace(0, len(values) - 1, MOST).astype(int)
        values, better = values.iloc[kept], better.iloc[kept]
    always = [str(path) for path in values.columns if values[path].notna().all()]
    found = []
    for paths in [always, *([*always, str(path)] for path in values.columns if path not in always)]:
        table = values[paths].dropna()
        if len(table) >= LEAST and paths:
            shares = _shares(table, better[table.index], [declared[path] for path in paths])
            asked = paths if paths is always else paths[-1:]
            found += [
                {"path": path, "importance": shares[path], "n": len(table), "p": p}
                for path in asked
                for p in [_p(table[path], better[table.index], declared[path])]
            ]
    adjusted = holm([row["p"] for row in found])  # type: ignore[misc]
    return [{**row, "p_holm": p} for row, p in zip(found, adjusted, strict=True)]


def _shares(table: pd.DataFrame, better: pd.Series, asked: Sequence[Field]) -> dict[str, float]:
    """Optuna's importances of the fields, made to sum to 1; all 0 where no field has any."""
    import optuna  # it takes a second to import, and few reports need it
    from optuna.importance import PedAnovaImportanceEvaluator

    distributions = {field.path: _distribution(field, table[field.path]) for field in asked}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=GOOD)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [
                optuna.create_trial(params=params, distributions=distributions, value=float(value))
                for params, value in zip(_params(table, asked), better, strict=True)
            ]
        )
        varying = [path for path, distribution in distributions.items() if not distribution.single()]
        raw = {**dict.fromkeys(distributions, 0.0), **(evaluator.evaluate(study, params=varying) if varying else {})}
    finally:
        optuna.logging.set_verbosity(verbosity)
    total = sum(raw.values())
    return {path: float(value) / total if total > 0 else 0.0 for path, value in raw.items()}


def _distribution(field: Field, texts: pd.Series) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if field.low is None or field.high is None:
        return CategoricalDistribution(sorted(texts.unique()))
    if field.is_whole:
        return IntDistribution(int(field.low), int(field.high), log=field.is_log)
    return FloatDistribution(field.low, field.high, log=field.is_log)


def _params(table: pd.DataFrame, asked: Sequence[Field]) -> Iterator[dict[str, object]]:
    columns = {field.path: [_value(text, field) for text in table[field.path]] for field in asked}
    for index in range(len(table)):
        yield {path: values[index] for path, values in columns.items()}


def _value(text: str, field: Field) -> object:
    if not field.is_number:
        return text
    return int(json.loads(text)) if field.is_whole else float(json.loads(text))


def _p(texts: pd.Series, better: pd.Series, field: Field) -> float | None:
    """Whether the good configs lie where the others do; None where all configs have one value."""
    from scipy.stats import chi2_contingency, ks_2samp

    is_good = better >= better.quantile(1 - GOOD)
    if texts.nunique() < 2 or is_good.all():
        return None
    if field.is_number:
        shares = texts.map(json.loads).map(field.share)
        return float(ks_2samp(shares[is_good], shares[~is_good]).pvalue)
    return float(chi2_contingency(pd.crosstab(texts, is_good), correction=False).pvalue)
