"""Two rows, arms or studies against each other: the numbers of the analysis, and only between what may be compared."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from scipy.stats import ttest_rel

from harness.analysis.claims import claims
from harness.analysis.comparison import differences
from harness.analysis.confirmed import confirmed_rows
from harness.record import TrialRecord
from harness.report.versus import IncomparableError, print_versus, side, versus
from harness.source import MissingError, UserError
from harness.store.query import read_run, run_of
from tests.records import STUDY, confirmations, sample_trials


def rows_of(trials: list[TrialRecord]) -> pd.DataFrame:
    return claims(run_of(Path("run"), STUDY, trials).trials)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """The sample's rows."""
    return rows_of(sample_trials())


def test_two_rows_are_compared_as_scipy_does(rows: pd.DataFrame) -> None:
    one, other = rows.iloc[0], rows.iloc[3]
    (found,) = versus(side(rows, one["config_id"][:6]), side(rows, f"sample/{other['config_id']}"))
    assert found.of is not None
    expected = ttest_rel(list(one["accuracies"].values()), list(other["accuracies"].values()))
    assert found.of.mean == pytest.approx(one["accuracy"] - other["accuracy"])
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.of.low, found.of.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_two_arms_are_compared_as_in_the_report(rows: pd.DataFrame, sample_folder: Path) -> None:
    *each, mean = versus(side(rows, "ksan"), side(rows, "scratch"))
    told = differences(confirmed_rows(read_run(sample_folder).trials))
    told = told[(told["arm"] == "ksan") & (told["baseline"] == "scratch")].set_index("student")
    assert len(each) == 3
    for one in each:
        assert one.of is not None
        assert one.of.mean == pytest.approx(told.loc[one.what, "difference"])
    assert mean.of is not None
    assert mean.of.mean == pytest.approx(sum(one.of.mean for one in each if one.of) / 3)


def test_two_studies_are_compared_cell_by_cell() -> None:
    first = confirmations({1: 0.95, 2: 0.951, 3: 0.949}, arm="kd")
    second = [
        replace(
            one, study="second", config_id="b" * 16, trial_id=f"b{one.seed:015}", test_accuracy=one.test_accuracy - 0.01
        )
        for one in first
        if one.test_accuracy
    ]
    rows = rows_of([*first, *second])
    (found,) = versus(side(rows, "sample"), side(rows, "second"))
    assert found.what == "resnet8-w4, kd"
    assert found.of is not None
    assert found.of.mean == pytest.approx(0.01)


def test_what_breaks_a_comparison_refuses_it_and_is_named() -> None:
    first = confirmations({1: 0.95, 2: 0.951}, arm="kd")
    longer = [
        replace(one, epochs=60, epochs_done=60, config_id="c" * 16, trial_id=f"c{one.seed:015}", arm="at")
        for one in first
    ]
    rows = rows_of([*first, *longer])
    with pytest.raises(IncomparableError, match="epochs 20 and 60"):
        versus(side(rows, "kd"), side(rows, "at"))


def test_rows_of_other_teachers_weights_are_not_compared() -> None:
    first = [replace(one, teacher_digest="a" * 64) for one in confirmations({1: 0.95, 2: 0.951}, arm="kd")]
    other = [replace(one, teacher_digest="b" * 64) for one in confirmations({1: 0.95, 2: 0.951}, arm="at")]
    rows = rows_of([*first, *other])
    with pytest.raises(IncomparableError, match="the teachers aaaaaaaaaaaa and bbbbbbbbbbbb"):
        versus(side(rows, first[0].config_id), side(rows, other[0].config_id))


@pytest.mark.parametrize(
    ("name", "told"), [("kds", "did you mean kd"), ("sample/none", "is no row, arm or study"), ("ab", "is no row")]
)
def test_what_names_nothing_is_told(name: str, told: str, rows: pd.DataFrame) -> None:
    with pytest.raises(MissingError, match=told):
        side(rows, name)


def test_two_kinds_are_not_compared(rows: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="ksan is an arm and sample a study; give two of a kind"):
        versus(side(rows, "ksan"), side(rows, "sample"))


def test_the_table_says_all_that_a_claim_needs(rows: pd.DataFrame) -> None:
    console = Console(file=StringIO(), width=120, color_system=None)
    ours, theirs = side(rows, "ksan"), side(rows, "scratch")
    print_versus(ours, theirs, versus(ours, theirs), console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "+0.92" in text
    assert "[+0.51, +1.34]" in text
    assert "p is Holm's over 3 comparisons, the mean's its own" in text
