"""What seeds alone do, and what it would take to tell two arms apart."""

from __future__ import annotations

import pandas as pd

from harness.analysis.wording import counted, percent, points, probability, span
from harness.report.table import Cell, Kind, Row, Table, amount, integer, text


def noise_table(floors: pd.DataFrame) -> Table:
    """The noise floor of each student, and over all of them, in points."""
    columns: list[tuple[str, Kind]] = [
        *(("student", "name"), ("measured on", "name"), ("seed sd", "number"), ("95 % interval", "number")),
        *(("configs", "number"), ("seeds each", "number"), ("smallest difference shown", "number")),
    ]
    rows = [
        Row(
            [
                text(row["student"] if isinstance(row["student"], str) else "all"),
                text(row["evidence"]),
                amount(percent(row["sd"]), row["sd"], 100),
                Cell(f"{percent(row['low'])} to {percent(row['high'])}"),
                integer(row["configs"]),
                integer(row["n"]),
                amount(percent(row["smallest"]), row["smallest"], 100),
            ]
        )
        for _, row in floors.iterrows()
    ]
    return Table("noise", "", columns, rows, floors)


def pairwise_table(pairwise: pd.DataFrame) -> Table:
    """Every arm against every other, with the seeds that are missing to show a difference as large as theirs."""
    columns: list[tuple[str, Kind]] = [
        *(("arm", "name"), ("against", "name"), ("teacher", "name"), ("points", "number"), ("95 % interval", "number")),
        *(("Holm", "number"), ("seeds", "number"), ("students", "number"), ("smallest shown", "number")),
        *(("more seeds needed", "number"), ("verdict", "text")),
    ]
    rows = [
        Row(
            [
                text(row["arm"]),
                text(row["other"]),
                text(row["teacher"]),
                amount(points(row["difference"]), row["difference"], 100),
                text(span(row["low"], row["high"])),
                amount(probability(row["p_holm"]), row["p_holm"]),
                integer(row["n"]),
                integer(row["students"]),
                amount(percent(row["smallest"]), row["smallest"], 100),
                _more(row["more_seeds"]),
                text(row["verdict"]),
            ]
        )
        for _, row in pairwise.iterrows()
    ]
    return Table("pairwise", "", columns, rows, pairwise)


def _more(seeds: object) -> Cell:
    if pd.isna(seeds):  # type: ignore[call-overload]
        return Cell("–")
    value = int(str(seeds))
    return integer(value)


def curse_table(summary: pd.DataFrame) -> Table:
    """How much selection flattered, and how far validation lies above test: means over finalists."""
    columns: list[tuple[str, Kind]] = [
        *(
            ("arm", "name"),
            ("what", "text"),
            ("points", "number"),
            ("95 % interval", "number"),
            ("finalists", "number"),
        ),
    ]
    kinds = {"flattery": "search minus fresh seeds, on validation", "gap": "validation minus test, on fresh seeds"}
    rows = [
        Row(
            [
                text(row["arm"] if isinstance(row["arm"], str) else "all"),
                text(kinds[str(row["kind"])]),
                amount(points(row["mean"]), row["mean"], 100),
                text(span(row["low"], row["high"])),
                integer(row["n"]),
            ]
        )
        for _, row in summary.iterrows()
    ]
    return Table("selection", "", columns, rows, summary)


def noise_in_words(floors: pd.DataFrame) -> str:
    """The noise floor on test in a sentence, of each data set where there are several; nothing where no row has two
    seeds."""
    known = floors[(floors["evidence"] == "test") & floors["student"].isna() & floors["sd"].notna()]
    several = known["dataset"].nunique() > 1
    return " ".join(_in_words(row, f" on {row['dataset']}" if several else "") for _, row in known.iterrows())


def _in_words(row: pd.Series, where: str) -> str:
    seeds = counted(int(row["n"]), "seed")
    return (
        f"Seeds alone move a test accuracy{where} by {percent(row['sd'])} points (standard deviation at a fixed "
        f"config, {percent(row['low'])} to {percent(row['high'])}, pooled over {counted(int(row['configs']), 'row')}); "
        f"of two rows of {seeds} each, a difference under {percent(row['smallest'])} points is seldom shown."
    )
