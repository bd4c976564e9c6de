"""The rivals' losses and their gradients against torchdistill's, written by others from the authors' code.

Each test weighs a method's losses, takes the mean over images as the trial loop does, and compares with
torchdistill's class on the same random numbers. Where the two differ, the factor is named and explained; where
no factor is named, there is none. DKD is not in torchdistill: its second implementation is here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchdistill.losses import mid_level

from harness.distill.at import AT, ATWeights
from harness.distill.crd import CRD, CRDWeights, Memory
from harness.distill.dist import DIST, DISTWeights
from harness.distill.dkd import DKD
from harness.distill.kd import KD
from harness.distill.losses import other_classes_kl, pyramid_distance, softened_kl, target_class_kl
from harness.distill.method import Lesson, Method, Pairing, Parts
from harness.distill.pkt import PKT, PKTWeights
from harness.distill.rkd import RKD, RKDWeights
from harness.distill.sp import SP, SPWeights
from harness.distill.vid import VID, VIDWeights
from harness.models.taps import EMBEDDING, Features

COUNT, CLASSES, IMAGES = 7, 5, 31
every_seed = pytest.mark.parametrize("seed", [0, 1, 2])

PRINTED_HALF = 0.5
"""AT's equation 2 prints ‖·‖₂ with β/2 before the sum; torchdistill's `mode="paper"` leaves the ½ to the weight."""

LONG = 1e6
"""PKT's lengths, where lengths are compared: torchdistill divides by length + 10⁻⁷ and we by the length."""


@pytest.fixture(autouse=True)
def doubles(seed: int) -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    yield
    torch.set_default_dtype(torch.float32)


def total(method: Method, student: Features, teacher: Features, parts: Parts, lesson: Lesson) -> Tensor:
    """What the trial loop steps down: the weighted losses, each as a mean over images."""
    with torch.no_grad():
        targets = method.targets(teacher, parts)
    losses, weights = method.losses(student, targets, lesson, parts), method.loss_weights
    return torch.stack([weights[name] * loss.mean() for name, loss in losses.items() if weights[name] > 0]).sum()


def agree(ours: Tensor, theirs: Tensor, learnt: list[Tensor], within: float = 1e-10) -> None:
    """Equal values, and equal gradients of everything that learns, by share of the largest entry."""
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=within)
    pairs = zip(torch.autograd.grad(ours, learnt), torch.autograd.grad(theirs, learnt), strict=True)
    for our_slope, their_slope in pairs:
        largest = float(their_slope.abs().max())
        assert largest > 0
        torch.testing.assert_close(our_slope, their_slope, rtol=0, atol=within * largest)


def lesson() -> Lesson:
    indices = torch.randperm(IMAGES)[:COUNT]
    return Lesson(indices % CLASSES, indices, torch.Generator().manual_seed(0))


def heard(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> tuple[Features, Features, Parts]:
    """What two networks say at paired taps, with random logits, and the pairing that fits."""

    def shapes(maps: dict[str, Tensor]) -> dict[str, tuple[int, int, int]]:
        return {tap: (found.shape[1], found.shape[2], found.shape[3]) for tap, found in maps.items()}

    pairing = Pairing(shapes(student), shapes(teacher), torch.arange(IMAGES) % CLASSES, CLASSES)
    logits = 3 * torch.randn(2, COUNT, CLASSES)
    return (
        Features(logits[0].clone().requires_grad_(), student),
        Features(logits[1].clone(), teacher),
        Parts(pairing, nn.Identity()),
    )


def with_part(method: Method, parts: Parts) -> Parts:
    return Parts(parts.pairing, method.student_part(parts.pairing).train())


def embeddings(length: float = 1.0) -> tuple[Features, Features, Parts]:
    ours = (length * torch.randn(COUNT, 9, 1, 1)).requires_grad_()
    return heard({EMBEDDING: ours}, {EMBEDDING: length * torch.randn(COUNT, 13, 1, 1)})


def maps() -> tuple[Features, Features, Parts]:
    """Two taps of awkward sizes, with other channels in each network."""
    ours = {"a": torch.randn(COUNT, 3, 7, 5).requires_grad_(), "b": torch.randn(COUNT, 4, 3, 3).requires_grad_()}
    return heard(ours, {"a": torch.randn(COUNT, 6, 7, 5), "b": torch.randn(COUNT, 5, 3, 3)})


def told(said: Features) -> dict[str, dict[str, Tensor]]:
    """Features as torchdistill's losses read them: module path → input or output → tensor."""
    return {tap: {"output": found} for tap, found in {"logits": said.logits, **said.maps}.items()}


def pairs_of(parts: Parts) -> dict[str, dict[str, dict[str, str]]]:
    return {
        tap: {"student": {"path": tap, "io": "output"}, "teacher": {"path": tap, "io": "output"}}
        for tap in parts.pairing.taps
    }


LOGITS = ("logits", "output", "logits", "output")
"""Where torchdistill finds the student's and the teacher's logits."""


@every_seed
def test_kd_whose_alpha_is_the_labels_share_there(seed: int) -> None:
    (student, teacher, parts), batch = embeddings(), lesson()
    theirs = mid_level.KDLoss(*LOGITS, temperature=3.0, alpha=1 - 0.7)
    agree(
        total(KD(temperature=3.0, alpha=0.7), student, teacher, parts, batch),
        theirs(told(student), told(teacher), batch.labels),
        [student.logits],
    )


@every_seed
def test_kd_without_labels_where_torchdistill_drops_the_squared_temperature(seed: int) -> None:
    student, teacher, parts = embeddings()
    dropped = 3.0**2  # with alpha None or 0 it returns the bare divergence, whatever beta is
    theirs = mid_level.KDLoss(*LOGITS, temperature=3.0, alpha=0)
    agree(
        total(KD(temperature=3.0, alpha=1.0), student, teacher, parts, lesson()),
        dropped * theirs(told(student), told(teacher)),
        [student.logits],
    )


@every_seed
@pytest.mark.parametrize(
    ("distance", "mode", "factor"),
    [("mean_square", "code", 1.0), ("norm", "paper", PRINTED_HALF)],
)
def test_at_in_both_forms(seed: int, distance: str, mode: str, factor: float) -> None:
    """There the code's form takes the mean over channels and the paper's the sum: at length 1 both are one map."""
    student, teacher, parts = maps()
    method = AT.model_validate({"distance": distance, "weights": ATWeights(cross_entropy=0, attention=1000)})
    theirs = mid_level.ATLoss(pairs_of(parts), mode=mode)
    agree(
        total(method, student, teacher, parts, lesson()),
        1000 * factor * theirs(told(student), told(teacher)),
        list(student.maps.values()),
    )


@every_seed
def test_sp_once_torchdistill_s_norm_is_the_paper_s(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It calls `normalize(G, 1)`, whose second argument is the norm's order and not the dimension.

    So its rows sum to 1 in absolute value, where the paper's (and RepDistiller's) have length 1. 'batchmean'
    divides by b², which is our mean over a row's entries and then over images.
    """
    student, teacher, parts = maps()
    method = SP(taps="all", weights=SPWeights(cross_entropy=0, similarity=3000))

    def summed() -> Tensor:
        losses = [mid_level.SPKDLoss(tap, tap, reduction="batchmean") for tap in parts.pairing.taps]
        return torch.stack([3000 * loss(told(student), told(teacher)) for loss in losses]).sum()

    ours = total(method, student, teacher, parts, lesson())
    assert float(ours.detach()) > 1.5 * float(summed().detach())
    monkeypatch.setattr(mid_level, "normalize", lambda rows, dim: F.normalize(rows, dim=dim))
    agree(ours, summed(), list(student.maps.values()))


@every_seed
@pytest.mark.parametrize(("distance", "angle"), [(25.0, 0.0), (0.0, 50.0), (25.0, 50.0)])
def test_rkd_by_distance_and_by_angle(seed: int, distance: float, angle: float) -> None:
    """Both take the mean over all b² pairs and b³ triples, an image with itself among them."""
    student, teacher, parts = embeddings()
    method = RKD(weights=RKDWeights(cross_entropy=0, distance=distance, angle=angle))
    theirs = mid_level.RKDLoss(EMBEDDING, EMBEDDING, distance, angle, reduction="mean")
    agree(
        total(method, student, teacher, parts, lesson()),
        theirs(told(student), told(teacher)),
        [student.maps[EMBEDDING]],
    )


@every_seed
def test_rkd_where_two_images_are_the_same(seed: int) -> None:
    """There two equal images are 10⁻⁶ apart (the root of its eps) and so are a pair in the mean; here they are 0."""
    student, teacher, parts = embeddings()
    ours, theirs = (said.maps[EMBEDDING].detach().clone() for said in (student, teacher))
    ours[3], theirs[3] = ours[1], theirs[1]
    student, teacher, parts = heard({EMBEDDING: ours.requires_grad_()}, {EMBEDDING: theirs})
    method = RKD(weights=RKDWeights(cross_entropy=0))
    independent = mid_level.RKDLoss(EMBEDDING, EMBEDDING, 25.0, 50.0, reduction="mean")
    agree(
        total(method, student, teacher, parts, lesson()),
        independent(told(student), told(teacher)),
        [student.maps[EMBEDDING]],
        within=1e-5,
    )


@every_seed
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dist_between_classes_and_within(seed: int, temperature: float) -> None:
    student, teacher, parts = embeddings()
    method = DIST(temperature=temperature, weights=DISTWeights(cross_entropy=0, inter_class=2, intra_class=3))
    theirs = mid_level.DISTLoss(*LOGITS, beta=2, gamma=3, tau=temperature)
    agree(
        total(method, student, teacher, parts, lesson()), theirs(told(student), told(teacher)), [student.logits], 1e-9
    )


@every_seed
@pytest.mark.parametrize(("length", "within"), [(LONG, 1e-9), (1.0, 1e-6)])
def test_pkt_but_for_what_is_added_to_lengths_there(seed: int, length: float, within: float) -> None:
    """Within the logarithms both add 10⁻⁷."""
    student, teacher, parts = embeddings(length)
    method = PKT(weights=PKTWeights(cross_entropy=0, resemblance=30_000))
    theirs = mid_level.PKTLoss(EMBEDDING, "output", EMBEDDING, "output")
    agree(
        total(method, student, teacher, parts, lesson()),
        30_000 * theirs(*(told(said.each(lambda maps: maps.flatten(1))) for said in (student, teacher))),
        [student.maps[EMBEDDING]],
        within,
    )


@every_seed
def test_vid_given_the_same_guess(seed: int) -> None:
    student, teacher, parts = maps()
    method = VID(weights=VIDWeights(cross_entropy=0, surprise=2))
    parts = with_part(method, parts)
    assert isinstance(parts.student, nn.ModuleList)
    guesses = {}
    for tap, guess in zip(parts.pairing.taps, parts.student, strict=True):
        mean, variance = guess(student.maps[tap])
        guesses[tap] = {"output": (mean, variance.view(1, -1, 1, 1))}
    theirs = mid_level.VIDLoss(pairs_of(parts))
    agree(
        total(method, student, teacher, parts, lesson()),
        2 * theirs(guesses, told(teacher)),
        [*student.maps.values(), *parts.student.parameters()],
    )


@every_seed
def test_crd_and_its_memory_over_two_batches(seed: int) -> None:
    """Each measures its own Z on the first batch. torchdistill cannot draw (it asks for a `self.prob` that is
    nowhere set), so it is given our draws; it keeps τ and momentum in single precision, so they are set again."""
    student, teacher, parts = embeddings()
    method = CRD(width=6, negatives=11, weights=CRDWeights(cross_entropy=0, contrast=0.8), momentum=0.3)
    parts = with_part(method, parts)
    memory = parts.student
    assert isinstance(memory, Memory)
    theirs = mid_level.CRDLoss("norm", "empty", "norm", 6, IMAGES, num_negative_samples=11, num_samples=IMAGES).double()
    theirs.params[1], theirs.params[4] = method.contrast_temperature, method.momentum
    theirs.memory_v1.copy_(memory.ours)
    theirs.memory_v2.copy_(memory.theirs)
    for _ in range(2):
        student, teacher, _ = embeddings()
        batch = lesson()
        others = memory.others(batch)
        batch.generator.manual_seed(0)  # so that the same are drawn again
        linear = F.normalize(memory.of_student(student.maps[EMBEDDING].flatten(1)))
        their_linear = F.normalize(memory.of_teacher(teacher.maps[EMBEDDING].flatten(1)))
        drawn = {"pos_idx": batch.indices, "contrast_idx": torch.cat([batch.indices[:, None], others], dim=1)}
        spoken = {"norm": {"output": linear}, "empty": {"input": drawn}}
        agree(
            total(method, student, teacher, parts, batch),
            0.8 * theirs(spoken, {"norm": {"output": their_linear}}).squeeze(),
            [student.maps[EMBEDDING], *memory.parameters()],
        )
        torch.testing.assert_close(memory.scale, theirs.params[2:4])
        torch.testing.assert_close(memory.ours, theirs.memory_v1)
        torch.testing.assert_close(memory.theirs, theirs.memory_v2)


@every_seed
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (5, 7), (9, 3)])
def test_reviewkd_s_pyramid(seed: int, size: tuple[int, int]) -> None:
    student, teacher = torch.randn(2, COUNT, 3, *size)
    student.requires_grad_()
    theirs = mid_level.HierarchicalContextLoss("s", "output", "t", "output")
    agree(
        pyramid_distance(student, teacher).mean(),
        theirs({"s": {"output": (student, None)}}, {"t": {"output": teacher}}),
        [student],
    )


@every_seed
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkd_from_explicit_probabilities_image_by_image(seed: int, temperature: float) -> None:
    """TCKD and NCKD as equations 5 and 6 print them, with products and quotients and no logarithm of a sum."""
    (student, teacher, parts), batch = embeddings(), lesson()
    method = DKD(alpha=1.5, beta=8, cross_entropy=0, temperature=temperature)
    images = []
    for ours, theirs, label in zip(student.logits, teacher.logits, batch.labels.tolist(), strict=True):
        powers = [(logits / temperature).exp() for logits in (theirs, ours)]
        p, q = (power / power.sum() for power in powers)
        target = p[label] * (p[label] / q[label]).log() + (1 - p[label]) * ((1 - p[label]) / (1 - q[label])).log()
        among = [
            p[i] / (1 - p[label]) * ((p[i] / (1 - p[label])) / (q[i] / (1 - q[label]))).log()
            for i in range(CLASSES)
            if i != label
        ]
        images.append(temperature**2 * (1.5 * target + 8 * torch.stack(among).sum()))
    agree(total(method, student, teacher, parts, batch), torch.stack(images).mean(), [student.logits], within=1e-8)


@every_seed
def test_dkd_s_parts_make_up_kd(seed: int) -> None:
    """KD = TCKD + (1 − p(label))·NCKD, the paper's equation 7: what it is named for."""
    (student, teacher, _), batch = embeddings(), lesson()
    unsure = 1 - (teacher.logits / 4).softmax(dim=1).gather(1, batch.labels[:, None]).squeeze(1)
    target = target_class_kl(student.logits, teacher.logits, batch.labels, 4.0)
    others = other_classes_kl(student.logits, teacher.logits, batch.labels, 4.0)
    agree((target + unsure * others).mean(), softened_kl(student.logits, teacher.logits, 4.0).mean(), [student.logits])
