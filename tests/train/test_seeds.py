"""Every thing that is random has a stream of its own."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from harness.train.seeds import Seeds, seeded, state_digest


def test_streams_of_one_seed_differ() -> None:
    seeds = Seeds.all(3)
    streams = [seeds.stream(name) for name in ("student", "estimator", "discriminator", "data")]
    assert len(set(streams)) == 4
    assert len({seeds.stream("data", epoch) for epoch in range(100)}) == 100
    assert all(0 <= stream < 2**63 for stream in streams)


def test_a_stream_follows_its_own_seed_alone() -> None:
    assert Seeds(student=1).stream("data") == Seeds().stream("data")
    assert Seeds(student=1).stream("student") != Seeds().stream("student")


@pytest.mark.parametrize(
    "draw",
    [lambda: float(torch.rand(())), lambda: float(np.random.rand()), random.random],
    ids=["torch", "numpy", "python"],
)
def test_seeded_draws_repeat_and_leave_the_generators_as_they_were(draw: Callable[[], float]) -> None:
    with seeded(1):
        draw()
        with seeded(7):
            first = draw()
        after = draw()
    with seeded(2**63 - 1), seeded(7):
        assert draw() == first
    with seeded(1):
        draw()
        assert draw() == after != first


def test_a_digest_sees_every_weight_and_buffer() -> None:
    with seeded(0):
        network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    digests = {state_digest(network)}
    with torch.no_grad():
        for value in network.state_dict().values():
            value.flatten()[:1].add_(1)
            digests.add(state_digest(network))
    assert len(digests) == 1 + len(network.state_dict())
