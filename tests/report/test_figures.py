"""Figures draw what analysis computed: the marks, lines and words that a reader relies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.cells import arms_in_order
from harness.analysis.comparison import differences
from harness.analysis.configs import search_configs
from harness.analysis.confirmed import confirmed_rows, teachers
from harness.analysis.pareto import pareto_front
from harness.report.canvas import log_range, round_ticks
from harness.report.figures.differences import forest
from harness.report.figures.front import accuracy_against_size
from harness.report.palette import looks, plain
from harness.store.query import Run, read_run


@pytest.fixture(scope="module")
def sample(sample_folder: Path) -> Run:
    return read_run(sample_folder)


def test_every_arm_of_a_large_study_looks_different() -> None:
    assert len({(look.colour, look.symbol) for look in looks([f"arm {n}" for n in range(56)]).values()}) == 56


def test_an_arm_looks_the_same_whatever_order_its_rows_have(sample: Run) -> None:
    rows = sample.trials[sample.trials["purpose"] != "teacher"]
    assert arms_in_order(rows) == arms_in_order(rows[::-1]) == ["scratch", "kd", "anc", "ksan"]


def test_plotly_reads_no_tag_in_a_text() -> None:
    assert plain("a <b> & $x$") == "a &lt;b&gt; &amp; &#36;x&#36;"


def test_the_front_is_drawn_at_true_sizes_as_steps(sample: Run) -> None:
    confirmed = confirmed_rows(sample.trials)
    front = pareto_front(confirmed, {"accuracy": "max", "params": "min"})
    figure = accuracy_against_size(
        confirmed=confirmed,
        searched=search_configs(sample.trials),
        front=front,
        teachers=teachers(sample.trials),
        size="params",
        look=looks(arms_in_order(confirmed)),
        floor=0.88,
    )
    line = next(trace for trace in figure.data if trace.name == "front")
    assert line.line.shape == "hv"
    assert list(line.x[:-1]) == [1_394, 5_214, 11_502]
    assert "teacher: 98.50 % on validation" in [note.text for note in figure.layout.annotations]
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == [
        *("scratch", "kd", "anc", "ksan", "front")
    ]


def test_hollow_marks_cannot_be_told_apart(sample: Run) -> None:
    compared = differences(confirmed_rows(sample.trials))
    compared = compared[compared["baseline"] == "scratch"]
    figure = forest(compared, looks(arms_in_order(compared)))
    marks = [trace.marker.symbol.endswith("-open") for trace in figure.data if trace.mode == "markers"]
    assert sorted(marks) == sorted((compared["verdict"] == "cannot be told apart").tolist())


def test_ticks_are_round_and_few() -> None:
    assert round_ticks(900, 12_000) == [1_000, 2_000, 5_000, 10_000]
    assert round_ticks(1, 1e6) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]


def test_one_size_still_has_a_range() -> None:
    low, high = log_range([1_000.0], margin=0.1)
    assert low < 3 < high
