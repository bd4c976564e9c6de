"""Losses as equations: per image, unweighted, unreduced.

name                   of                       source
cross_entropy          logits, labels
softened_kl            logits, logits           Hinton et al. 2015, arXiv 1503.02531
squared_distance       anything, anything       Ba & Caruana 2014, arXiv 1312.6184 (on logits)
real / fake            an adversary's logit     Goodfellow et al. 2014, arXiv 1406.2661
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


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


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over entries of (student − teacher)²: (n, …) twice → (n,)."""
    return (student - teacher).square().flatten(1).mean(dim=1)


def taken_for_real(verdict: Tensor) -> Tensor:
    """−log D, where `verdict` is D's logit: (n,) → (n,); finite for every finite logit."""
    return F.softplus(-verdict)


def taken_for_fake(verdict: Tensor) -> Tensor:
    """−log(1 − D), where `verdict` is D's logit: (n,) → (n,)."""
    return F.softplus(verdict)
