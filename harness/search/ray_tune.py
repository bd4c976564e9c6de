"""The Ray runner: Ray Tune for processes, placement and lost workers. The only file that imports ray.

    driver   Agenda ◄─ Crew ◄─ _Source (Tune's Searcher) ◄─ what workers did
    worker   _Worker (Tune's Trainable): a workbench on which it carries out packs
    cluster  an actor beside the driver serves its files (see `depot.py`) to nodes that do not share them

A trial of Tune's is a worker, from its start to the end of the run: Tune sees neither trials nor numbers of ours. Packs
reach workers over Ray's blackboard, for Tune brings nothing to a trial that runs, and to give each pack a trial of its
own loses workers: Tune ends idle ones, and those that start once another is there for what they were asked for.
"""

from __future__ import annotations

import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from textwrap import shorten
from threading import Event, Thread
from typing import Any

import ray
from filelock import FileLock
from ray import cloudpickle, tune
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.record import EpochRecord
from harness.search.agenda import Agenda, Pack
from harness.search.crew import Crew, News
from harness.search.depot import FilesOnDisk
from harness.search.draining import interrupts_deferred
from harness.search.node import Supply, below
from harness.search.workbench import Far, Workbench, WorkerSettings
from harness.source import MissingError
from harness.study.plan import Plan

SLICE = 0.5
"""Seconds between two looks of a worker at whether the agenda drains, and for which it waits for a pack in one go."""

TURN = 0.1
"""Seconds of work, or an epoch, after which a worker minds what it has seen."""

REPORTS = (2.0, 5.0)
"""Seconds without an end of a trial after which a worker reports its epochs, and stands still until Tune has heard: a
fifth of what its pack has taken, within these. Tune kills who takes 10 s to hear that the run is over."""

NODE = Path("~/.cache/ksan-harness/node")
"""Where a node keeps its copies of the driver's files."""

PATIENCE = 5.0
"""Seconds within which a cluster must answer."""

LONGEST_CAUSE = 300
"""Characters of what a worker died of; Ray adds tables and advice."""

LOOKS = (0.005, 0.5)
"""Seconds between two looks of a worker that waits: a twentieth of what it has waited, within these."""


_SCRATCH, _LOCK = "ray-", "driver.lock"
"""What Ray's own files lie in while a driver lives, and the lock by which one tells that it does."""
_BLACKBOARD = "ksan-harness"
"""What everything on Ray's blackboard that is ours begins with."""


@dataclass(frozen=True)
class Cluster:
    """An existing Ray cluster, and where its nodes keep their copies of the driver's files."""

    address: str
    """`auto`, or HOST:PORT."""
    folder: Path | None = None
    """A folder of each node's own; None for `NODE` on those alone that do not share the run's folder."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that its workers are started with."""


class RayRunner:
    """Runs packs on the workers of a local Ray, started for this run and stopped after it, or of a cluster."""

    def __init__(
        self, settings: WorkerSettings, workers: int | None, gpus_per_trial: float, cluster: Cluster | None = None
    ) -> None:
        """As many workers as the cluster has room for where their number is not said."""
        self.settings, self.workers, self.gpus_per_trial, self.cluster = settings, workers, gpus_per_trial, cluster

    def run(self, agenda: Agenda) -> None:
        """Runs until the agenda is finished; raises what the agenda raises, and stops a Ray of its own in any case.

        Raises `MissingError` where no cluster answers or no worker starts.
        """
        if agenda.is_finished:
            return
        # A long path breaks the unix sockets in it (107 bytes), so Ray's own files live in the system's.
        _sweep()
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        ours = FileLock(scratch / _LOCK)
        ours.acquire()
        crew = Crew(agenda)
        try:
            with interrupts_deferred(), _handlers_kept():
                if self.cluster:
                    _connect(self.cluster)
                else:
                    _start(scratch, self.workers or 1, self.settings.threads)
            agenda.workers = self.workers or _room(self.settings.threads, self.gpus_per_trial)
            with self._far(agenda.plan) as far:
                self._tuner(crew, scratch, far).fit()
        except Exception as error:
            raise (crew.stopped_by or error) from None
        finally:
            with interrupts_deferred():  # or processes and files of Ray's would be left
                if ray.is_initialized():
                    with suppress(Exception):  # a cluster that is gone
                        _internal_kv_del(_place(""), del_by_prefix=True)
                ray.shutdown()
                ours.release()
                shutil.rmtree(scratch, ignore_errors=True)
        if crew.stopped_by:
            raise crew.stopped_by

    @contextmanager
    def _far(self, plan: Plan) -> Iterator[Far | None]:
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
            yield Far(_FarDepot(actor), Path(token.name), folder, self.cluster.folder is not None, supplies)

    def _tuner(self, crew: Crew, scratch: Path, far: Far | None) -> tune.Tuner:
        resources = {"cpu": self.settings.threads, "gpu": self.gpus_per_trial}
        trainable = tune.with_resources(tune.with_parameters(_Worker, settings=self.settings, far=far), resources)
        source = _Source(crew, far)
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=source,
                num_samples=-1,
                max_concurrent_trials=crew.agenda.workers,
                trial_name_creator=_short_name,
                trial_dirname_creator=_short_name,
            ),
            run_config=tune.RunConfig(
                name="workers",
                storage_path=str(scratch / "tune"),
                verbose=0,
                callbacks=[_Orders(source)],
                stop=_End(source),
            ),
        )


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keeps Ray from answering SIGTERM itself, from the middle of its start on: it would exit there and then."""
    theirs = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = theirs


def _start(scratch: Path, workers: int, threads: int) -> None:
    """A Ray of this run's own; raises `MissingError` where it does not start."""
    try:
        ray.init(
            address="local",  # whatever RAY_ADDRESS says
            num_cpus=workers * threads,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            _temp_dir=str(scratch),
        )
    except Exception as error:  # Ray raises no narrower one where its processes died or took too long
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingError(
            f"Ray did not start on this machine ({reason}); run the same command again when it is less busy, or with "
            "`--runner inline`, which starts no processes"
        ) from error


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
            # Only now, though it takes 5 s to be refused: where none is asked for, Ray loses the actors of who has one.
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


def _sweep() -> None:
    """Removes the folders of drivers that were killed; a driver that lives holds its folder's lock."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*/{_LOCK}"):
        with suppress(OSError), FileLock(lock, timeout=0):  # Timeout, where it is held, is an OSError too
            shutil.rmtree(lock.parent, ignore_errors=True)


def _short_name(trial: Any) -> str:
    return str(trial.trial_id)


def _place(what: str) -> str:
    """Where something of this run's stands on the blackboard."""
    return f"{_BLACKBOARD}-{ray.get_runtime_context().get_job_id()}-{what}"


_DRAIN = "drain"
"""Stands there, for busy workers to see, once the agenda drains or the run is over."""


class _Worker(tune.Trainable):
    """A process that carries out packs, as they come to it."""

    def setup(self, config: dict[str, Any], settings: WorkerSettings | None = None, far: Far | None = None) -> None:
        assert settings is not None
        self._workbench = Workbench(settings, far)
        self._free_since: float | None = None
        """When it said that it has no pack; None while it has one, and before it has said anything."""
        self._busy_since = 0.0
        """When its pack came."""
        self._drains, self._ended = Event(), Event()
        # Beside the training, which would stand still for 5 to 10 ms each time that it asked itself.
        self._lookout = Thread(target=self._look_for_drain, args=(_place(_DRAIN),), name="drain", daemon=True)
        self._lookout.start()

    def _look_for_drain(self, place: str) -> None:
        """Sees whether all are to stop, twice a second, until they are or the worker ends."""
        while not (self._drains.is_set() or self._ended.wait(SLICE)):
            with suppress(Exception):  # a cluster that does not answer now
                if _internal_kv_get(place):
                    self._drains.set()

    def step(self) -> dict[str, Any]:
        if self._drains.is_set():
            self._workbench.clear()
            return {"news": [], "wants_work": False, "done": True}
        if self._free_since is None:
            news = self._worked()
            self._free_since = time.monotonic() if self._workbench.is_free else None
            return {"news": news, "wants_work": self._workbench.is_free, "done": False}
        pack = self._ordered(self._free_since)
        if pack:
            self._workbench.begin(pack)
            self._free_since, self._busy_since = None, time.monotonic()
        return {"news": [], "wants_work": False, "done": pack == ()}

    def _worked(self) -> list[News]:
        """What came of some turns, up to one in which a trial ended, or before which the agenda drains."""
        began, news = time.monotonic(), list[News]()
        silence = min(max((began - self._busy_since) / 5, REPORTS[0]), REPORTS[1])
        while not (self._drains.is_set() or self._workbench.is_free) and time.monotonic() - began < silence:
            came = self._workbench.work(TURN)
            news += came
            if not all(isinstance(item, EpochRecord) for item in came):
                break
        return news

    def _ordered(self, since: float) -> Pack | None:
        """The pack that lies there for it, none where it is to end; None where nothing has come within a slice."""
        place, until = _place(self.trial_id), time.monotonic() + SLICE
        while (message := _internal_kv_get(place)) is None:
            if time.monotonic() >= until:
                return None
            time.sleep(min(max((time.monotonic() - since) / 20, LOOKS[0]), LOOKS[1]))
        _internal_kv_del(place)
        pack: Pack = cloudpickle.loads(message)
        return pack

    def cleanup(self) -> None:
        """Clears the workbench, whose pack keeps its checkpoint."""
        self._ended.set()
        self._workbench.clear()
        self._lookout.join(timeout=1)  # it may be asking as the process ends

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep themselves."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: trials find what they kept."""


class _Source(Searcher):
    """Tune's view of the crew: workers to start, and where what they did goes."""

    def __init__(self, crew: Crew, far: Far | None) -> None:
        super().__init__()
        self.crew, self.far = crew, far
        self.holders: dict[str, tuple[str, ...]] = {}
        """In whose names a worker may have claimed what a node is to make."""
        self._has_recalled = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self.crew.is_over:
            finished: Any = Searcher.FINISHED  # a word, in a place typed for configs
            return finished  # type: ignore[no-any-return]
        return {} if self.crew.joins(trial_id) else None

    def recall(self) -> None:
        """Tells all workers to stop, once."""
        if not self._has_recalled:
            self._has_recalled = True
            with suppress(Exception):  # a cluster that is gone
                _internal_kv_put(_place(_DRAIN), b"yes")

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.crew.hear(trial_id, result.pop("news"), result["wants_work"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        holders = self.holders.pop(trial_id, ())
        with suppress(Exception):  # a cluster that is gone
            _internal_kv_del(_place(trial_id))
        if not error:
            self.crew.left(trial_id)
            return
        if self.far:
            with suppress(Exception):  # the same
                for holder in holders:
                    self.far.depot.release(holder)
        self.crew.lost(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the store is the truth."""


class _Orders(tune.Callback):
    """Brings free workers their packs, and all the word that the agenda drains, at each of Tune's steps."""

    def __init__(self, source: _Source) -> None:
        self.source = source

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        crew = self.source.crew
        orders = list(crew.orders())
        if crew.agenda.is_draining:
            self.source.recall()
        try:
            crew.agenda.meter.tick()
            for worker, pack in orders:
                self.source.holders[worker] = tuple(one.id for one in pack)
                _internal_kv_put(_place(worker), cloudpickle.dumps(pack))  # type: ignore[no-untyped-call]
        except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
            gone = MissingError(f"Ray no longer answers ({error}); the same command goes on where this run stopped")
            crew.stopped_by = crew.stopped_by or gone
        except OSError as error:  # a full disk
            crew.stopped_by = crew.stopped_by or error

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """What Tune wrote last of a worker's end, below the indented lines of a traceback or of Ray's own."""
        if not trial.error_file:
            return
        with suppress(OSError):
            text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
            said = [line for line in text.splitlines() if line.strip() and not line.startswith("Failure # ")]
            last = list(takewhile(lambda line: not line[:1].isspace(), reversed(said))) or said[-1:]
            self.source.crew.cause = shorten(" ".join(reversed(last)), LONGEST_CAUSE, placeholder=" …")


class _End(tune.Stopper):
    """Ends all workers, starting ones too, when there is nothing more to do."""

    def __init__(self, source: _Source) -> None:
        self.source = source

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots, which are never restored from."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.source.crew.is_over:
            self.source.recall()
        return self.source.crew.is_over
