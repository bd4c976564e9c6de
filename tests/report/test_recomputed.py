"""A second route to the confirmed table: pandas and SciPy on the Parquet files, and nothing of ours.

What the page prints (means, half intervals, standard deviations, and the corrected p-values of every comparison)
is computed here again from the files alone, and compared with the printed digits.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from harness.report.page import write_report

Printed = dict[tuple[str, ...], list[str]]


def cells(page: str, table: str) -> list[list[str]]:
    """The texts of one table of the page, row by row."""
    body = re.search(rf'data-name="{table}">.*?<tbody>(.*?)</tbody>', page, flags=re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[1], flags=re.DOTALL)
    texts = [re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL) for row in rows]
    return [[unescape(re.sub(r"<[^>]+>", "", text)) for text in row] for row in texts]


@pytest.fixture(scope="module")
def page(sample_folder: Path) -> str:
    return write_report(sample_folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tested(sample_folder: Path) -> pd.DataFrame:
    """Seeds × (student, arm): test accuracies of the completed confirmations, read with pandas."""
    trials = pd.concat([pd.read_parquet(path) for path in sorted((sample_folder / "trials").glob("*.parquet"))])
    done = trials[(trials["purpose"] == "confirmation") & (trials["status"] == "completed")]
    return done.pivot(index="seed", columns=["student", "arm"], values="test_accuracy")


def test_means_intervals_and_deviations_are_those_of_pandas_and_scipy(page: str, tested: pd.DataFrame) -> None:
    printed = {(row[1], row[2]): (row[3], row[4], row[5]) for row in cells(page, "confirmed")}
    expected = {}
    for cell, values in tested.items():
        low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
        mean = f"{100 * values.mean():.2f} ± {100 * (high - low) / 2:.2f}"
        expected[cell] = (mean, f"{100 * values.std(ddof=1):.2f}", str(values.count()))
    assert len(printed) == 12
    assert printed == expected


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjustment, written from its definition: the k-th smallest of m is multiplied by m + 1 − k."""
    order = pd.Series(p_values).sort_values()
    stepped = order * pd.Series(range(len(order), 0, -1), index=order.index)
    return [float(p) for p in stepped.cummax().clip(upper=1).sort_index()]


def printed_p(p: float) -> str:
    return "p < .001" if p < 0.001 else "p = 1" if p > 0.9995 else f"p = {p:.3f}".replace("0.", ".", 1)


def printed_points(difference: float) -> str:
    text = f"{100 * difference:+.2f}".replace("-", "−")
    return text if text not in ("+0.00", "−0.00") else "0.00"


@pytest.mark.parametrize(("baseline", "arms"), [("scratch", ["kd", "anc", "ksan"]), ("kd", ["anc", "ksan"])])
def test_differences_and_corrected_p_values_are_those_of_scipy(
    page: str, tested: pd.DataFrame, baseline: str, arms: list[str]
) -> None:
    students = ["resnet8-w2", "resnet8-w4", "resnet14-w4"]
    gains = {(s, arm): tested[s, arm] - tested[s, baseline] for s in students for arm in arms}
    means = {("mean of 3 students", arm): sum(gains[s, arm] for s in students) / 3 for arm in arms}
    expected: Printed = {}
    for family in (gains, means):
        p_values = holm([float(stats.ttest_1samp(of, 0.0).pvalue) for of in family.values()])
        for (cell, of), p in zip(family.items(), p_values, strict=True):
            low, high = stats.t.interval(0.95, len(of) - 1, loc=of.mean(), scale=stats.sem(of))
            interval = f"[{printed_points(low)}, {printed_points(high)}]"
            expected[cell] = [printed_points(of.mean()), interval, printed_p(p), "5"]
    rows = [row for row in cells(page, "differences") if row[2] == baseline]
    assert {(row[0], row[1]): row[4:8] for row in rows} == expected
