"""Learning-rate schedules, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from harness.train.optim import Cosine, Steps, Training, adversary_optimiser, set_learning_rate


def test_cosine_warms_up_and_comes_down() -> None:
    training = Training(learning_rate=2, schedule=Cosine(warmup=0.5))
    # 3 steps stand at 1/4, 2/4 and 3/4 of the schedule: half-way up, at the peak, half-way down
    assert [training.learning_rate_at(step, 3) for step in range(3)] == pytest.approx([1, 2, 1])


def test_no_step_has_the_rate_0() -> None:
    for schedule in (Cosine(warmup=0), Cosine(), Cosine(warmup=1), Steps()):
        training = Training(learning_rate=0.1, schedule=schedule)
        assert all(0 < training.learning_rate_at(step, 10) <= 0.1 for step in range(10))


def test_steps_divide_at_their_milestones() -> None:
    training = Training(learning_rate=1, schedule=Steps(milestones=(0.5, 0.75), decay=0.1))
    assert [training.learning_rate_at(step, 3) for step in range(3)] == pytest.approx([1, 0.1, 0.01])


def test_the_published_schedule_falls_at_150_180_and_210_of_240() -> None:
    rates = [Training(epochs=240, learning_rate=0.05, schedule=Steps()).learning_rate_at(e, 240) for e in range(240)]
    falls = [epoch for epoch in range(1, 240) if rates[epoch] < rates[epoch - 1]]
    assert falls == [150, 180, 210]
    assert rates[-1] == pytest.approx(5e-5)


@pytest.mark.parametrize("milestones", [(0.5, 0.5), (0.7, 0.2), (0.0, 0.5), (0.5, 1.0)])
def test_milestones_rise_within_the_schedule(milestones: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="rising shares"):
        Steps(milestones=milestones)


def test_one_step_of_the_optimiser_by_hand() -> None:
    """Nesterov: v ← 0.9·v + (g + wd·w); w ← w − lr·(g + wd·w + 0.9·v), from v = 0."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    learner = Training(momentum=0.9, weight_decay=0.5).optimiser(layer)
    set_learning_rate(learner, 0.1)
    layer(torch.tensor([[3.0]])).sum().backward()  # g = 3; with decay 3 + 0.5·2 = 4; step 4 + 0.9·4 = 7.6
    learner.step()
    assert layer.weight.item() == pytest.approx(2 - 0.1 * 7.6)


def test_without_momentum_nesterov_is_off() -> None:
    assert Training(momentum=0).optimiser(nn.Linear(1, 1)).defaults["nesterov"] is False


def test_the_adversary_steps_at_its_own_rate() -> None:
    assert adversary_optimiser(nn.Linear(1, 1), 0.02).defaults["lr"] == 0.02
