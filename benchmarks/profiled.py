"""Where the time of our own step goes, against its arithmetic."""

from __future__ import annotations

import time

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measured import median
from benchmarks.task import BATCH, STUDENT, TEACHER, Task
from harness.models.architecture import Architecture


def matmul_peak(device: torch.device, size: int = 1024) -> float:
    """Multiply-adds twice over a second of a large float32 matrix product: what this device reaches, FLOP/s."""
    left, right = torch.randn(2, size, size, device=device)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def flops(network: Architecture, classes: int, train: bool) -> int:
    """FLOP of a batch's pass through a network, backward too where it trains."""
    built = network.build(3, classes)
    with FlopCounterMode(display=False) as counter:
        logits = built.train(train)(torch.randn(BATCH, 3, 32, 32))
        if train:
            logits.sum().backward()
    return int(counter.get_total_flops())


def profiled(of: Task, rows: int = 25) -> str:
    """Seconds an epoch's step against the arithmetic's, and the operators that take most."""
    peak, classes = matmul_peak(of.device), of.spec.data.classes
    student, teacher = flops(STUDENT, classes, True), flops(TEACHER, classes, False)
    parts = [f"{of.spec.method.name}: matrix products reach {peak / 1e9:.1f} GFLOP/s"]
    for name, answers, arithmetic in (
        ("remembered", of.remembered(5), student),
        ("teacher run", of.asked(), student + teacher),
    ):
        epochs = of.ours(answers)
        next(epochs)
        seconds = median([next(epochs) / of.steps for _ in range(3)])
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if of.device.type == "cuda" else [])
        with profile(activities=activities) as run:
            next(epochs)
        parts += [
            f"{name}: {1e3 * seconds:.1f} ms a step, arithmetic {1e3 * arithmetic / peak:.1f} ms "
            f"({arithmetic / 1e9:.1f} GFLOP)",
            run.key_averages().table(sort_by="self_cpu_time_total", row_limit=rows, max_name_column_width=45),
        ]
    return "\n".join(parts)
