"""Every thing that is random has a stream of its own."""

from __future__ import annotations

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


def test_seeded_draws_repeat_and_leave_the_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    with seeded(7):
        first = torch.rand(3)
    with seeded(7):
        second = torch.rand(3)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_digest_sees_every_weight_and_buffer() -> None:
    with seeded(0):
        network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    digests = {state_digest(network)}
    with torch.no_grad():
        for value in network.state_dict().values():
            value.flatten()[:1].add_(1)
            digests.add(state_digest(network))
    assert len(digests) == 1 + len(network.state_dict())
