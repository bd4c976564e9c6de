"""Seeds: one stream for each thing that is random, so that switching one off does not shift the others."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from harness.spec import Spec

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""As many bits as torch's generators take and a record's column holds."""
Stream = Literal["student", "estimator", "discriminator", "data"]


class Seeds(Spec):
    """The four seeds of a trial."""

    student: Seed = 0
    estimator: Seed = 0
    discriminator: Seed = 0
    data: Seed = 0

    @classmethod
    def all(cls, seed: int) -> Self:
        """One number for all four: the streams still differ, since each is named."""
        return cls(student=seed, estimator=seed, discriminator=seed, data=seed)

    def stream(self, name: Stream, *steps: int) -> int:
        """A 63-bit seed for a stream, and within it for a step such as an epoch."""
        text = "/".join(map(str, (name, getattr(self, name), *steps)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Lets everything that draws from a global generator draw from this seed; restores the generators after.

    Those are torch's on the CPU, where networks are built, and on `device`, NumPy's and Python's: dropout and other
    people's layers know no other.
    """
    devices = [device] if device and device.type == "cuda" else []
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


def make_repeatable(threads: int) -> None:
    """Settles how this process computes, so that a trial's numbers follow from its spec alone.

    On a CPU the number of threads decides how sums are rounded; on a GPU the fastest kernels of some
    operations round differently each time (`CUBLAS_WORKSPACE_CONFIG` is the command line's part in that).
    That torch fills fresh memory with NaN for it serves those who read what nobody wrote, and is left out.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # 5 % of a step


def state_digest(module: nn.Module) -> str:
    """SHA-256 over a module's parameters and buffers, in the order of their names."""
    return tensors_digest(module.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over named tensors, their shapes and types, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name}:{tuple(value.shape)}:{value.dtype};".encode())
        digest.update(flat.numpy().tobytes())
    return digest.hexdigest()
