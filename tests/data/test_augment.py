"""A view is named by its shift and its mirroring, and cut out exactly."""

from __future__ import annotations

import pytest
import torch

from harness.data.augment import Views, padded, random_views, seen

IMAGE = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=torch.uint8)[None, None]

# dy, dx → what is seen of IMAGE with a border of one zero; (1, 1) is unmoved.
NINE = {
    (0, 0): [[0, 0, 0], [0, 1, 2], [0, 4, 5]],
    (0, 1): [[0, 0, 0], [1, 2, 3], [4, 5, 6]],
    (0, 2): [[0, 0, 0], [2, 3, 0], [5, 6, 0]],
    (1, 0): [[0, 1, 2], [0, 4, 5], [0, 7, 8]],
    (1, 1): [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    (1, 2): [[2, 3, 0], [5, 6, 0], [8, 9, 0]],
    (2, 0): [[0, 4, 5], [0, 7, 8], [0, 0, 0]],
    (2, 1): [[4, 5, 6], [7, 8, 9], [0, 0, 0]],
    (2, 2): [[5, 6, 0], [8, 9, 0], [0, 0, 0]],
}


def view(dy: int, dx: int, mirrored: bool) -> Views:
    return Views(torch.tensor([dy]), torch.tensor([dx]), torch.tensor([mirrored]))


@pytest.mark.parametrize(("moved", "expected"), NINE.items())
def test_each_of_the_nine_views_is_as_by_hand(moved: tuple[int, int], expected: list[list[int]]) -> None:
    found = seen(padded(IMAGE, 1), torch.tensor([0]), view(*moved, False), 1)
    assert found.dtype == torch.uint8
    assert found[0, 0].tolist() == expected


@pytest.mark.parametrize(("moved", "expected"), NINE.items())
def test_a_mirrored_view_is_the_view_read_from_right_to_left(moved: tuple[int, int], expected: list[list[int]]) -> None:
    found = seen(padded(IMAGE, 1), torch.tensor([0]), view(*moved, True), 1)
    assert found[0, 0].tolist() == [row[::-1] for row in expected]


def test_every_image_of_a_batch_gets_its_own_view_in_all_channels() -> None:
    images = torch.randint(0, 256, (4, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = random_views(6, 2, True, torch.Generator().manual_seed(1))
    indices = torch.tensor([3, 0, 0, 2, 1, 3])
    found = seen(padded(images, 2), indices, views, 2)
    assert found.shape == (6, 3, 5, 7)
    for row, index in enumerate(indices.tolist()):
        dy, dx = int(views.dy[row]), int(views.dx[row])
        by_slicing = padded(images, 2)[index, :, dy : dy + 5, dx : dx + 7]
        assert torch.equal(found[row], by_slicing.flip(2) if views.mirrored[row] else by_slicing)


def test_without_shift_and_flip_an_image_is_itself() -> None:
    views = random_views(20, 0, False, torch.Generator().manual_seed(0))
    assert torch.equal(seen(padded(IMAGE, 0), torch.zeros(20, dtype=torch.int64), views, 0), IMAGE.expand(20, 1, 3, 3))


def test_views_are_drawn_from_all_there_are_and_evenly() -> None:
    views = random_views(18_000, 1, True, torch.Generator().manual_seed(0))
    numbers = (views.mirrored.long() * 3 + views.dy) * 3 + views.dx
    counts = torch.bincount(numbers, minlength=18)
    assert len(counts) == 18
    assert int(counts.min()) > 850  # 1,000 expected, standard deviation 31
    assert int(counts.max()) < 1150
