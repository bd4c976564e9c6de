"""How numbers are said: accuracies in percent, differences in points, sizes in thousands, time in hours."""

from __future__ import annotations

import math

NOTHING = "–"


def percent(fraction: float | None, digits: int = 2) -> str:
    """`0.9612` as `96.12`."""
    return NOTHING if missing(fraction) else f"{100 * number(fraction):.{digits}f}"


def points(fraction: float | None, digits: int = 2) -> str:
    """A difference of accuracies as signed percentage points: `0.0084` as `+0.84`."""
    if missing(fraction):
        return NOTHING
    text = f"{100 * number(fraction):+.{digits}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "").replace("+", "")


def plus_minus(low: float | None, high: float | None, digits: int = 2) -> str:
    """Half the width of an interval, as `± 0.41`; says so where there is none."""
    if missing(low) or missing(high):
        return "no interval"
    return f"± {100 * (number(high) - number(low)) / 2:.{digits}f}"


def span(low: float | None, high: float | None) -> str:
    """An interval of differences in points: `[+0.31, +1.37]`."""
    return "no interval" if missing(low) or missing(high) else f"[{points(low)}, {points(high)}]"


def gain(mean: float, low: float | None, high: float | None) -> str:
    """A difference with its interval: `+0.84 points [+0.31, +1.37]`, or `+0.84 points, no interval`."""
    interval = span(low, high)
    return f"{points(mean)} points{' ' if interval.startswith('[') else ', '}{interval}"


def probability(p: float | None) -> str:
    """A p-value as papers print it: `p = .012`, `p < .001`, or that no test was possible."""
    if missing(p):
        return "no test"
    value = number(p)
    if value < 0.001:
        return "p < .001"
    return "p = 1" if value > 0.9995 else f"p = {value:.3f}".replace("0.", ".", 1)


def count(amount: float | None) -> str:
    """A size in three digits: `19612` as `19.6 k`."""
    if missing(amount):
        return NOTHING
    value = number(amount)
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{value:.0f}"


def round_count(amount: float) -> str:
    """A round size without needless zeros: `2000` as `2 k`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= size:
            return f"{amount / size:g} {unit}"
    return f"{amount:g}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: `8.2 s`, `12 min`, `3.4 h`."""
    if missing(seconds):
        return NOTHING
    value = number(seconds)
    if value < 99.95:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 5970 else f"{value / 3600:.1f} h"


def counted(amount: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def missing(value: float | None) -> bool:
    """Whether there is no number: None or NaN."""
    return value is None or math.isnan(value)


def number(value: float | None) -> float:
    """The number that is there; raises `ValueError` for None."""
    if value is None:
        raise ValueError("no number")
    return float(value)
