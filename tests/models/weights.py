"""Weights as if torchvision had downloaded them: a file of random ones in its own folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision import models

CONSTRUCTOR = "shufflenet_v2_x0_5"
WEIGHTS = models.get_model_weights(CONSTRUCTOR)["IMAGENET1K_V1"]


def place_weights(folder: Path, monkeypatch: pytest.MonkeyPatch, classes: int = 1000) -> dict[str, Tensor]:
    """Puts weights of so many classes where torchvision looks for its own, and returns them."""
    monkeypatch.setenv("TORCH_HOME", str(folder))
    monkeypatch.setitem(WEIGHTS.meta, "categories", [str(label) for label in range(classes)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state: dict[str, Tensor] = models.get_model(CONSTRUCTOR, num_classes=classes).state_dict()
    path = folder / "hub" / "checkpoints" / WEIGHTS.url.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return state
