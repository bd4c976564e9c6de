"""The Ray runner: Ray Tune for processes, placement and lost workers. The only file that imports ray.

    driver   Agenda ◄─ _Source (Tune's Searcher) ◄─ results
    worker   _Worker (Tune's Trainable): carries out a pack in slices of half a second
    cluster  an actor beside the driver serves its files (see `depot.py`) to nodes that do not share them

Tune sees one Tune trial a pack and none of our numbers: it neither proposes, stops, stores nor
restores. Its own stores and loggers lose trials or cost files; ours is the truth.

A worker that has nothing to do waits in a Tune trial without a pack. Tune would end it otherwise, all idle ones but
one, and ends a worker that starts as soon as another can take over its trial: trials that are shorter than a start
would never run beside each other.
"""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch
from filelock import FileLock
from ray import tune
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.record import EpochRecord
from harness.search.agenda import Agenda, Pack
from harness.search.depot import FilesOnDisk
from harness.search.node import Node, Supply, below
from harness.source import MissingError, UserError
from harness.store.parquet import now
from harness.study.plan import Plan
from harness.train.account import Account, Assignment, Places, carry_out_pack, failed
from harness.train.memory import keep_freed_memory
from harness.train.seeds import make_repeatable
from harness.train.teachers import Once, locked
from harness.train.workshop import Workshop

SLICE = 0.5
"""Seconds of training between two reports of a worker."""

NODE = Path("~/.cache/ksan-harness/node")
"""Where a node keeps its copies of the driver's files."""

PATIENCE = 5.0
"""Seconds within which a cluster must answer."""

RETRIES = 5
"""How often a pack whose worker was lost (killed, out of memory) is given to another without having come further."""


_SCRATCH, _LOCK = "ray-", "driver.lock"
"""What Ray's own files lie in while a driver lives, and the lock by which one tells that it does."""
_DRAINING = "ksan-harness-draining"
"""What a driver puts on Ray's blackboard, with its job's id, for its workers to read between two epochs."""
_WAKING = "ksan-harness-waking"
"""The same for a worker that waits, with the id of its Tune trial."""
_LOOK = 0.05
"""Seconds between two looks of a worker that waits."""
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
    answers_budget: int
    """Bytes of teachers' answers that may lie in the cache."""


@dataclass(frozen=True)
class Cluster:
    """An existing Ray cluster, and where its nodes keep their copies of the driver's files."""

    address: str
    """`auto`, or HOST:PORT."""
    folder: Path | None = None
    """A folder of each node's own; None for `NODE` on those alone that do not share the run's folder."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that its workers are started with."""


@dataclass(frozen=True)
class _Far:
    """What a worker needs to know to find out whether it shares the driver's file system, and to do without."""

    depot: _FarDepot
    token: Path
    folder: Path
    is_own: bool
    """Whether the folder is used in any case."""
    supplies: dict[str, Supply]


class RayRunner:
    """Runs packs on the workers of a local Ray, started for this run and stopped after it, or of a cluster."""

    def __init__(
        self, settings: WorkerSettings, workers: int | None, gpus_per_trial: float, cluster: Cluster | None = None
    ) -> None:
        """As many workers as the cluster has room for where their number is not said."""
        self.settings, self.workers, self.gpus_per_trial, self.cluster = settings, workers, gpus_per_trial, cluster

    def run(self, agenda: Agenda) -> None:
        """Runs until the agenda is finished; raises what the agenda raises, and stops a Ray of its own in any case.

        Raises `MissingError` where no cluster answers.
        """
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
                if self.cluster:
                    _connect(self.cluster)
                else:
                    _start(scratch, self.workers or 1, self.settings.threads)
            with self._far(agenda.plan) as far:
                source.depot = far.depot if far else None
                agenda.workers = self.workers or _room(self.settings.threads, self.gpus_per_trial)
                self._tuner(source, scratch, far).fit()
        except Exception as error:
            raise (source.stopped_by or error) from None
        finally:
            if ray.is_initialized():
                with suppress(Exception):  # a cluster that is gone
                    _internal_kv_del(_draining())
                    _internal_kv_del(_key(_WAKING), del_by_prefix=True)
            ray.shutdown()
            ours.release()
            shutil.rmtree(scratch, ignore_errors=True)
        if source.stopped_by:
            raise source.stopped_by

    @contextmanager
    def _far(self, plan: Plan) -> Iterator[_Far | None]:
        """What workers on a cluster get beside their settings; the depot and its token last as long as the block."""
        if self.cluster is None:
            yield None
            return
        places, root = self.settings.places, self.settings.data_root
        folder = self.cluster.folder or NODE
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        writable = (self.settings.cache, places.checkpoints, places.students)
        actor = ray.remote(FilesOnDisk).options(num_cpus=0, scheduling_strategy=here).remote(writable)
        supplies = {}
        for data in {cell.base.data.id: cell.base.data for cell in plan.cells}.values():
            files = tuple(path.absolute() for path in data.files(root))
            supplies[data.id] = Supply(data.moved(root, partial(below, folder)), files)
        places.checkpoints.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".driver-", dir=places.checkpoints) as token:
            yield _Far(_FarDepot(actor), Path(token.name), folder, self.cluster.folder is not None, supplies)

    def _tuner(self, source: _Source, scratch: Path, far: _Far | None) -> tune.Tuner:
        resources = {"cpu": self.settings.threads, "gpu": self.gpus_per_trial}
        trainable = tune.with_resources(tune.with_parameters(_Worker, settings=self.settings, far=far), resources)
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=source,
                num_samples=-1,
                max_concurrent_trials=self.workers or _room(self.settings.threads, self.gpus_per_trial),
                reuse_actors=True,
                trial_name_creator=_short_name,
                trial_dirname_creator=_short_name,
            ),
            run_config=tune.RunConfig(
                name="packs",
                storage_path=str(scratch / "tune"),
                verbose=0,
                callbacks=[_Blackboard(source)],
            ),
        )


def _start(scratch: Path, workers: int, threads: int) -> None:
    """A Ray of this run's own."""
    ray.init(
        address="local",  # whatever RAY_ADDRESS says
        num_cpus=workers * threads,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        _temp_dir=str(scratch),
    )


def _connect(cluster: Cluster) -> None:
    """Joins a cluster; raises `MissingError` where none answers, or where it cannot be joined from here."""
    remedy = "start one with `ray start --head` (see docs/clusters.md), or leave out --address to run on this machine"
    host, _, port = cluster.address.rpartition(":")
    try:
        if port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
        try:
            _join(cluster)
        except (OSError, RuntimeError):
            # `ray start` asks for a token wherever its machine has one; `ray.init` with a port does not bring it along.
            ray.shutdown()
            if not maybe_enable_token_auth_if_token_available(warn_if_disabled=False):
                raise
            _join(cluster)
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingError(f"no Ray cluster could be joined at {cluster.address} ({reason}); {remedy}") from error


def _join(cluster: Cluster) -> None:
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        runtime_env={"env_vars": cluster.environment} if cluster.environment else None,
    )


def _room(threads: int, gpus_per_trial: float) -> int:
    """How many trials fit on the cluster at a time."""
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = int(there.get("CPU", 0) // threads)
    if gpus_per_trial:
        room = min(room, int(there.get("GPU", 0) / gpus_per_trial))
    if not room:
        raise MissingError(
            f"the cluster has {there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs, and a trial takes "
            f"{threads} and {gpus_per_trial:g}; add nodes, or lower `resources`"
        )
    return room


class _FarDepot:
    """The depot as a node sees it."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def digest(self, path: Path) -> str | None:
        return ray.get(self.actor.digest.remote(path))  # type: ignore[no-any-return]

    def read(self, path: Path, offset: int) -> bytes:
        return ray.get(self.actor.read.remote(path, offset))  # type: ignore[no-any-return]

    def write(self, path: Path, content: bytes, digest: str) -> None:
        ray.get(self.actor.write.remote(path, content, digest))

    def remove(self, path: Path) -> None:
        ray.get(self.actor.remove.remote(path))

    def claim(self, path: Path, holder: str) -> bool:
        return ray.get(self.actor.claim.remote(path, holder))  # type: ignore[no-any-return]

    def release(self, holder: str) -> None:
        ray.get(self.actor.release.remote(holder))


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
        return self.pack[0].id if self.pack else "nothing yet"


@dataclass(frozen=True)
class _Refusal:
    """A trial that a node could not carry out, for want of what it was to get or to send."""

    assignment: Assignment
    error: Exception


class _Worker(tune.Trainable):
    """A process that carries out packs; its workshop stays when the next pack comes."""

    def setup(self, config: dict[str, Any], settings: WorkerSettings | None = None, far: _Far | None = None) -> None:
        assert settings is not None
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
        device = torch.device(settings.device)
        self._workshop = Workshop(data_root, cache, device, once, settings.answers_budget)
        self.reset_config(config)

    def reset_config(self, config: dict[str, Any]) -> bool:
        parcel: _Parcel = config["parcel"]
        self._waits = not parcel.pack
        self._news = self._news_of(parcel.pack)
        return True

    def _news_of(self, pack: Pack) -> Generator[EpochRecord | Account | _Refusal, None, None]:
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
            yield from (_Refusal(one, MissingError(str(error))) for one in pack if one.id not in told)
        except Exception as error:  # the network's, or a disk's
            refusal = RuntimeError(f"{type(error).__name__}: {error}")
            yield from (_Refusal(one, refusal) for one in pack if one.id not in told)

    def step(self) -> dict[str, Any]:
        news: list[EpochRecord | Account | _Refusal] = []
        until = time.monotonic() + SLICE
        if _internal_kv_get(_draining()):
            self._news.close()
        elif self._waits:
            return {"news": news, "done": self._is_woken(until)}
        while time.monotonic() < until:
            item = next(self._news, None)
            if item is None:
                return {"news": news, "done": True}
            news.append(item)
        return {"news": news, "done": False}

    def _is_woken(self, until: float) -> bool:
        while not _internal_kv_get(_key(_WAKING, self.trial_id)):
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK)
        return True

    def cleanup(self) -> None:
        """Closes what runs, which keeps its checkpoint."""
        self._news.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep themselves."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: trials find what they kept."""


def _key(what: str, trial_id: str = "") -> str:
    return f"{what}-{ray.get_runtime_context().get_job_id()}-{trial_id}"


def _draining() -> str:
    return _key(_DRAINING)


class _Blackboard(tune.Callback):
    """Tells the workers, at one of Tune's steps, that the agenda drains, and those that wait that there is a pack."""

    def __init__(self, source: _Source) -> None:
        self.source, self.is_told = source, False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.source.agenda.is_draining and not self.is_told:
            self.is_told = True
            _internal_kv_put(_draining(), b"yes")
        for trial_id in self.source.woken():
            _internal_kv_put(_key(_WAKING, trial_id), b"yes")


class _Source(Searcher):
    """Tune's view of the agenda: packs to run, and where their news goes."""

    def __init__(self, agenda: Agenda) -> None:
        super().__init__()
        self.agenda = agenda
        self.stopped_by: Exception | None = None
        """What the agenda raised, which ends the run early."""
        self.depot: _FarDepot | None = None
        """What a lost worker's rights are taken back from."""
        self._packs: dict[str, Pack] = {}
        self._holders: dict[str, tuple[str, ...]] = {}
        """In whose names a worker may have claimed what a node is to make."""
        self._lost: deque[Pack] = deque()
        self._losses: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()
        """How far each trial came, whoever carried it out."""
        self._epochs_at_loss: Counter[str] = Counter()
        """How far each had come when its worker was last lost."""
        self._waiting: list[str] = []
        """The trials of Tune's without a pack, whose workers wait for one, and start meanwhile where they are new."""
        self._ready: deque[Pack] = deque()
        """Packs for workers that were woken."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._is_over:
            finished: Any = Searcher.FINISHED  # a word, in a place typed for configs
            return finished  # type: ignore[no-any-return]
        pack = self._ready.popleft() if self._ready else self._next()
        if pack is None:
            pack = ()
            self._waiting.append(trial_id)
        self._packs[trial_id] = pack
        self._holders[trial_id] = tuple(one.id for one in pack)
        return {"parcel": _Parcel(pack)}

    @property
    def _is_over(self) -> bool:
        return bool(self.stopped_by) or self.agenda.is_draining or self.agenda.is_finished

    def _next(self) -> Pack | None:
        return self._lost.popleft() if self._lost else self.agenda.next_pack()

    def woken(self) -> list[str]:
        """Those of the waiting that need wait no longer: one for a pack that there is, or all since nothing comes.

        One at a time: of two that come to their ends at once Tune would end the second one's worker.
        """
        if self._is_over:
            found, self._waiting = self._waiting, []
            return found
        if self._ready or not self._waiting or (pack := self._next()) is None:
            return []
        self._ready.append(pack)
        return [self._waiting.pop(0)]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._hear(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result and not error:
            self._hear(trial_id, result)
        if trial_id in self._waiting:  # its worker died
            self._waiting.remove(trial_id)
        pack, holders = self._packs.pop(trial_id, ()), self._holders.pop(trial_id, ())
        if error and self.depot:
            for holder in holders:
                self.depot.release(holder)
        if error and (rest := tuple(one for one in pack if self.agenda.is_running(one))):
            self._lose(rest)

    def _lose(self, pack: Pack) -> None:
        """Gives a pack whose worker died to another.

        Tune's own retries leave out a worker that dies between two packs, with the next one in its hands.
        """
        first = f"{pack[0].id}-{pack[0].attempt}"
        come = self._epochs[pack[0].id]
        if come > self._epochs_at_loss[first]:
            self._losses[first] = 0
        self._epochs_at_loss[first] = come
        self._losses[first] += 1
        if self._losses[first] <= RETRIES:
            middle = (len(pack) + 1) // 2 if self._losses[first] > 1 else len(pack)
            # From the second time on in halves: one trial that ends its worker must not do so to others for long.
            self._lost.extend(part for part in (pack[:middle], pack[middle:]) if part)
            return
        lost = LostWorkerError(f"its worker died {RETRIES + 1} times and the trial came no further")
        for assignment in pack:
            self._take(Account(failed(assignment, lost, started=now()), ()))

    def _hear(self, trial_id: str, result: dict[str, Any]) -> None:
        for item in result.pop("news", ()):
            if isinstance(item, Account):  # a trial that is told of is another worker's from here on
                mine = self._packs.get(trial_id, ())
                self._packs[trial_id] = tuple(one for one in mine if one.id != item.trial.trial_id)
            if isinstance(item, EpochRecord):
                self._epochs[item.trial_id] = max(self._epochs[item.trial_id], item.epoch)
                self.agenda.trained(item)
            elif isinstance(item, _Refusal):
                self._take(Account(failed(item.assignment, item.error, started=now()), ()))
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
