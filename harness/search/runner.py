"""The runner's protocol, and the inline runner: the same trials, one after another, in this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Protocol

from harness.search.agenda import Agenda, Pack
from harness.train.account import Account, Places, carry_out_pack
from harness.train.workshop import Workshop


class Runner(Protocol):
    """Carries out packs until the agenda is finished or drains."""

    def run(self, agenda: Agenda) -> None:
        """Returns when nothing is left, or what ran was closed in a drain; lets through what the agenda raises."""


class InlineRunner:
    """Runs every trial in this process: what Ray's workers do, without Ray."""

    def __init__(self, workshop: Workshop, places: Places) -> None:
        self.workshop, self.places = workshop, places

    def run(self, agenda: Agenda) -> None:
        """Runs packs one by one."""
        while pack := agenda.next_pack():
            for account in accounts(pack, self.workshop, self.places, agenda):
                agenda.ended(account)


def accounts(pack: Pack, workshop: Workshop, places: Places, agenda: Agenda) -> Generator[Account, None, None]:
    """The accounts of a pack's trials as they end; tells of each epoch on the way, and ends early in a drain."""
    with closing(carry_out_pack(pack, workshop, places)) as news:
        while not agenda.is_draining and (item := next(news, None)):
            if isinstance(item, Account):
                yield item
            else:
                agenda.trained(item)
