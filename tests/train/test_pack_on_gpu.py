"""Where there is no GPU, torch's fake tensors stand for its memory: what is on another device, or waits for the GPU, shows.

A fake tensor has a device and a shape and no numbers; whatever asks for a number raises. A pack's epoch may ask once,
for the means at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from harness.data.resident import ResidentData, ResidentSplit
from harness.distill.method import Method
from harness.train.answers import Nothing, Remembered
from harness.train.group import Group
from harness.train.pack import Member, _Pack
from harness.train.trial import TeacherSide
from harness.train.workshop import Workshop
from tests.train.small import METHODS, small_trial
from tests.train.test_pack import PACKED

CUDA = torch.device("cuda")


def on_cuda(value: Any) -> Any:
    """A value with every tensor on the GPU."""
    return value.to(CUDA)


def split_on_cuda(split: ResidentSplit) -> ResidentSplit:
    """A split on the GPU."""
    standard = type(split.standard)(on_cuda(split.standard.mean), on_cuda(split.standard.spread))
    return ResidentSplit(on_cuda(split.pixels), on_cuda(split.labels), standard)
