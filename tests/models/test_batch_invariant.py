"""Each number is rounded alike, whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from harness.models.batch_invariant import _at_positions_of_members, at_positions, composed, evenly, squared_norms


@pytest.mark.parametrize("count", [1, 7, 31, 32, 33])
@pytest.mark.parametrize("apart", [1, 3])
def test_a_curve_does_not_depend_on_how_many_numbers_there_are_or_how_far_apart(count: int, apart: int) -> None:
    numbers = torch.randn(1024, generator=torch.Generator().manual_seed(0))
    many = evenly(F.softplus, numbers)
    assert torch.equal(evenly(F.softplus, numbers[::apart][:count]), many[::apart][:count])


@pytest.mark.parametrize("channels", [1, 4])
def test_two_linear_layers_are_one_and_in_a_stack_the_same(channels: int) -> None:
    torch.manual_seed(0)
    inner, outer, rows = torch.randn(6, 64, channels), torch.randn(6, 32, 64), torch.randn(6, channels)
    both = composed(outer, inner)
    for number in range(6):
        own = slice(number, number + 1)
        assert torch.equal(both[own], composed(outer[own], inner[own]))
        one_by_one = F.linear(F.linear(rows, inner[number]), outer[number])
        torch.testing.assert_close(F.linear(rows, both[number]), one_by_one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3)])
def test_a_linear_layer_at_every_position_is_that_layer(shape: tuple[int, int]) -> None:
    maps, weight = torch.randn(6, 4, *shape), torch.randn(3, 5, 4)
    plain = torch.stack([F.linear(maps[image].movedim(0, 2), weight[image // 2]).movedim(2, 0) for image in range(6)])
    torch.testing.assert_close(at_positions(maps, weight), plain)
    torch.testing.assert_close(at_positions(maps, weight[0]), F.linear(maps.movedim(1, 3), weight[0]).movedim(3, 1))
    torch.testing.assert_close(_at_positions_of_members(maps, weight), plain)


def test_a_row_s_square_is_that_of_all_its_numbers() -> None:
    rows = torch.randn(3, 640)
    torch.testing.assert_close(squared_norms(rows), rows.square().sum(dim=1))
