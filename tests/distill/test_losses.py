"""Each loss is its equation: against numbers worked out by hand, and nothing where there is nothing to learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.distill.losses import (
    absolute_distance,
    angle_relation,
    attention_distance,
    correlation_distance,
    cross_entropy,
    distance_relation,
    gaussian_surprise,
    noise_contrast,
    other_classes_kl,
    probabilistic_transfer,
    pyramid_distance,
    similarity_distance,
    softened_kl,
    squared_distance,
    taken_for_fake,
    taken_for_real,
    target_class_kl,
)

LN2, LN3 = math.log(2), math.log(3)

Distance = Callable[[Tensor, Tensor], Tensor]
RELATIONS: list[Distance] = [similarity_distance, distance_relation, angle_relation, probabilistic_transfer]
"""Of a batch's vectors among themselves; student and teacher may differ in width."""
ROWWISE: list[Distance] = [correlation_distance, squared_distance, absolute_distance, attention_distance]


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_cross_entropy_by_hand() -> None:
    # softmax(ln 3, 0) = (3/4, 1/4)
    logits = rows([LN3, 0.0], [LN3, 0.0], [5.0, 5.0])
    found = cross_entropy(logits, torch.tensor([0, 1, 0]))
    assert found.tolist() == pytest.approx([math.log(4 / 3), math.log(4), LN2])


def test_softened_kl_by_hand() -> None:
    # T = 2: teacher softmax(2·ln 3 / 2, 0) = (3/4, 1/4), student (1/2, 1/2).
    # 4·(3/4·ln(3/2) + 1/4·ln(1/2)) = 3·ln 3 − 4·ln 2
    found = softened_kl(rows([0.0, 0.0]), rows([2 * LN3, 0.0]), 2.0)
    assert found.tolist() == pytest.approx([3 * LN3 - 4 * LN2])


def test_softened_kl_is_of_the_teacher_from_the_student_and_not_the_reverse() -> None:
    # T = 1: 1/2·ln((1/2)/(3/4)) + 1/2·ln((1/2)/(1/4)) = ln 2 − 1/2·ln 3
    found = softened_kl(rows([LN3, 0.0]), rows([0.0, 0.0]), 1.0)
    assert found.tolist() == pytest.approx([LN2 - LN3 / 2])


def test_the_temperature_does_not_change_the_gradient_s_size() -> None:
    # For T → ∞ the gradient of T²·KL tends to (student − teacher)/classes for logits of mean 0 (Hinton et al., §2).
    student, teacher = rows([0.3, -0.3]).requires_grad_(), rows([-0.1, 0.1])
    softened_kl(student, teacher, 1e3).sum().backward()
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([0.2, -0.2], rel=1e-3)


def test_squared_distance_is_the_mean_over_all_entries_of_an_image() -> None:
    student = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    teacher = torch.tensor([[[1.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 1.0]]])
    assert squared_distance(student, teacher).tolist() == [(4 + 9) / 4, 0.25]


def test_verdicts_by_hand() -> None:
    # D = sigmoid(ln 3) = 3/4
    verdict = torch.tensor([LN3, 0.0, -LN3], dtype=torch.float64)
    assert taken_for_real(verdict).tolist() == pytest.approx([math.log(4 / 3), LN2, math.log(4)])
    assert taken_for_fake(verdict).tolist() == pytest.approx([math.log(4), LN2, math.log(4 / 3)])


def test_target_class_kl_by_hand() -> None:
    # T = 2: teacher softmax (1/2, 1/4, 1/4), student (1/3, 1/3, 1/3).
    # Label 0: 1/2·ln((1/2)/(1/3)) + 1/2·ln((1/2)/(2/3)) = 1/2·ln(9/8)
    # Label 1: 1/4·ln((1/4)/(1/3)) + 3/4·ln((3/4)/(2/3)) = 1/4·ln(3/4) + 3/4·ln(9/8)
    teacher = rows([2 * LN2, 0, 0], [2 * LN2, 0, 0])
    found = target_class_kl(torch.zeros_like(teacher), teacher, torch.tensor([0, 1]), 2.0)
    expected = [math.log(9 / 8) / 2, math.log(3 / 4) / 4 + 3 / 4 * math.log(9 / 8)]
    assert found.tolist() == pytest.approx([4 * value for value in expected])


def test_other_classes_kl_by_hand() -> None:
    # The same answers without the label. Label 0: both (1/2, 1/2), so 0.
    # Label 1: teacher (2/3, 1/3), student (1/2, 1/2): 2/3·ln(4/3) + 1/3·ln(2/3)
    teacher = rows([2 * LN2, 0, 0], [2 * LN2, 0, 0])
    found = other_classes_kl(torch.zeros_like(teacher), teacher, torch.tensor([0, 1]), 2.0)
    expected = [0.0, 2 / 3 * math.log(4 / 3) + math.log(2 / 3) / 3]
    assert found.tolist() == pytest.approx([4 * value for value in expected])


def test_two_classes_leave_no_others_to_compare() -> None:
    found = other_classes_kl(rows([1.0, 5.0], [2.0, 0.0]), rows([3.0, 1.0], [0.0, 9.0]), torch.tensor([0, 1]), 1.0)
    assert found.tolist() == [0.0, 0.0]


def test_correlation_distance_by_hand() -> None:
    # Deviations (−1, 0, 1) and (−3, −1, 4): 1 − 7/√(2·26); then a row turned round, and a row scaled and shifted.
    found = correlation_distance(
        rows([1, 2, 3], [3, 2, 1], [1, 2, 3], [3, 7, 5]), rows([2, 4, 9], [1, 2, 3], [-3, 7, 17], [3, 7, 5])
    )
    assert found.tolist() == pytest.approx([1 - 7 / math.sqrt(52), 2, 0, 0], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_without_spread_agree_with_one_another_and_with_nothing_else(dtype: torch.dtype) -> None:
    # 0.1 and 0.7 are not the mean of seven of themselves to the last bit.
    flat = torch.full((1, 7), 0.1, dtype=dtype, requires_grad=True)
    steep = torch.arange(7, dtype=dtype)[None]
    assert correlation_distance(flat, torch.full((1, 7), 0.7, dtype=dtype)).tolist() == [0.0]
    against = correlation_distance(flat, steep)
    assert against.tolist() == [1.0]
    (slope,) = torch.autograd.grad(against.sum(), flat)
    assert not slope.any()


def test_absolute_distance_is_the_mean_over_all_entries_of_an_image() -> None:
    assert absolute_distance(rows([1, 2], [0, 0]), rows([4, 1], [0, -1])).tolist() == [2.0, 0.5]


def test_attention_distance_is_a_length() -> None:
    assert attention_distance(rows([3, 0], [1, 1]), rows([0, 4], [1, 1])).tolist() == [5.0, 0.0]


def test_similarity_distance_by_hand() -> None:
    # G_S = I; G_T is all 1, its rows at length 1 (√½, √½). A row: (1 − √½)² + ½ = 2 − √2, over b = 2.
    found = similarity_distance(rows([1, 0], [0, 1]), rows([1, 0], [1, 0]))
    assert found.tolist() == pytest.approx([1 - math.sqrt(0.5)] * 2)


def test_distance_relation_by_hand() -> None:
    # On a line. Student 0, 1, 3: distances 1, 3, 2 over their mean 2; teacher 0, 1, 2: 1, 2, 1 over 4/3.
    # Differences −¼, 0, ¼ of the pairs 01, 02, 12, so ½·1/16 where not 0; a row has b = 3 entries.
    found = distance_relation(rows([0], [1], [3]), rows([0], [1], [2]))
    assert found.tolist() == pytest.approx([1 / 96, 2 / 96, 1 / 96])


def test_distance_relation_counts_equal_images_as_a_pair_and_is_linear_far_off() -> None:
    # Student 0, 0, 10: distances 0, 10, 10 over 20/3; teacher 0, 10, 0: 10, 0, 10 over 20/3.
    # Differences 3/2, 3/2, 0 of the pairs 01, 02, 12: Huber's 3/2 − 1/2.
    found = distance_relation(rows([0], [0], [10]), rows([0], [10], [0]))
    assert found.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])


def test_angle_relation_by_hand() -> None:
    # Student: right angle and two of 45°; teacher: three of 60°. An angle stands twice among its corner's b² = 9.
    found = angle_relation(rows([0, 0], [1, 0], [0, 1]), rows([0, 0], [1, 0], [0.5, math.sqrt(0.75)]))
    sharp = (math.sqrt(0.5) - 0.5) ** 2 / 9
    assert found.tolist() == pytest.approx([0.25 / 9, sharp, sharp])


def test_probabilistic_transfer_by_hand() -> None:
    # Student: cosines 1 and 0, so (1, ½) and (2/3, 1/3) as a distribution; teacher (½, ½).
    # Mean of ½·ln(3/4) and ½·ln(3/2), but for what is added within the logarithms.
    found = probabilistic_transfer(rows([1, 0], [0, 2]), rows([3, 0], [1, 0]))
    assert found.tolist() == pytest.approx([math.log(9 / 8) / 4] * 2, abs=1e-7)


def test_gaussian_surprise_by_hand() -> None:
    # Channel 1, σ² = 4, off by 2: ½·(1 + ln 4). Channel 2, σ² = 1, off by 3: ½·9.
    teacher = torch.tensor([2.0, 3.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 2, 3)
    found = gaussian_surprise(torch.zeros_like(teacher), teacher, torch.tensor([4.0, 1.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([(0.5 + LN2 + 4.5) / 2])


def test_gaussian_surprise_is_torch_s_likelihood_but_for_its_constant() -> None:
    torch.manual_seed(0)
    mean, teacher, variance = torch.randn(5, 3, 4, 2), torch.randn(5, 3, 4, 2), torch.rand(3) + 0.1
    whole = torch.distributions.Normal(mean, variance.sqrt()[:, None, None]).log_prob(teacher)
    constant = 0.5 * math.log(2 * math.pi)
    assert torch.allclose(
        gaussian_surprise(mean, teacher, variance), -whole.flatten(1).mean(dim=1) - constant, atol=1e-5
    )


def test_noise_contrast_by_hand() -> None:
    # k / images = 2/4. True: h = ½/(½ + ½) = ½. Noise: 1 − h = ½ at a score of ½, ¼ at one of 3/2.
    # The second image: h = ¾, and 1 − h = 1 at scores of 0.
    found = noise_contrast(rows([0.5, 0.5, 1.5], [1.5, 0, 0]), 4)
    assert found.tolist() == pytest.approx([4 * LN2, math.log(4 / 3)], abs=1e-6)


def test_pyramid_distance_by_hand() -> None:
    # 2×2: squares 1, 1, 9, 1, so 3; the mean's square 1, at half the weight.
    teacher = torch.tensor([[1.0, -1.0], [3.0, 1.0]])[None, None]
    assert pyramid_distance(torch.zeros_like(teacher), teacher).tolist() == pytest.approx([(3 + 1 / 2) / 1.5])


def test_pyramid_distance_weighs_sizes_by_halves() -> None:
    # 8×8 that is 1 in two columns of eight: 1/4 at full size, at 4×4 and as a column of 2×2 squared: (1/2)²·1/2;
    # at 1×1 (1/4)².
    teacher = torch.zeros(1, 1, 8, 8)
    teacher[..., :2] = 1
    expected = (1 / 4 + 1 / 2 * 1 / 4 + 1 / 4 * 1 / 8 + 1 / 8 * 1 / 16) / (1 + 1 / 2 + 1 / 4 + 1 / 8)
    assert pyramid_distance(torch.zeros_like(teacher), teacher).tolist() == pytest.approx([expected])


@pytest.mark.parametrize("distance", [*RELATIONS, *ROWWISE, lambda a, b: pyramid_distance(*as_maps(a, b))])
def test_equal_inputs_are_at_distance_0_and_others_are_not(distance: Distance) -> None:
    vectors, others = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert distance(vectors, vectors.clone()).tolist() == pytest.approx([0.0] * 8, abs=1e-9)
    assert float(distance(vectors, others).mean()) > 1e-3


def as_maps(*vectors: Tensor) -> tuple[Tensor, ...]:
    return tuple(each.view(len(each), 1, 4, 4) for each in vectors)


def dist_s(student: Tensor, teacher: Tensor) -> Tensor:
    """Both of DIST's correlations of probabilities, an image's and a class's."""
    ours, theirs = student.softmax(dim=1), teacher.softmax(dim=1)
    return correlation_distance(ours, theirs) + correlation_distance(ours.T, theirs.T).mean()


MEANT_FOR_ANY_BATCH = [*RELATIONS, dist_s, attention_distance]
HARD_BATCHES = {
    "one image": torch.tensor([[1.0, -2.0, 0.5]]),
    "one image of zeros": torch.zeros(1, 3),
    "two equal images": torch.tensor([[1.0, -2.0, 0.5], [1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]),
    "an image of zeros": torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]),
    "all images equal": torch.full((4, 3), 0.1),
    "all zeros": torch.zeros(4, 3),
    "opposite images": torch.tensor([[1.0, -2.0, 0.5], [-1.0, 2.0, -0.5]]),
    "huge": torch.tensor([[1e6, -2e6, 0.5], [1.0, 2e6, -0.5], [0.0, 0.0, 1e6]]),
    "tiny": torch.tensor([[1e-6, -2e-6, 0.5e-6], [1e-6, 2e-6, 0.0], [0.0, 0.0, 1e-6]]),
}


@pytest.mark.parametrize("batch", HARD_BATCHES.values(), ids=HARD_BATCHES.keys())
@pytest.mark.parametrize("distance", MEANT_FOR_ANY_BATCH)
def test_hard_batches_give_finite_losses_and_gradients(distance: Distance, batch: Tensor) -> None:
    """Against an ordinary teacher, against itself, and with the gradient of the size of the vectors' own."""
    ordinary = torch.randn(batch.shape, generator=torch.Generator().manual_seed(0))
    size = float(batch.abs()[batch != 0].min()) if batch.any() else 1.0
    for teacher in (ordinary, batch):
        student = batch.clone().requires_grad_()
        found = distance(student, teacher)
        found.sum().backward()
        assert found.shape == (len(batch),)
        assert found.isfinite().all()
        assert student.grad is not None
        assert float(student.grad.abs().max()) < 100 / min(size, 1)


def batches(least: int = 2) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Student's and teacher's vectors of a batch, of other widths."""

    def drawn(seed: int, count: int, ours: int, theirs: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(count, d, generator=generator, dtype=torch.float64) for d in (ours, theirs))  # type: ignore[return-value]

    width = st.integers(2, 7)
    return st.builds(drawn, st.integers(0, 2**32), st.integers(least, 6), width, width)


scales = st.floats(1e-3, 1e3)


@pytest.mark.parametrize("relation", RELATIONS)
@given(batch=batches(), scale=scales)
@settings(max_examples=25, deadline=None)
def test_relations_do_not_know_the_size_or_the_axes_of_an_embedding(
    relation: Distance, batch: tuple[Tensor, Tensor], scale: float
) -> None:
    student, teacher = batch
    turn, _ = torch.linalg.qr(torch.vander(torch.arange(1.0, student.shape[1] + 1, dtype=torch.float64)))
    before = relation(student, teacher)
    assert torch.allclose(relation(scale * student @ turn, teacher), before, atol=1e-9)
    assert torch.allclose(relation(student, -scale * teacher), before, atol=1e-9)


@pytest.mark.parametrize("relation", [distance_relation, angle_relation])
@given(batch=batches(), shift=st.floats(-10, 10))
@settings(max_examples=25, deadline=None)
def test_rkd_does_not_know_where_the_origin_is(relation: Distance, batch: tuple[Tensor, Tensor], shift: float) -> None:
    student, teacher = batch
    assert torch.allclose(relation(student + shift, teacher), relation(student, teacher), atol=1e-9)


@pytest.mark.parametrize("relation", [similarity_distance, distance_relation, angle_relation])
@given(batch=batches())
@settings(max_examples=25, deadline=None)
def test_relations_are_symmetric_but_for_pkt_s_divergence(relation: Distance, batch: tuple[Tensor, Tensor]) -> None:
    student, teacher = batch
    assert torch.allclose(relation(student, teacher), relation(teacher, student), atol=1e-12)


@given(batch=batches())
@settings(max_examples=25, deadline=None)
def test_pkt_is_0_or_more(batch: tuple[Tensor, Tensor]) -> None:
    student, teacher = batch
    assert float(probabilistic_transfer(student, teacher).min()) > -1e-6


@pytest.mark.parametrize("relation", RELATIONS)
@given(batch=batches(least=3))
@settings(max_examples=25, deadline=None)
def test_each_image_has_its_own_share_of_a_relation(relation: Distance, batch: tuple[Tensor, Tensor]) -> None:
    student, teacher = batch
    order = torch.arange(len(student)).roll(1)
    assert torch.allclose(relation(student[order], teacher[order]), relation(student, teacher)[order], atol=1e-12)


@given(batch=batches(), scale=scales, shift=st.floats(-10, 10))
@settings(max_examples=25, deadline=None)
def test_correlation_is_symmetric_and_does_not_know_scale_or_shift(
    batch: tuple[Tensor, Tensor], scale: float, shift: float
) -> None:
    width = min(each.shape[1] for each in batch)
    student, teacher = (each[:, :width] for each in batch)
    before = correlation_distance(student, teacher)
    assert torch.allclose(correlation_distance(teacher, student), before, atol=1e-9)
    assert torch.allclose(correlation_distance(scale * student + shift, teacher), before, atol=1e-6)
    assert torch.allclose(correlation_distance(-student, teacher), 2 - before, atol=1e-9)


@given(batch=batches())
@settings(max_examples=25, deadline=None)
def test_dkd_s_divergences_are_0_or_more_whatever_is_added_to_logits(batch: tuple[Tensor, Tensor]) -> None:
    width = min(each.shape[1] for each in batch)
    student, teacher = (each[:, :width] for each in batch)
    labels = torch.arange(len(student)) % width
    for divergence in (target_class_kl, other_classes_kl):
        found = divergence(student, teacher, labels, 2.0)
        assert float(found.min()) > -1e-12
        assert torch.allclose(divergence(student + 7, teacher - 3, labels, 2.0), found, atol=1e-9)


def test_noise_contrast_falls_as_the_true_score_rises_and_rises_with_the_noise() -> None:
    scores = torch.full((5, 4), 0.2, dtype=torch.float64)
    true, noise = scores.clone(), scores.clone()
    true[:, 0] = noise[:, 2] = torch.linspace(0.1, 0.9, 5)
    assert all(earlier > later for earlier, later in pairwise(noise_contrast(true, 10).tolist()))
    assert all(earlier < later for earlier, later in pairwise(noise_contrast(noise, 10).tolist()))


@pytest.mark.parametrize("distance", [squared_distance, lambda a, b: softened_kl(a, b, 4.0)])
def test_nothing_is_lost_where_student_equals_teacher(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    assert distance(logits, logits.clone()).tolist() == pytest.approx([0.0] * 8, abs=1e-12)
    assert float(distance(logits, logits + torch.eye(10, dtype=torch.float64)[0]).min()) > 0


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize(
    "loss",
    [
        lambda logits: cross_entropy(logits, torch.tensor([0, 1])),
        lambda logits: softened_kl(logits, -logits.detach(), 4.0),
        lambda logits: squared_distance(logits, -logits.detach()),
        lambda logits: taken_for_real(logits[:, 0]),
        lambda logits: taken_for_fake(logits[:, 0]),
        lambda logits: target_class_kl(logits, -logits.detach(), torch.tensor([0, 1]), 4.0),
        lambda logits: other_classes_kl(logits, -logits.detach(), torch.tensor([0, 1]), 4.0),
    ],
)
def test_huge_logits_give_finite_losses_and_gradients(loss: Callable[[Tensor], Tensor], size: float) -> None:
    logits = torch.tensor([[size, 0.0, -size], [0.0, size, size]], requires_grad=True)
    found = loss(logits)
    found.sum().backward()
    assert found.shape == (2,)
    assert found.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0 or bool((found < 1e-6).any())
