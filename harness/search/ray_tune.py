"""The Ray runner: Ray Tune for processes, placement and lost workers. The only file that imports ray.

    driver   Agenda ◄─ _Source (Tune's Searcher) ◄─ results
    worker   _Worker (Tune's Trainable): carries out a pack in slices of half a second

Tune sees one Tune trial a pack and none of our numbers: it neither proposes, stops, stores nor
restores. Its own stores and loggers lose trials or cost files; ours is the truth.
"""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from filelock import FileLock
from ray import tune
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
from ray.tune.search import Searcher

from harness.record import EpochRecord
from harness.search.agenda import Agenda, Pack
from harness.store.parquet import now
from harness.train.account import Account, Places, carry_out, failed
from harness.train.seeds import make_repeatable
from harness.train.workshop import Workshop

SLICE = 0.5
"""Seconds of training between two reports of a worker."""

RETRIES = 2
"""How often a pack whose worker was lost (killed, out of memory) is given to another."""


_SCRATCH, _LOCK = "ray-", "driver.lock"
"""What Ray's own files lie in while a driver lives, and the lock by which one tells that it does."""
_DRAINING = "ksan-harness-draining"
"""What a driver puts on Ray's blackboard, with its job's id, for its workers to read between two epochs."""
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class LostWorkerError(Exception):
    """A worker died under a trial as often as it was given to one."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know to set up its workshop."""

    data_root: Path
    cache: Path
    places: Places
    device: str
    threads: int


class RayRunner:
    """Runs packs on the workers of a local Ray, started for this run and stopped after it."""

    def __init__(self, settings: WorkerSettings, workers: int, gpus_per_trial: float) -> None:
        self.settings, self.workers, self.gpus_per_trial = settings, workers, gpus_per_trial

    def run(self, agenda: Agenda) -> None:
        """Runs until the agenda is finished; raises what the agenda raises, and stops Ray in any case."""
        if agenda.is_finished:
            return
        # A long path breaks the unix sockets in it (107 bytes), so Ray's own files live in the system's.
        _sweep()
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        ours = FileLock(scratch / _LOCK)
        ours.acquire()
        source = _Source(agenda)
        try:
            with _interrupts_deferred():
                ray.init(
                    address="local",  # whatever RAY_ADDRESS says
                    num_cpus=self.workers * self.settings.threads,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    _temp_dir=str(scratch),
                )
            self._tuner(source, scratch).fit()
        except Exception as error:
            raise (source.stopped_by or error) from None
        finally:
            ray.shutdown()
            ours.release()
            shutil.rmtree(scratch, ignore_errors=True)
        if source.stopped_by:
            raise source.stopped_by

    def _tuner(self, source: _Source, scratch: Path) -> tune.Tuner:
        resources = {"cpu": self.settings.threads, "gpu": self.gpus_per_trial}
        trainable = tune.with_resources(tune.with_parameters(_Worker, settings=self.settings), resources)
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=source,
                num_samples=-1,
                max_concurrent_trials=self.workers,
                reuse_actors=True,
                trial_name_creator=_short_name,
                trial_dirname_creator=_short_name,
            ),
            run_config=tune.RunConfig(
                name="packs",
                storage_path=str(scratch / "tune"),
                verbose=0,
                callbacks=[_Drain(source.agenda)],
            ),
        )


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Holds SIGINT and SIGTERM back until the block ends: within Ray's start an exception can end in a segfault.

    Puts back the handlers, of which Ray replaces one for good.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held_back in came[:2]:  # the first drains, the second stops at once
            signal.raise_signal(held_back)


def _sweep() -> None:
    """Removes the folders of drivers that were killed; a driver that lives holds its folder's lock."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*/{_LOCK}"):
        with suppress(OSError), FileLock(lock, timeout=0):  # Timeout, where it is held, is an OSError too
            shutil.rmtree(lock.parent, ignore_errors=True)


def _short_name(trial: Any) -> str:
    return str(trial.trial_id)


class _Parcel:
    """A pack on its way through Tune's config, which prints, flattens and copies what it is given."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def __repr__(self) -> str:
        return self.pack[0].id


class _Worker(tune.Trainable):
    """A process that carries out packs; its workshop stays when the next pack comes."""

    def setup(self, config: dict[str, Any], settings: WorkerSettings | None = None) -> None:
        assert settings is not None
        make_repeatable(settings.threads)
        self._settings = settings
        self._workshop = Workshop(settings.data_root, settings.cache, torch.device(settings.device))
        self.reset_config(config)

    def reset_config(self, config: dict[str, Any]) -> bool:
        parcel: _Parcel = config["parcel"]
        self._news = _news(parcel.pack, self._workshop, self._settings.places)
        return True

    def step(self) -> dict[str, Any]:
        news: list[EpochRecord | Account] = []
        until = time.monotonic() + SLICE
        if _internal_kv_get(_draining()):
            self._news.close()
        while time.monotonic() < until:
            item = next(self._news, None)
            if item is None:
                return {"news": news, "done": True}
            news.append(item)
        return {"news": news, "done": False}

    def cleanup(self) -> None:
        """Closes what runs, which keeps its checkpoint."""
        self._news.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep themselves."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: trials find what they kept."""


def _news(pack: Pack, workshop: Workshop, places: Places) -> Generator[EpochRecord | Account, None, None]:
    for assignment in pack:
        yield (yield from carry_out(assignment, workshop, places))


def _draining() -> str:
    return f"{_DRAINING}-{ray.get_runtime_context().get_job_id()}"


class _Drain(tune.Callback):
    """Tells the workers, at one of Tune's steps, that the agenda drains."""

    def __init__(self, agenda: Agenda) -> None:
        self.agenda, self.is_told = agenda, False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.agenda.is_draining and not self.is_told:
            self.is_told = True
            _internal_kv_put(_draining(), b"yes")


class _Source(Searcher):
    """Tune's view of the agenda: packs to run, and where their news goes."""

    def __init__(self, agenda: Agenda) -> None:
        super().__init__()
        self.agenda = agenda
        self.stopped_by: Exception | None = None
        """What the agenda raised, which ends the run early."""
        self._packs: dict[str, Pack] = {}
        self._lost: deque[Pack] = deque()
        self._losses: Counter[str] = Counter()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self.stopped_by or self.agenda.is_draining or self.agenda.is_finished:
            finished: Any = Searcher.FINISHED  # a word, in a place typed for configs
            return finished  # type: ignore[no-any-return]
        pack = self._lost.popleft() if self._lost else self.agenda.next_pack()
        if pack is None:
            return None
        self._packs[trial_id] = pack
        return {"parcel": _Parcel(pack)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._hear(result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result and not error:
            self._hear(result)
        pack = self._packs.pop(trial_id, ())
        if error and (rest := tuple(one for one in pack if self.agenda.is_running(one))):
            self._lose(rest)

    def _lose(self, pack: Pack) -> None:
        """Gives a pack whose worker died to another.

        Tune's own retries leave out a worker that dies between two packs, with the next one in its hands.
        """
        first = pack[0].id
        self._losses[first] += 1
        if self._losses[first] <= RETRIES:
            self._lost.append(pack)
            return
        lost = LostWorkerError(f"its worker died {RETRIES + 1} times, the last under this trial")
        for assignment in pack:
            self._take(Account(failed(assignment, lost, started=now()), ()))

    def _hear(self, result: dict[str, Any]) -> None:
        for item in result.pop("news", ()):
            if isinstance(item, EpochRecord):
                self.agenda.trained(item)
            else:
                self._take(item)

    def _take(self, account: Account) -> None:
        if self.stopped_by:
            return
        try:
            self.agenda.ended(account)
        except Exception as error:
            self.stopped_by = error
            raise  # ends Tune's loop, which wraps it; `RayRunner.run` raises the original

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the store is the truth."""
