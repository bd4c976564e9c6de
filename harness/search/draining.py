"""Draining: Ctrl-C and SIGTERM in two stages, the first of which loses nothing.

first    the agenda drains: runners hand out nothing more and close what runs, which keeps its checkpoint
second   KeyboardInterrupt at once, as after `GRACE` seconds of an epoch that does not end

While Ray starts or ends, both are held back.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.search.agenda import Agenda

GRACE = 2.0
"""Seconds that what runs has to reach the end of an epoch; Ray and Python take two more to end on two busy cores."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_drain(agenda: Agenda) -> Iterator[None]:
    """Turns a first signal within the block into a drain; raises `KeyboardInterrupt` at its end, or at a second one."""

    def drain(number: int, frame: FrameType | None) -> None:
        agenda.drain()
        for each in _SIGNALS:
            signal.signal(each, before[each])
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, GRACE)
        drained.append(number)

    drained: list[int] = []
    before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGALRM)}
    for number in _SIGNALS:
        signal.signal(number, drain)
    try:
        yield
        if drained and not agenda.is_finished:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not drained:  # or whoever was there before has ruled on signals since
            for number in _SIGNALS:
                signal.signal(number, before[number])
        signal.signal(signal.SIGALRM, before[signal.SIGALRM])


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Holds SIGINT and SIGTERM back until the block ends: within Ray's start an exception can end in a segfault, and
    within its end it leaves processes and files.

    Puts back the handlers, of which Ray replaces one for good.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held_back in came[:2]:  # the first drains, the second stops at once
            signal.raise_signal(held_back)
