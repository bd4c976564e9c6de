"""What a rival does beyond its equation: stages, warm-ups, memories, levels, variances."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness.distill.at import AT
from harness.distill.crd import CRD, Memory
from harness.distill.dist import DIST
from harness.distill.dkd import DKD
from harness.distill.fitnet import FitNet, FitNetWeights
from harness.distill.losses import pyramid_distance
from harness.distill.method import Lesson, Losses, Method, Pairing, Parts
from harness.distill.reviewkd import Fusion, ReviewKD
from harness.distill.vid import VID, Guess
from harness.models.taps import EMBEDDING, Features

CLASSES = 3
LABELS = torch.tensor([0, 1, 2, 0, 1, 0, 0, 1, 2, 0, 1, 0])
"""Of the training images: six of class 0, four of class 1, two of class 2."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pairing(student: dict[str, tuple[int, int, int]], teacher: dict[str, tuple[int, int, int]]) -> Pairing:
    return Pairing(student, teacher, LABELS, CLASSES)


def lesson(*indices: int, seed: int = 0) -> Lesson:
    chosen = torch.tensor(indices)
    return Lesson(LABELS[chosen], chosen, torch.Generator().manual_seed(seed))


def saying(**maps: Tensor) -> Features:
    return Features(torch.randn(len(next(iter(maps.values()))), CLASSES), maps)


def losses(method: Method, student: Features, teacher: Features, parts: Parts, batch: Lesson) -> Losses:
    return method.losses(student, method.targets(teacher, parts), batch, parts)


# FitNet


def test_fitnet_learns_the_hint_first_and_then_labels_and_answers_whose_weight_falls_to_a_quarter() -> None:
    method = FitNet(hint_share=0.25, weights=FitNetWeights(cross_entropy=1, softened_kl=4, hint=3))
    for epoch in range(4):
        assert method.weights_at(epoch / 16) == {"cross_entropy": 0, "softened_kl": 0, "hint": 3}
    after = [method.weights_at(epoch / 16) for epoch in range(4, 17)]
    assert all(weights["cross_entropy"] == 1 and weights["hint"] == 0 for weights in after)
    assert [weights["softened_kl"] for weights in after] == pytest.approx([4 - epoch / 4 for epoch in range(13)])


def test_fitnet_in_one_stage_learns_all_throughout() -> None:
    method = FitNet(stages="one")
    assert method.weights_at(0) == method.weights_at(0.99) == method.loss_weights
    assert all(weight > 0 for weight in method.loss_weights.values())


def test_fitnet_s_hint_is_the_mean_square_of_what_its_regressor_says() -> None:
    method, shapes = FitNet(), pairing({"a": (2, 4, 4)}, {"a": (5, 4, 4)})
    parts = Parts(shapes, method.student_part(shapes))
    student, teacher = saying(a=torch.randn(3, 2, 4, 4)), saying(a=torch.randn(3, 5, 4, 4))
    guided = parts.student({"a": student.maps["a"]})["a"]
    assert guided.shape == (3, 5, 4, 4)
    expected = torch.stack(
        [(ours - theirs).square().mean() for ours, theirs in zip(guided, teacher.maps["a"], strict=True)]
    )
    assert torch.allclose(losses(method, student, teacher, parts, lesson(0, 1, 2))["hint"], expected)


# DKD and ReviewKD


@pytest.mark.parametrize(
    ("method", "grown"), [(DKD(warmup=0.25), {"target_class", "other_classes"}), (ReviewKD(warmup=0.25), {"review"})]
)
def test_the_warm_up_lets_the_teacher_s_part_grow_in_equal_steps_and_the_labels_alone(
    method: Method, grown: set[str]
) -> None:
    schedule = [method.weights_at(epoch / 16) for epoch in range(16)]
    for name, weight in method.loss_weights.items():
        shares = [0, 1 / 4, 1 / 2, 3 / 4] + [1] * 12 if name in grown else [1] * 16
        assert [weights[name] for weights in schedule] == pytest.approx([weight * share for share in shares]), name


@pytest.mark.parametrize("method", [DKD(warmup=0), ReviewKD(warmup=0)])
def test_without_a_warm_up_the_weights_stand_from_the_first_epoch(method: Method) -> None:
    assert method.weights_at(0) == method.loss_weights


REVIEWED = pairing({"a": (2, 8, 8), "b": (3, 4, 4)}, {"a": (5, 8, 8), "b": (7, 4, 4)})


def levels_of(method: ReviewKD) -> tuple[Features, Features, Parts]:
    parts = Parts(REVIEWED, method.student_part(REVIEWED).eval())
    student = saying(a=torch.randn(4, 2, 8, 8), b=torch.randn(4, 3, 4, 4))
    return student, saying(a=torch.randn(4, 5, 8, 8), b=torch.randn(4, 7, 4, 4)), parts


@pytest.mark.parametrize(("pooled", "sizes"), [(True, [(7, 1), (7, 4), (5, 8)]), (False, [(7, 4), (5, 8)])])
def test_reviewkd_s_levels_go_from_the_deepest_to_the_shallowest(pooled: bool, sizes: list[tuple[int, int]]) -> None:
    method = ReviewKD(pooled=pooled, width=6)
    _, teacher, parts = levels_of(method)
    levels = {name: target for name, target in method.targets(teacher, parts).items() if name != "logits"}
    assert list(levels) == [f"level {number}" for number in range(len(sizes))]
    assert [tuple(level.shape[1:3]) for level in levels.values()] == sizes
    assert torch.equal(levels[f"level {len(sizes) - 1}"], teacher.maps["a"])
    if pooled:
        assert torch.allclose(levels["level 0"].flatten(1), teacher.maps["b"].mean(dim=(2, 3)))


def test_reviewkd_is_the_sum_of_its_levels_each_fused_with_the_deeper() -> None:
    method = ReviewKD(width=6)
    student, teacher, parts = levels_of(method)
    assert isinstance(parts.student, nn.ModuleList)
    first, second, third = parts.student
    pooled = student.maps["b"].mean(dim=(2, 3), keepdim=True)
    reviewed, deeper = first(pooled, None)
    expected = pyramid_distance(reviewed, teacher.maps["b"].mean(dim=(2, 3), keepdim=True))
    reviewed, deeper = second(student.maps["b"], deeper)
    expected = expected + pyramid_distance(reviewed, teacher.maps["b"])
    reviewed, _ = third(student.maps["a"], deeper)
    expected = expected + pyramid_distance(reviewed, teacher.maps["a"])
    assert torch.allclose(losses(method, student, teacher, parts, lesson(0, 1, 2, 3))["review"], expected)


def test_reviewkd_s_fusion_is_as_wide_as_the_student_s_deepest_map_unless_told() -> None:
    for method, width in ((ReviewKD(), 3), (ReviewKD(width=6), 6)):
        _, _, parts = levels_of(method)
        assert isinstance(parts.student, nn.ModuleList)
        assert [fusion.leave[0].in_channels for fusion in parts.student] == [width] * 3


def test_a_shallow_level_learns_through_the_student_s_deeper_maps_too() -> None:
    method = ReviewKD(width=6)
    student, teacher, parts = levels_of(method)
    deep = student.maps["b"].requires_grad_()
    assert isinstance(parts.student, nn.ModuleList)
    first, second, third = parts.student
    _, deeper = second(deep, first(deep.mean(dim=(2, 3), keepdim=True), None)[1])
    reviewed, _ = third(student.maps["a"], deeper)
    (slope,) = torch.autograd.grad(pyramid_distance(reviewed, teacher.maps["a"]).sum(), deep)
    assert slope.abs().sum() > 0


def test_reviewkd_s_fusion_weighs_both_maps_at_every_position() -> None:
    fusion = Fusion(2, 6, 5, is_first=False).eval()
    maps, deeper = torch.randn(3, 2, 4, 4), torch.randn(3, 6, 2, 2)
    assert fusion.attend is not None
    with torch.no_grad():
        fusion.attend[0].weight.zero_()
        fusion.attend[0].bias.copy_(torch.tensor([math.log(3), 0.0]))  # sigmoid: 3/4 and 1/2
    said, fused = fusion(maps, deeper)
    enlarged = deeper.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.allclose(fused, 0.75 * fusion.enter(maps) + 0.5 * enlarged, atol=1e-6)
    assert said.shape == (3, 5, 4, 4)


# CRD

EMBEDDED = pairing({EMBEDDING: (4, 1, 1)}, {EMBEDDING: (5, 1, 1)})


def remembering(**settings: object) -> tuple[CRD, Memory, Parts]:
    method = CRD.model_validate({"width": 6, "negatives": 10, **settings})
    memory = method.student_part(EMBEDDED)
    assert isinstance(memory, Memory)
    return method, memory.train(), Parts(EMBEDDED, memory)


def embedded(count: int, size: float = 1.0) -> tuple[Features, Features]:
    return (
        Features(torch.randn(count, CLASSES), {EMBEDDING: size * torch.randn(count, 4, 1, 1)}),
        Features(torch.randn(count, CLASSES), {EMBEDDING: size * torch.randn(count, 5, 1, 1)}),
    )


def test_crd_s_noise_is_of_other_classes_and_each_of_their_images_alike() -> None:
    _, memory, _ = remembering(negatives=12)
    for image in (0, 1, 2, 10):
        drawn = memory.others(lesson(*[image] * 2_500))
        assert drawn.shape == (2_500, 12)
        counts = torch.bincount(drawn.flatten(), minlength=len(LABELS))
        others = LABELS[image] != LABELS
        assert not counts[~others].any()
        expected = 30_000 / int(others.sum())
        assert float((counts[others] - expected).abs().max()) < 5 * math.sqrt(expected)


def test_crd_draws_no_more_than_there_are_images() -> None:
    _, memory, _ = remembering(negatives=16_384)
    assert memory.others(lesson(0, 1)).shape == (2, len(LABELS))


def test_crd_draws_by_the_lesson_s_generator_alone() -> None:
    _, memory, _ = remembering()
    first = memory.others(lesson(0, 1, seed=5))
    torch.rand(3)
    assert torch.equal(memory.others(lesson(0, 1, seed=5)), first)
    assert not torch.equal(memory.others(lesson(0, 1, seed=6)), first)


def test_crd_remembers_the_batch_s_images_by_momentum_at_length_1_and_no_others() -> None:
    method, memory, parts = remembering(momentum=0.25)
    student, teacher = embedded(3)
    before, batch = memory.ours.clone(), lesson(7, 2, 4)
    vectors = nn.functional.normalize(memory.of_student(student.maps[EMBEDDING].flatten(1)))
    losses(method, student, teacher, parts, batch)
    expected = 0.25 * before[batch.indices] + 0.75 * vectors
    expected = expected / torch.linalg.vector_norm(expected, dim=1, keepdim=True)
    assert torch.allclose(memory.ours[batch.indices], expected, atol=1e-6)
    untouched = torch.ones(len(LABELS), dtype=torch.bool)
    untouched[batch.indices] = False
    assert torch.equal(memory.ours[untouched], before[untouched])
    assert torch.linalg.vector_norm(memory.theirs[batch.indices], dim=1).tolist() == pytest.approx([1.0] * 3)
    assert not memory.ours.requires_grad


def test_crd_compares_with_what_was_remembered_before_the_batch() -> None:
    method, _, parts = remembering(momentum=0)
    student, teacher = embedded(3)
    first = losses(method, student, teacher, parts, lesson(7, 2, 4))["contrast"]
    again = losses(method, student, teacher, parts, lesson(7, 2, 4))["contrast"]
    assert float(again.mean().detach()) != pytest.approx(float(first.mean().detach()))


def test_crd_measures_z_on_the_first_batch_and_never_again() -> None:
    method, memory, parts = remembering()
    assert memory.scale.tolist() == [0, 0]
    student, teacher = embedded(3)
    before, batch = memory.theirs.clone(), lesson(0, 1, 2)
    drawn = torch.cat([batch.indices[:, None], memory.others(lesson(0, 1, 2))], dim=1)
    vectors = nn.functional.normalize(memory.of_student(student.maps[EMBEDDING].flatten(1)))
    scores = torch.einsum("nkd,nd->nk", before[drawn], vectors).div(0.07).exp()
    losses(method, student, teacher, parts, batch)
    measured = memory.scale.clone()
    assert float(measured[0]) == pytest.approx(float(scores.detach().mean() * len(LABELS)), rel=1e-4)
    losses(method, *embedded(3), parts, lesson(5, 6, 8, seed=1))
    assert torch.equal(memory.scale, measured)


def test_crd_s_memory_and_z_are_in_its_checkpoint() -> None:
    method, memory, parts = remembering()
    losses(method, *embedded(3), parts, lesson(0, 1, 2))
    _, another, _ = remembering()
    another.load_state_dict(memory.state_dict())
    assert torch.equal(another.ours, memory.ours)
    assert torch.equal(another.theirs, memory.theirs)
    assert torch.equal(another.scale, memory.scale)


def test_crd_does_not_know_the_size_of_embeddings_once_its_layers_have_no_bias() -> None:
    method, memory, parts = remembering(momentum=0.5)
    with torch.no_grad():
        memory.of_student.bias.zero_()
        memory.of_teacher.bias.zero_()
    memory.scale.fill_(20.0)
    memory.eval()
    student, teacher = embedded(3)
    larger = student.each(lambda tensor: 1000 * tensor)
    before = losses(method, student, teacher, parts, lesson(0, 1, 2))["contrast"]
    after = losses(method, larger, teacher, parts, lesson(0, 1, 2))["contrast"]
    assert torch.allclose(after, before, rtol=1e-4)


# VID


def test_vid_s_variance_starts_where_it_is_told_and_stays_above_its_floor() -> None:
    guess = Guess(2, 3, first_variance=5.0)
    _, variance = guess(torch.randn(4, 2, 5, 5))
    assert variance.tolist() == pytest.approx([5.0] * 3)
    with torch.no_grad():
        guess.spread.fill_(-1000.0)
    _, least = guess(torch.randn(4, 2, 5, 5))
    assert least.tolist() == pytest.approx([1e-5] * 3)


def test_vid_s_variance_settles_at_the_mean_square_of_what_is_left_to_guess() -> None:
    """The minimum over σ² of ½·(r²/σ² + ln σ²) is the mean of r², for each channel."""
    method, shapes = VID(), pairing({"a": (2, 3, 3)}, {"a": (4, 3, 3)})
    parts = Parts(shapes, method.student_part(shapes))
    student, teacher = saying(a=torch.randn(6, 2, 3, 3)), saying(a=3 * torch.randn(6, 4, 3, 3))
    assert isinstance(parts.student, nn.ModuleList)
    guess = parts.student[0]
    assert isinstance(guess, Guess)
    left = (teacher.maps["a"] - guess(student.maps["a"])[0]).square().mean(dim=(0, 2, 3))
    with torch.no_grad():
        guess.spread.copy_(left.expm1().log())
    surprise = losses(method, student, teacher, parts, lesson(0, 1, 2, 3, 4, 5))["surprise"].mean()
    (slope,) = torch.autograd.grad(surprise, guess.spread)
    assert slope.tolist() == pytest.approx([0.0] * 4, abs=1e-5)


def test_vid_refuses_a_variance_at_its_floor() -> None:
    with pytest.raises(ValidationError, match="first_variance"):
        VID(first_variance=1e-6)


# AT

ONE_TAP = pairing({"a": (2, 1, 2)}, {"a": (2, 1, 2)})


def attention_of(**settings: object) -> list[float]:
    """Of a map with the channels (1, −2) and (3, 1) over two positions."""
    method = AT.model_validate(settings)
    maps = torch.tensor([[[[1.0, -2.0]], [[3.0, 1.0]]]])
    targets = method.targets(saying(a=maps), Parts(ONE_TAP, nn.Identity()))
    found: list[float] = targets["attention a"][0].tolist()
    return found


@pytest.mark.parametrize(
    ("over_channels", "power", "strength"),
    [
        ("sum", 1, (4, 3)),
        ("sum", 2, (10, 5)),
        ("sum", 2.5, (1 + 3**2.5, 2**2.5 + 1)),
        ("max", 1, (3, 2)),
        ("max", 2, (9, 4)),
        ("max", 3, (27, 8)),
    ],
)
def test_at_s_map_is_the_sum_or_the_largest_of_powers_at_length_1(
    over_channels: str, power: float, strength: tuple[float, float]
) -> None:
    length = math.hypot(*strength)
    found = attention_of(over_channels=over_channels, power=power)
    assert found == pytest.approx([value / length for value in strength])


def test_at_by_the_printed_norm_is_half_the_distance_and_by_the_code_the_mean_square() -> None:
    student, teacher = saying(a=torch.tensor([[[[1.0, 0.0]]]])), saying(a=torch.tensor([[[[0.0, 1.0]]]]))
    parts = Parts(pairing({"a": (1, 1, 2)}, {"a": (1, 1, 2)}), nn.Identity())
    found = {
        distance: losses(AT.model_validate({"distance": distance}), student, teacher, parts, lesson(0))["attention"]
        for distance in ("norm", "mean_square")
    }
    assert float(found["norm"]) == pytest.approx(math.sqrt(2) / 2)
    assert float(found["mean_square"]) == pytest.approx(1.0)


def test_at_averages_the_larger_map_down_and_sums_over_taps() -> None:
    shapes = pairing({"a": (1, 2, 2), "b": (1, 1, 2)}, {"a": (1, 1, 2), "b": (1, 1, 2)})
    student = saying(a=torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]), b=torch.tensor([[[[1.0, 0.0]]]]))
    teacher = saying(a=torch.tensor([[[[1.0, 0.0]]]]), b=torch.tensor([[[[0.0, 1.0]]]]))
    found = losses(AT(), student, teacher, Parts(shapes, nn.Identity()), lesson(0))["attention"]
    assert found.tolist() == pytest.approx([0.0 + 1.0])


# DIST


def test_dist_gives_every_image_the_same_share_of_what_is_between_images() -> None:
    said = [Features(3 * torch.randn(4, CLASSES), {}) for _ in range(2)]
    parts = Parts(pairing({}, {}), nn.Identity())
    found = losses(DIST(), *said, parts, lesson(0, 1, 2, 3))
    assert len(set(found["intra_class"].tolist())) == 1
    assert len(set(found["inter_class"].tolist())) == 4


def test_dist_asks_of_a_batch_of_one_image_for_its_classes_alone() -> None:
    student, teacher = (Features(3 * torch.randn(1, CLASSES), {}) for _ in range(2))
    student = replace(student, logits=student.logits.requires_grad_())
    found = losses(DIST(), student, teacher, Parts(pairing({}, {}), nn.Identity()), lesson(0))
    assert found["intra_class"].tolist() == [0.0]
    torch.stack(list(found.values())).sum().backward()
    assert student.logits.grad is not None
    assert student.logits.grad.isfinite().all()
