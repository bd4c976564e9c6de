"""Plans and shelves as a terminal shows them: complete, and with nobody's text taken for markup."""

from __future__ import annotations

import io
from typing import Any, get_args

import pytest
import torch
from rich.console import Console

from harness.distill.catalog import AnyMethod
from harness.study.plan import plan
from harness.study.telling import print_latency, print_plan, print_shelf
from tests.studies import LABEL, QUESTION, study, tiny


def told(how: Any, *what: Any) -> str:
    """What a wide terminal shows."""
    screen = io.StringIO()
    how(what[0], Console(file=screen, width=250), *what[1:])
    return screen.getvalue()


def test_a_plan_names_pairs_arms_sizes_runs_and_cost() -> None:
    text = told(print_plan, plan(study()), 2)
    rows = [line.split() for line in text.splitlines()]
    assert ["–", "resnet8-w4", "teacher"] in [row[:3] for row in rows]
    assert ["resnet8-w4", "resnet8-w2", LABEL, "3", "6"] in [row[:5] for row in rows]
    assert ["resnet8-w2", "1,384", "13,008", "5.28", "kB"] in rows
    assert sum(row[:1] == ["resnet8-w4"] and len(row) == 5 for row in rows) == 1  # a network is weighed once
    assert "64 train, 64 validation" in text
    assert "13 trials" in text
    assert "on 2" in text


def test_a_plan_says_what_is_searched_at_times_tried_first_and_never_trained() -> None:
    head = "method.discriminator.class_head"
    space = {
        head: {"choice": [True, False]},
        "method.discriminator.mu": {"float": [0.3, 1], "when": {head: True, "student.depth": [8, 14]}},
    }
    arm = {"method": {"name": "ksan"}, "space": space, "known": [{head: False}]}
    content = tiny(
        arms=[arm],
        constraints=["params <= 5e5"],
        search__sampler="tpe",
        objectives={"accuracy": "max", "latency": "min"},
    )
    text = told(print_plan, plan(study(content)), 1)
    assert "by tpe (startup 5, candidates 24, constant_liar True);" in text
    assert f"searched: method.discriminator.mu only where {head} is true and student.depth is 8 or 14" in text
    assert "known points, tried after the defaults: ksan 1" in text
    assert "constraints: params <= 500000; a proposal that violates one is neither trained nor counted" in text
    assert "latency is measured on each trial's device before it trains" in text


def test_every_sampler_is_on_the_shelf_with_one_whole_sentence() -> None:
    rows = [
        line.split(maxsplit=1)
        for line in told(lambda console_, screen: print_shelf("samplers", screen), 0).splitlines()
    ]
    assert [row[0] for row in rows[1:]] == ["tpe", "random", "nsga2", "nsga3", "gp", "cmaes", "qmc", "grid"]
    assert all(row[1].rstrip().endswith(".") for row in rows[1:])


def test_latency_is_told_for_one_image_and_for_a_batch_with_its_spread() -> None:
    text = told(print_latency, plan(study()), torch.device("cpu"))
    rows = [line.split() for line in text.splitlines() if line.split()[:1] in (["resnet8-w4"], ["resnet8-w2"])]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("resnet8-w4", "1", "30"),
        ("resnet8-w4", "32", "30"),
        ("resnet8-w2", "1", "30"),
        ("resnet8-w2", "32", "30"),
    ]
    for row in rows:
        lower, upper = map(float, row[3].split("–"))
        assert 0 < lower <= float(row[2]) <= upper
    assert "threads: 1; median and quartiles" in text


def test_a_plan_says_which_taps_are_paired_and_where_their_sizes_differ() -> None:
    assert "taps resnet8-w4 → resnet8-w2: stage1, stage2, stage3 (" in told(print_plan, plan(study()), 1)
    named = {"taps": [{"student": "stage1", "teacher": "stage2"}, "embedding"]}
    content = tiny(arms=[{"method": {"name": "at", **named}}])
    assert "stage1=stage2 [8×8 learns from 4×4], embedding (at)" in told(print_plan, plan(study(content)), 1)


def test_a_plan_shows_brackets_as_they_were_written() -> None:
    text = told(print_plan, plan(study()), 1)
    assert QUESTION in text
    assert LABEL in text


@pytest.mark.parametrize(("epochs", "unit"), [(2, "seconds"), (300, "seconds"), (10_000, "minutes")])
def test_long_times_have_long_units(epochs: int, unit: str) -> None:
    assert f"{unit} of training on one core" in told(print_plan, plan(study(tiny(training__epochs=epochs))), 1)


def test_the_shelf_of_methods_names_every_method_with_what_it_does() -> None:
    text = told(print_shelf, "methods")
    for method in get_args(get_args(AnyMethod)[0]):
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [method.model_fields["name"].default]]
        assert len(line.split()) > 3


@pytest.mark.parametrize(
    ("shelf", "name"),
    [("studies", "digits_resnet"), ("spaces", "ksan"), ("models", "resnet"), ("datasets", "cifar100")],
)
def test_every_shelf_shows_what_ships(shelf: str, name: str) -> None:
    assert name in told(print_shelf, shelf)


def test_a_shelf_shows_a_wrong_study_as_wrong(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.yaml").write_text("question: [red]what?[/red]\n  x: y")
    (tmp_path / "studies" / "other.yaml").write_text("question: '[red]what?[/red]'")
    monkeypatch.chdir(tmp_path)
    text = told(print_shelf, "studies")
    assert "mine" in text
    assert "(wrong: is no YAML" in text
    assert "[red]what?[/red]" in text
