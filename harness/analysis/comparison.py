"""The answer: each arm's paired difference to the baselines over common confirmation seeds, and in words.

A family of tests is all comparisons with one baseline on one data set; p-values are Holm's over it, the
intervals are not adjusted. Where a cell has several confirmed configs, the one that the search ranked first
speaks for it: choosing by the test split would flatter it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pandas as pd

from harness.analysis.cells import BASELINES, COMPARABLE, arms_in_order, groups, of_pair, pairs, students_in_order
from harness.analysis.confirmed import ALPHA
from harness.analysis.statistics import Estimate, holm, paired_difference, selection_gap
from harness.analysis.wording import counted, gain, listed, missing, percent, plus_minus, points, probability, span

BETTER, WORSE, ALIKE = "better", "worse", "cannot be told apart"
FEW = 4
"""So many arms get a sentence each; more are listed by verdict, or nobody would read to the end."""
_COLUMNS = [
    *("dataset", "teacher", "student", "arm", "method", "baseline", "baseline_arm", "params"),
    *("difference", "low", "high", "p", "p_holm", "n", "verdict", "words", *COMPARABLE[1:]),
    *("config_id", "baseline_config_id"),
]


def differences(confirmed: pd.DataFrame) -> pd.DataFrame:
    """Each arm against `scratch` and against `kd`, wherever a pair confirmed both for a student.

    `difference`, `low` and `high` are fractions; positive is better than the baseline.
    """
    rows: list[dict[str, object]] = []
    for _, comparable in groups(confirmed, COMPARABLE):
        spoken = speakers(comparable)
        for baseline in BASELINES:
            rows += corrected(_against(baseline, spoken))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.astype(dict.fromkeys(["difference", "low", "high", "p", "p_holm"], float))


def speakers(confirmed: pd.DataFrame) -> pd.DataFrame:
    """One confirmed row per cell: the one with the best validation mean from the search."""
    best_first = confirmed.sort_values(["validation", "config_id"], ascending=[False, True])
    return best_first.drop_duplicates(["study", "dataset", "teacher", "student", "arm"])


def _against(baseline: str, spoken: pd.DataFrame) -> list[dict[str, object]]:
    """The comparisons of one family, each config pair once; a baseline is not compared with itself."""
    found: dict[tuple[object, object], dict[str, object]] = {}
    known = BASELINES[: BASELINES.index(baseline) + 1]
    for pair in pairs(spoken):
        members = of_pair(spoken, pair)
        for student in students_in_order(members):
            cells = members[members["student"] == student]
            theirs = cells[cells["method"] == baseline].head(1)
            for arm in arms_in_order(cells[~cells["method"].isin(known)]):
                for (_, ours), (_, base) in product(cells[cells["arm"] == arm].iterrows(), theirs.iterrows()):
                    row = _compared(ours, base, baseline)
                    if row is not None:
                        found.setdefault((row["config_id"], row["baseline_config_id"]), row)
    return list(found.values())


def _compared(ours: pd.Series, base: pd.Series, baseline: str) -> dict[str, object] | None:
    of = paired_difference(ours["accuracies"], base["accuracies"])
    if of is None:
        return None
    return {
        **{name: ours[name] for name in ["dataset", "teacher", "student", "arm", "method", "params", "config_id"]},
        **{name: ours[name] for name in COMPARABLE[1:]},
        "baseline": baseline,
        "baseline_arm": base["arm"],
        "baseline_config_id": base["config_id"],
        "difference": of.mean,
        "low": of.low,
        "high": of.high,
        "p": of.p,
        "n": of.n,
    }


def corrected(family: list[dict[str, object]]) -> list[dict[str, object]]:
    """The comparisons of one family with Holm's p, a verdict and words added to each."""
    p_values = [None if row["p"] is None else float(str(row["p"])) for row in family]
    for row, p in zip(family, holm(p_values), strict=True):
        row["p_holm"] = p
        row["verdict"] = verdict(float(str(row["difference"])), p)
        row["words"] = in_words(row)
    return family


def verdict(difference: float, p_holm: float | None) -> str:
    """Better or worse where the corrected p is below .05, otherwise `cannot be told apart`."""
    if p_holm is None or p_holm >= ALPHA:
        return ALIKE
    return BETTER if difference > 0 else WORSE


def in_words(row: dict[str, object]) -> str:
    """One comparison as a clause: `better than scratch by 0.84 points [0.31, 1.37], p = .004, 5 seeds`."""
    low, high, p = (None if row[name] is None else float(str(row[name])) for name in ("low", "high", "p_holm"))
    mean, n = float(str(row["difference"])), int(str(row["n"]))
    size = f"{gain(mean, low, high)}, {probability(p)} after Holm, {counted(n, 'common seed')}"
    if n == 1:
        return f"one common seed cannot tell it from {row['baseline_arm']} ({points(mean)} points)"
    if row["verdict"] == ALIKE:
        return f"cannot be told apart from {row['baseline_arm']}: {size}"
    return f"{row['verdict']} than {row['baseline_arm']}: {size}"


def answer(confirmed: pd.DataFrame, compared: pd.DataFrame, averaged: pd.DataFrame) -> list[str]:
    """The study's answer in sentences that a newcomer understands; each carries n and an interval.

    Where an arm is compared for several students, the difference averaged over them speaks: it is the study's
    question in one number, and the report's table has the students one by one.
    """
    if confirmed.empty:
        return ["There is no answer yet: no config has been confirmed on the test split."]
    whose = ["dataset", "teacher", "baseline", "arm"]
    spoken = {tuple(row) for row in averaged.reindex(columns=whose).fillna("").itertuples(index=False)}
    alone = [tuple(row) not in spoken for row in compared.reindex(columns=whose).fillna("").itertuples(index=False)]
    several = confirmed["teacher"].nunique() > 1
    sentences = [*_of_averages(averaged, several), *_of_students(compared.loc[alone], several)]
    if compared.empty:
        sentences.append(f"No arm can be compared with scratch or kd: {_why_none(confirmed)}.")
    for _, members in groups(confirmed, COMPARABLE):
        sentences.append(_best(members))
    return sentences


def _why_none(confirmed: pd.DataFrame) -> str:
    """Why no two confirmed rows make a comparison."""
    if not confirmed["method"].isin(BASELINES).any():
        return "neither was confirmed"
    if confirmed["arm"].nunique() == 1:
        return "no other arm was confirmed"
    return "none was confirmed for the same student, on the same images, as long and on the same seeds as one of them"


def _of_averages(averaged: pd.DataFrame, several_teachers: bool) -> Iterator[str]:
    """A sentence an arm, or one a verdict where the arms are many."""
    if averaged.empty:
        return
    for _, members in averaged.groupby(["dataset", "teacher", "baseline"], dropna=False, sort=False):
        where = _where(members.iloc[0], several_teachers)
        if members["arm"].nunique() > FEW:
            yield from _by_verdict(members, where)
        else:
            yield from (f"{row['arm']} on {where} – {row['words']}." for _, row in members.iterrows())


def _of_students(compared: pd.DataFrame, several_teachers: bool) -> Iterator[str]:
    """A sentence an arm that counts its students, or one a student and verdict where the arms are many."""
    for (dataset, baseline), family in compared.groupby(["dataset", "baseline"], sort=False):
        if family["arm"].nunique() > FEW:
            for _, members in family.groupby(["teacher", "student"], dropna=False, sort=False):
                yield from _by_verdict(members, _where(members.iloc[0], several_teachers))
        else:
            for arm, members in family.groupby("arm", sort=False):
                yield f"On {dataset}, {arm} {_tally(members, str(baseline))}."


def _where(row: pd.Series, several_teachers: bool) -> str:
    teacher = f"teacher {row['teacher']}, " if several_teachers else ""
    return f"{row['dataset']}, {teacher}{row['student']}"


def _by_verdict(members: pd.DataFrame, where: str) -> Iterator[str]:
    """`On …, better than kd are fitnet +2.66 [+2.07, +3.25] and dist … (points; …).`, the best first."""
    first = members.iloc[0]
    for kind, phrase in (
        (BETTER, "better than {} is"),
        (WORSE, "worse than {} is"),
        (ALIKE, "not to be told apart from {} is"),
    ):
        rows = members[members["verdict"] == kind].sort_values("difference", ascending=False, kind="stable")
        if len(rows):
            sizes = [
                f"{row['arm']} {points(row['difference'])} {span(row['low'], row['high'])}"
                for _, row in rows.iterrows()
            ]
            verb = phrase if len(rows) == 1 else phrase.removesuffix("is") + "are"
            said = verb.format(first["baseline_arm"])
            how = f"points; verdict after Holm over {counted(len(members), 'arm')}, {_seeds(rows)}"
            yield f"On {where}, {said} {listed(sizes)} ({how})."


def _seeds(members: pd.DataFrame) -> str:
    """`5 common seeds`, or the range where they differ."""
    fewest, most = int(members["n"].min()), int(members["n"].max())
    return counted(most, "common seed") if fewest == most else f"{fewest} to {most} common seeds"


def _tally(members: pd.DataFrame, baseline: str) -> str:
    """`beats scratch for 2 of 3 students (+0.81 to +1.20 points) and cannot be told apart for 1; 5 seeds`."""
    parts = []
    whole = counted(len(members), "student" if members["student"].is_unique else "student-teacher pair")
    for kind, verb in ((BETTER, "beats"), (WORSE, "loses to"), (ALIKE, "cannot be told apart from")):
        of_kind = members[members["verdict"] == kind]
        if len(of_kind):
            parts.append(f"{verb} {baseline} for {len(of_kind)} of {whole} ({_size(of_kind)})")
    return f"{listed(parts)}, over {_seeds(members)} each"


def _size(members: pd.DataFrame) -> str:
    """`+0.98 points [+0.52, +1.44]` for one comparison, the range of the means for several."""
    if len(members) == 1:
        one = members.iloc[0]
        return gain(one["difference"], one["low"], one["high"])
    low, high = points(members["difference"].min()), points(members["difference"].max())
    return f"{low} points each" if low == high else f"{low} to {high} points"


def _best(members: pd.DataFrame) -> str:
    best = members.iloc[0]
    text = (
        f"The most accurate student on {best['dataset']} is {best['student']} trained by {best['arm']}: "
        f"{percent(best['accuracy'])} % {plus_minus(best['low'], best['high'])} on test "
        f"({counted(int(best['n']), 'seed')})"
    )
    sharing = int((members["rank"] == best["rank"]).sum()) - 1
    return f"{text}; {counted(sharing, 'other row')} cannot be told apart from it." if sharing else f"{text}."


def gap(confirmed: pd.DataFrame) -> Estimate | None:
    """How much the search flattered its finalists, on the same validation images; None where unknown."""
    return selection_gap(list(confirmed["validation"]), list(confirmed["confirmed_validation"]))


def gap_in_words(of: Estimate | None) -> str:
    """The winner's curse of this study in a sentence."""
    if of is None:
        return "How much the search flattered its finalists is unknown: nothing was measured again on validation."
    size = f"{gain(of.mean, of.low, of.high)}, mean over {counted(of.n, 'finalist')}"
    if missing(of.low) or missing(of.high) or (of.low or 0) <= 0 <= (of.high or 0):
        return f"No flattery by selection is shown: search minus fresh seeds on validation is {size}."
    kind = "flattered" if of.mean > 0 else "underrated"
    return f"The search {kind} its finalists: its validation mean minus that of fresh seeds is {size}."
