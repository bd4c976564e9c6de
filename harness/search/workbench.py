"""A worker's workbench: what one process carries packs out with, in slices, on the driver's machine or on a node."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.search.agenda import Pack
from harness.search.crew import News, Refusal
from harness.search.depot import Depot
from harness.search.node import Node, Supply, below
from harness.source import MissingError, UserError
from harness.train.account import Account, Places, carry_out_pack
from harness.train.memory import keep_freed_memory
from harness.train.seeds import make_repeatable
from harness.train.teachers import Once, locked
from harness.train.workshop import Workshop


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know to set up its workshop."""

    data_root: Path
    cache: Path
    places: Places
    device: str
    threads: int
    answers_budget: int
    """Bytes of teachers' answers that may lie in the cache."""


@dataclass(frozen=True)
class Far:
    """What a worker needs to know to find out whether it shares the driver's file system, and to do without."""

    depot: Depot
    token: Path
    folder: Path
    is_own: bool
    """Whether the folder is used in any case."""
    supplies: dict[str, Supply]


class Workbench:
    """A process's workshop, which stays from pack to pack, and the pack on it."""

    def __init__(self, settings: WorkerSettings, far: Far | None) -> None:
        make_repeatable(settings.threads)
        keep_freed_memory()
        self._places = settings.places
        self._node: Node | None = None
        data_root, cache = settings.data_root, settings.cache
        once: Once = locked
        if far and (far.is_own or not far.token.exists()):
            folder = far.folder.expanduser().absolute()
            self._node = Node(folder, far.depot, settings.places, far.supplies)
            data_root, cache, once = below(folder, data_root), below(folder, cache), self._node.once
        self._workshop = Workshop(data_root, cache, torch.device(settings.device), once, settings.answers_budget)
        self._news: Generator[News, None, None] | None = None

    @property
    def is_free(self) -> bool:
        """Whether no pack lies on it."""
        return self._news is None

    def begin(self, pack: Pack) -> None:
        """Lays a pack on it."""
        self._news = self._news_of(pack)

    def work(self, seconds: float) -> list[News]:
        """Goes on with the pack for some seconds, or to its end, after which it is free; gives what came of it."""
        news: list[News] = []
        until = time.monotonic() + seconds
        while self._news and time.monotonic() < until:
            if (item := next(self._news, None)) is None:
                self._news = None
            else:
                news.append(item)
        return news

    def clear(self) -> None:
        """Takes the pack off it, which keeps its checkpoint."""
        if self._news:
            self._news.close()
            self._news = None

    def _news_of(self, pack: Pack) -> Generator[News, None, None]:
        if self._node is None:
            yield from carry_out_pack(pack, self._workshop, self._places)
            return
        told: set[str] = set()
        try:
            with closing(self._node.carry_out_pack(pack, self._workshop)) as news:
                for item in news:
                    if isinstance(item, Account):
                        told.add(item.trial.trial_id)
                    yield item
        except UserError as error:
            yield from (Refusal(one, MissingError(str(error))) for one in pack if one.id not in told)
        except Exception as error:  # the network's, or a disk's
            refusal = RuntimeError(f"{type(error).__name__}: {error}")
            yield from (Refusal(one, refusal) for one in pack if one.id not in told)
