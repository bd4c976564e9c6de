"""Evaluation: accuracy and cross-entropy of a network on a split, in large batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.data.served import Split
from harness.train.seeds import seeded


@dataclass(frozen=True)
class Score:
    """What a network achieves on a split."""

    accuracy: float
    """Share of images whose class got the largest logit."""
    loss: float
    """Cross-entropy, nats an image."""
    images: int

    @property
    def is_finite(self) -> bool:
        """Whether the logits were numbers: with NaN every image counts as class 0, which is no accuracy."""
        return self.loss == self.loss and abs(self.loss) != float("inf")


@torch.inference_mode()
def evaluate(network: nn.Module, split: Split) -> Score:
    """Scores the network in eval mode and leaves it in the mode that it came in; one host sync.

    A network that draws in eval mode too, as with a dropout that is never switched off, draws the same each time.
    """
    was_training = network.training
    network.eval()
    device = split.labels.device
    correct = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    with seeded(0, device):
        for images, labels in split.chunks():
            logits = network(images).float()
            correct += (logits.argmax(dim=1) == labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum").double()
    network.train(was_training)
    return Score(int(correct) / len(split), float(loss) / len(split), len(split))
