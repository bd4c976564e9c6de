"""Losses as equations: per image, unweighted, unreduced.

Where a loss is printed for a whole batch, an image's share of it is given, so that the mean over images
is the printed number, or the authors' code's where that is said to differ.

name                     of                             source
cross_entropy            logits, labels
softened_kl              logits, logits                 Hinton et al. 2015, arXiv 1503.02531
target_class_kl          logits, logits, labels         Zhao et al. 2022, arXiv 2203.08679
other_classes_kl         logits, logits, labels         the same
correlation_distance     rows, rows                     Huang et al. 2022, arXiv 2205.10536
squared_distance         anything, anything             Ba & Caruana 2014, arXiv 1312.6184 (on logits)
absolute_distance        anything, anything             Xu et al. 2017, arXiv 1709.00513 (on logits)
attention_distance       attention maps, attention maps Zagoruyko & Komodakis 2017, arXiv 1612.03928
similarity_distance      vectors, vectors               Tung & Mori 2019, arXiv 1907.09682
distance_relation        vectors, vectors               Park et al. 2019, arXiv 1904.05068
angle_relation           vectors, vectors               the same
probabilistic_transfer   vectors, vectors               Passalis & Tefas 2018, arXiv 1803.10837
gaussian_surprise        maps, maps, variance           Ahn et al. 2019, arXiv 1904.05835
noise_contrast           scores                         Tian et al. 2020, arXiv 1910.10699
pyramid_distance         maps, maps                     Chen et al. 2021, arXiv 2104.09044
taken_for_real / fake    an adversary's logit           Goodfellow et al. 2014, arXiv 1406.2661
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.models.batch_invariant import evenly


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(logits)[label]: (n, classes), (n,) → (n,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T²·KL(softmax(teacher/T) ‖ softmax(student/T)): (n, classes) twice → (n,).

    T² keeps the gradient's size the same for every temperature (Hinton et al. 2015, §2).
    """
    log_student = F.log_softmax(student / temperature, dim=1)
    log_teacher = F.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1)


def target_class_kl(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """T²·KL between (p, 1 − p) of teacher and student, p the softened probability of the label: → (n,)."""
    ours, theirs = (_label_and_rest(logits / temperature, labels) for logits in (student, teacher))
    return temperature**2 * F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)


def _label_and_rest(logits: Tensor, labels: Tensor) -> Tensor:
    """Log probabilities of the label and of all other classes together, (n, 2)."""
    log_all = F.log_softmax(logits, dim=1)
    of_label = log_all.gather(1, labels[:, None])
    of_rest = log_all.masked_fill(_is_label(log_all, labels), -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.cat([of_label, of_rest], dim=1)


def other_classes_kl(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """T²·KL between teacher and student over the classes that are not the label: → (n,)."""
    others = torch.arange(student.shape[1] - 1, device=labels.device)
    others = others + (others >= labels[:, None])  # by number: a mask would make a GPU wait for its size
    ours, theirs = (logits.gather(1, others) for logits in (student, teacher))
    return softened_kl(ours, theirs, temperature)


def _is_label(logits: Tensor, labels: Tensor) -> Tensor:
    return F.one_hot(labels, logits.shape[1]).bool()


def correlation_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 − Pearson's correlation of each row with its counterpart: (n, m) twice → (n,); 0 for equal rows.

    Rows without spread, such as a class's probabilities over a batch of one image, correlate with one
    another by 1 and with any other row by 0; they get no gradient, which would be 10⁸ there.
    """
    ours, theirs = _deviations(student), _deviations(teacher)
    equal = (ours == theirs).all(dim=1)
    distance: Tensor = 1 - F.cosine_similarity(ours, theirs, dim=1)
    return distance.masked_fill(equal, 0.0)


def _deviations(rows: Tensor) -> Tensor:
    """Rows less their means; zeros where that is but the mean's rounding."""
    deviations = rows - rows.mean(dim=1, keepdim=True)
    rounding = 4 * torch.finfo(rows.dtype).eps * torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return deviations.masked_fill(torch.linalg.vector_norm(deviations, dim=1, keepdim=True) <= rounding, 0.0)


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over entries of (student − teacher)²: (n, …) twice → (n,)."""
    return (student - teacher).square().flatten(1).mean(dim=1)


def absolute_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over entries of |student − teacher|: (n, …) twice → (n,)."""
    return (student - teacher).abs().flatten(1).mean(dim=1)


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """‖student − teacher‖₂, the printed equation's: (n, positions) twice → (n,)."""
    distance: Tensor = torch.linalg.vector_norm(student - teacher, dim=1)
    return distance


def similarity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """‖G_S − G_T‖²_F / b², G the rows' inner products with each row of length 1: (b, …) twice → (b,).

    An image's share is its row's, times b.
    """
    ours, theirs = (_directions(rows @ rows.T) for rows in (student.flatten(1), teacher.flatten(1)))
    return (ours - theirs).square().mean(dim=1)


def _directions(vectors: Tensor) -> Tensor:
    """Vectors of length 1, (…, d); one of length 0 stays and gets no gradient, which would be 10¹² there."""
    return F.normalize(vectors, dim=-1).where(vectors.any(dim=-1, keepdim=True), 0.0)


def distance_relation(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber distance of the pairs' distances, each in units of its batch's mean distance: (b, d) twice → (b,).

    The mean is over all b² pairs, as in the authors' code; the paper prints the sum.
    """
    ours, theirs = _distances(student), _distances(teacher)
    return F.smooth_l1_loss(ours, theirs, reduction="none").mean(dim=1)


def _distances(vectors: Tensor) -> Tensor:
    """Euclidean distances between rows over their mean over pairs of two rows, (b, b); zeros if all are equal."""
    squares = (vectors[:, None] - vectors[None]).square().sum(dim=2)
    apart = squares > 0
    distances = squares.where(apart, 1.0).sqrt().where(apart, 0.0)  # the root has no gradient at 0
    pairs = len(vectors) * (len(vectors) - 1)
    return distances / (distances.sum() / max(pairs, 1)).clamp(min=1e-12)


def angle_relation(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber distance of the cosines at the middle of every triple of images: (b, d) twice → (b,).

    An image's share is of the triples with their corner at it; the mean is over all b³, as in the authors' code.
    """
    ours, theirs = _cosines(student), _cosines(teacher)
    return F.smooth_l1_loss(ours, theirs, reduction="none").mean(dim=(1, 2))


def _cosines(vectors: Tensor) -> Tensor:
    """cos ∠(i, j, k) with its corner at the first index, (b, b, b)."""
    towards = _directions(vectors[None] - vectors[:, None])
    return towards @ towards.transpose(1, 2)


def probabilistic_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of who resembles whom, by cosine: (b, d) twice → (b,).

    An image's share is the mean over the batch of its row's terms, itself among them, as the authors' code
    has it; the paper prints the sums over rows, without an image's resemblance to itself.
    """
    ours, theirs = _resemblance(student), _resemblance(teacher)
    return (theirs * ((theirs + 1e-7).log() - (ours + 1e-7).log())).mean(dim=1)


def _resemblance(vectors: Tensor) -> Tensor:
    directions = _directions(vectors)
    closeness = (directions @ directions.T + 1) / 2
    return closeness / closeness.sum(dim=1, keepdim=True)


def gaussian_surprise(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """−log N(teacher; mean, variance) without its constant, mean over entries: (n, c, h, w) twice, (c,) → (n,)."""
    spread = variance[:, None, None]
    return 0.5 * ((teacher - mean).square() / spread + spread.log()).flatten(1).mean(dim=1)


def noise_contrast(scores: Tensor, images: int) -> Tensor:
    """Noise-contrastive estimation with the true pair first: scores (n, 1 + k) → (n,).

    −log h(true) − Σ log(1 − h(noise)), h = score / (score + k / images).
    """
    noise = (scores.shape[1] - 1) / images
    true, false = scores[:, 0], scores[:, 1:]
    return -(true / (true + noise + 1e-7)).log() - (noise / (false + noise + 1e-7)).log().sum(dim=1)


def pyramid_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of maps at full size and averaged to 4×4, 2×2 and 1×1: (n, c, h, w) twice → (n,).

    The mean of these with weights 1, ½, ¼, ⅛; sizes that are not below the maps' height are left out.
    """
    height = student.shape[2]
    sizes = [size for size in (4, 2, 1) if size < height]
    weights = [0.5**level for level in range(len(sizes) + 1)]
    distances = [squared_distance(student, teacher)]
    for size in sizes:
        ours, theirs = (F.adaptive_avg_pool2d(maps, size) for maps in (student, teacher))
        distances.append(squared_distance(ours, theirs))
    return sum(
        (weight * distance for weight, distance in zip(weights, distances, strict=True)), torch.zeros_like(distances[0])
    ) / sum(weights)


def taken_for_real(verdict: Tensor) -> Tensor:
    """−log D, where `verdict` is D's logit: (n,) → (n,); finite for every finite logit."""
    return evenly(F.softplus, -verdict)


def taken_for_fake(verdict: Tensor) -> Tensor:
    """−log(1 − D), where `verdict` is D's logit: (n,) → (n,)."""
    return evenly(F.softplus, verdict)
