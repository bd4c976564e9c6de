"""How the benchmarks measure: the sides in turn in one run, medians, and ratios of neighbours in time.

A machine that others use too is slow and fast by turns. So no side is measured alone: a round runs each side once,
the next round in the opposite order, and a ratio is taken within a round, where both had the same neighbours.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def _nothing() -> None:
    pass


def interleaved(
    sides: Mapping[str, Callable[[], object]],
    n: int,
    seconds: float | None = None,
    warm_ups: int = 1,
    settle: Callable[[], object] = _nothing,
) -> dict[str, list[float]]:
    """Seconds of each side in each of `n` rounds, or of as many as begin within `seconds`, at least one.

    `settle` runs before each reading of the clock: the device's synchronisation where work is queued on one. A side
    that returns a float has measured itself, in seconds or in whatever else is to be compared.
    """
    began = time.perf_counter()
    for _ in range(warm_ups):
        for side in sides.values():
            side()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(n):
        if number and seconds is not None and time.perf_counter() - began > seconds:
            break
        for name in sides if number % 2 == 0 else reversed(sides):
            taken[name].append(_measured(sides[name], settle))
    return taken


def _measured(side: Callable[[], object], settle: Callable[[], object]) -> float:
    settle()
    start = time.perf_counter()
    own = side()
    settle()
    return own if isinstance(own, float) else time.perf_counter() - start


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> float:
    """The distance between the quartiles, which one disturbed round does not move; 0 of a single value."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def table(taken: Mapping[str, Sequence[float]], unit: str = "s") -> str:
    """A row a side: its median, its spread and n."""
    width = max(map(len, taken))
    head = f"{'':{width}}  {'median ' + unit:>12}  {'spread':>10}  {'n':>3}"
    rows = [f"{name:{width}}  {median(v):12.5g}  {spread(v):10.3g}  {len(v):3}" for name, v in taken.items()]
    return "\n".join([head, *rows])


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times as much theirs takes as ours, round by round."""
    return [their / our for their, our in zip(theirs, ours, strict=True)]


def ratio_line(name: str, theirs: Sequence[float], ours: Sequence[float]) -> str:
    """The final line of a figure: the median of the rounds' ratios; above 1, ours is the smaller."""
    return value_line(name, ratios(theirs, ours))


def value_line(name: str, values: Sequence[float]) -> str:
    """The final line of a figure that was worked out round by round already, such as a share of overhead."""
    return f"ratio {name} {median(values):.3f} n={len(values)} spread={spread(values):.3f}"


def machine() -> str:
    """What the numbers belong to, in a line."""
    import torch  # the report's benchmark measures memory without it

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cores = f"{len(os.sched_getaffinity(0))} cores of {_processor()}"
    return f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {cores}{gpu}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in named if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
