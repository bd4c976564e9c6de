"""One thing against another: two rows, two arms or two studies, paired over their common seeds.

Arms and studies are matched student by student (studies also arm by arm), each cell by the config that its search
ranked first. A family of tests is corrected by Holm; a mean over the students asks the question once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.averaged import mean_by_seed
from harness.analysis.comparability import obstacles
from harness.analysis.comparison import speakers, verdict
from harness.analysis.statistics import Difference, holm, paired_difference
from harness.analysis.wording import percent, points, probability, span
from harness.literal import printable
from harness.source import MissingError, UserError, did_you_mean

SHORTEST_PREFIX = 4
Accuracies = Mapping[int, float]


class IncomparableError(UserError):
    """Two things whose differences break their comparison; the message says which."""

    exit_code = 1


@dataclass(frozen=True)
class Side:
    """What one of two names means: some rows, and what they are called by."""

    kind: str
    """`row`, `arm` or `study`."""
    name: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class Versus:
    """One comparison: two samples of seed → accuracy, and their paired difference."""

    what: str
    ours: Accuracies
    theirs: Accuracies
    of: Difference | None
    """Ours minus theirs; None where they share no seed."""
    p: float | None = None
    """Corrected for the family."""


def side(rows: pd.DataFrame, asked: str) -> Side:
    """What a name means among some rows: a row's id or its first digits, a study, an arm, or `STUDY/` before one.

    Raises `MissingError` where it means nothing or several rows.
    """
    study, _, name = asked.partition("/")
    if study not in set(rows["study"]) or not name:  # an arm may have a / in its name
        study, name = "", asked
    within = rows[rows["study"] == study] if study else rows
    if not study and asked in set(rows["study"]):
        return Side("study", asked, rows[rows["study"] == asked])
    if name in set(within["arm"]):
        return Side("arm", asked, within[within["arm"] == name])
    found = within[within["config_id"].str.startswith(name)] if len(name) >= SHORTEST_PREFIX else within.head(0)
    if len(found) == 1:
        return Side("row", str(found.iloc[0]["config_id"])[:8], found)
    if len(found):
        raise MissingError(f"{asked} begins the ids of {len(found)} rows; give more digits, or STUDY/ before them")
    known = [*rows["study"].unique(), *rows["arm"].unique()]
    raise MissingError(f"{asked} is no row, arm or study here; {did_you_mean(asked, known)}")


def versus(ours: Side, theirs: Side) -> list[Versus]:
    """Every comparison of two sides; raises `IncomparableError` where nothing of them may be compared."""
    if ours.kind != theirs.kind:
        raise UserError(f"{ours.name} is a{_n(ours.kind)} and {theirs.name} a{_n(theirs.kind)}; give two of a kind")
    broken: list[str] = []
    pairs = [*_matched(ours, theirs)]
    found = []
    for what, a, b in pairs:
        why = obstacles(dict(a), dict(b))
        if why:
            broken.append(f"{what}: {'; '.join(why)}")
        else:
            found.append(_compared(what, a["accuracies"], b["accuracies"]))
    if not found:
        told = "; ".join(broken) or "no student is trained by both"
        raise IncomparableError(f"{ours.name} and {theirs.name} cannot be compared ({told}); `harness diff` says more")
    adjusted = [replace(one, p=p) for one, p in zip(found, holm([_p(one) for one in found]), strict=True)]
    if len(adjusted) > 1:
        mean = _compared("mean", mean_by_seed([one.ours for one in found]), mean_by_seed([one.theirs for one in found]))
        adjusted.append(replace(mean, p=_p(mean)))
    return adjusted


def _n(kind: str) -> str:
    return f"n {kind}" if kind == "arm" else f" {kind}"


def _p(one: Versus) -> float | None:
    return one.of.p if one.of else None


def _compared(what: str, ours: Accuracies, theirs: Accuracies) -> Versus:
    return Versus(what, ours, theirs, paired_difference(ours, theirs))


def _matched(ours: Side, theirs: Side) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    """Which row is held against which, and what the two share."""
    if ours.kind == "row":
        yield "mean", ours.rows.iloc[0], theirs.rows.iloc[0]
        return
    by = ["dataset", "student"] if ours.kind == "arm" else ["dataset", "student", "arm"]
    spoken = [speakers(one.rows).set_index(by, drop=False) for one in (ours, theirs)]
    for key in spoken[0].index.unique():
        if key not in spoken[1].index:
            continue
        for _, a in spoken[0].loc[[key]].iterrows():
            for _, b in spoken[1].loc[[key]].iterrows():
                teachers = {a["teacher"], b["teacher"]} - {None}
                if len([name for name in teachers if isinstance(name, str)]) < 2:
                    yield ", ".join(cast(Sequence[str], key[1:])), a, b


def print_versus(ours: Side, theirs: Side, found: Sequence[Versus], console: Console) -> None:
    """Prints the comparisons as a table, and what stands behind it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", ours.name, theirs.name, "points", "95 % interval", "p", "seeds", "verdict"):
        table.add_column(Text(printable(column)), overflow="fold")
    for one in found:
        table.add_row(*(Text(printable(cell)) for cell in _cells(one)))
    console.print(table)
    tests = len(found) - 1
    family = f"; p is Holm's over {tests} comparisons, the mean's its own" if tests else ""
    names = f"{printable(ours.name)} minus {printable(theirs.name)}"
    console.print(Text(f"Test accuracy in %, {names}, paired t over common seeds{family}.", "dim"))


def _cells(one: Versus) -> list[str]:
    if one.of is None:
        return [one.what, _mean(one.ours), _mean(one.theirs), *["–"] * 3, "0", "no common seed"]
    of = one.of
    said = verdict(of.mean, one.p)
    return [
        one.what,
        _mean(one.ours),
        _mean(one.theirs),
        points(of.mean),
        span(of.low, of.high),
        probability(one.p),
        str(of.n),
        said,
    ]


def _mean(of: Accuracies) -> str:
    return percent(sum(of.values()) / len(of)) if of else "–"
