"""Remote storage of a run: an fsspec URL is the truth, the folder on disk its working copy.

    URL/STUDY/study.yaml, study.json, trials/, epochs/, students/, checkpoints/   as in the folder
    URL/STUDY/lease/000001.json                                                   who writes the run

What is there is pulled before a run begins or is read, and a record is pushed, its epochs and its student first,
before the search goes on. A writer holds a lease: a file that can only be created once (S3's `If-None-Match`),
with a beat that rises as long as it lives. Whoever finds a beat that does not rise creates the next number. No
clock is compared with another.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from harness.files import replacing, write_text_whole
from harness.source import MissingError, UserError

Result = TypeVar("Result")

RECORDS = ("students", "looks", "epochs", "trials")
"""Folders whose files never change, in the order in which they are pushed."""
STUDY = ("study.yaml", "study.json")
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt at what the network refused."""
BEAT = 5.0
"""Seconds between two signs of life of a writer."""
PATIENCE = 20.0
"""Seconds without one after which a writer is held for dead."""
CHECKPOINTS_EVERY = 30.0
"""Seconds between two pushes of the checkpoints of running trials."""
_OWNER = "storage-owner.txt"


class StorageError(MissingError):
    """The storage cannot be had; the message says why and what to do."""


class TakenError(UserError):
    """Another search writes this run."""


class Remote:
    """One run at a URL."""

    def __init__(self, url: str, pauses: tuple[float, ...] = PAUSES, patience: float = PATIENCE) -> None:
        """Raises `StorageError` for a URL of which nobody here knows how to read it."""
        self.url, self.pauses, self.patience = url.rstrip("/"), pauses, patience
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url, **_options(self.url))
        except ImportError as error:
            extra = "pip install 'ksan-harness[s3]'" if self.url.startswith("s3") else str(error)
            raise StorageError(f"{self.url} needs a package that is not here: {extra}") from error
        except ValueError as error:
            raise StorageError(f"{self.url} is no storage: {error}; write s3://BUCKET/PREFIX or a folder") from error
        self._lease = 0
        self._is_lost = False
        self._pushed: dict[Path, int] = {}

    def pull(self, folder: Path, kinds: Sequence[str] = (*RECORDS, "checkpoints")) -> None:
        """Brings what the folder lacks; a study that is there is the remote's."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in STUDY:
            if self._lasting(partial(self._files.exists, self._at(name))):
                self._fetch(name, folder)
        for kind in kinds:
            for name in self._names(kind):
                if not (folder / kind / name).exists():
                    self._fetch(f"{kind}/{name}", folder)

    def runs(self) -> list[str]:
        """The names of the runs below the URL."""
        found = self._names("")
        return [name for name in found if self._lasting(partial(self._files.exists, self._at(f"{name}/study.json")))]

    def push(self, folder: Path, path: Path) -> None:
        """Puts one file of the folder there; raises `StorageError` where it stays refused, `TakenError` once another
        search has the run."""
        if self._is_lost:
            raise TakenError(f"another search took {self.url} over; this one stops, and what it wrote is kept")
        self._lasting(lambda: self._put(path, self._at(path.relative_to(folder).as_posix())))

    def push_missing(self, folder: Path) -> None:
        """Puts there what a broken-off push left in the folder alone."""
        for kind in RECORDS:
            there = set(self._names(kind))
            for path in sorted((folder / kind).glob("[!.]*")):
                if path.suffix in (".parquet", ".safetensors") and path.name not in there:
                    self.push(folder, path)

    @contextmanager
    def leased(self, folder: Path) -> Iterator[None]:
        """Holds the run for one writer; raises `TakenError` where another one lives.

        The caller holds the folder, so a lease of the same folder's is a dead writer's.
        """
        owner = _owner(folder)
        self._lease = self._acquire(owner)
        self._is_lost = False
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(folder, owner, ended), daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            if not self._is_lost:
                try:
                    self._sync_checkpoints(folder)
                    self._write_lease(owner, -1)
                except Exception:  # the lease runs out by itself; what ended the block is what to tell
                    self._is_lost = True

    def _acquire(self, owner: str) -> int:
        while True:
            numbers = [int(name.partition(".")[0]) for name in self._names("lease")]
            last = max(numbers, default=0)
            if last and self._is_alive(last, owner):
                raise TakenError(f"another search is writing {self.url}; wait for it or stop it")
            content = json.dumps({"owner": owner, "beat": 0}).encode()
            try:
                self._lasting(partial(self._create, self._at(_lease_name(last + 1)), content))
            except FileExistsError:
                continue  # another one was faster; see whether it lives
            for number in numbers:
                self._lasting(partial(self._files.rm_file, self._at(_lease_name(number))))
            return last + 1

    def _is_alive(self, number: int, owner: str) -> bool:
        first = self._read_lease(number)
        if first.get("owner") == owner or first.get("beat") == -1:
            return False
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            time.sleep(min(1.0, self.patience / 10))
            if self._read_lease(number) != first:
                return True
        return False

    def _read_lease(self, number: int) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(
                self._lasting(lambda: self._files.cat_file(self._at(_lease_name(number))))
            )
        except (FileNotFoundError, ValueError):
            return {}
        return content

    def _write_lease(self, owner: str, beat: int) -> None:
        self._files.pipe_file(self._at(_lease_name(self._lease)), json.dumps({"owner": owner, "beat": beat}).encode())

    def _beat(self, folder: Path, owner: str, ended: threading.Event) -> None:
        count, synced = 0, time.monotonic()
        while not ended.wait(min(BEAT, self.patience / 4)):
            count += 1
            try:
                if any(int(name.partition(".")[0]) > self._lease for name in self._names("lease", once=True)):
                    self._is_lost = True
                    return
                self._write_lease(owner, count)
                if time.monotonic() - synced >= CHECKPOINTS_EVERY:
                    self._sync_checkpoints(folder)
                    synced = time.monotonic()
            except Exception:  # the network's; `push` tells of it if it lasts
                continue

    def _sync_checkpoints(self, folder: Path) -> None:
        """Puts running trials' checkpoints there as they are now, and takes away those of trials that ended."""
        here = {path: path.stat().st_mtime_ns for path in (folder / "checkpoints").glob("[!.]*.pt")}
        for path, changed in here.items():
            if self._pushed.get(path) != changed:
                self._put(path, self._at(f"checkpoints/{path.name}"))
        for name in set(self._names("checkpoints", once=True)) - {path.name for path in here}:
            self._files.rm_file(self._at(f"checkpoints/{name}"))
        self._pushed = here

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _names(self, kind: str, once: bool = False) -> list[str]:
        def listed() -> list[str]:
            try:
                found = self._files.ls(self._at(kind), detail=False, refresh=True)
            except FileNotFoundError:
                return []
            names = (str(path).rpartition("/")[2] for path in found)
            return sorted(name for name in names if name and not name.startswith(".") and name != kind)

        return listed() if once else self._lasting(listed)

    def _fetch(self, name: str, folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(self._lasting(lambda: self._files.cat_file(self._at(name))))

    def _put(self, path: Path, place: str) -> None:
        """A whole file or none: S3 and its kind see to that themselves, a local disk does not."""
        if "file" in self._files.protocol:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            with replacing(Path(place)) as temporary:
                temporary.write_bytes(path.read_bytes())
        else:
            self._files.pipe_file(place, path.read_bytes())

    def _create(self, place: str, content: bytes) -> None:
        """Raises `FileExistsError` where there is one."""
        if "file" in self._files.protocol:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
        with self._files.open(place, "xb") as file:
            file.write(content)

    def _lasting(self, act: Callable[[], Result]) -> Result:
        """What an act returns, tried again where the network refuses; raises `StorageError` in the end."""
        for pause in (*self.pauses, None):
            try:
                return act()
            except FileExistsError:
                raise
            except FileNotFoundError as error:
                raise error if "bucket" not in str(error) else StorageError(f"{self.url}: {error}") from error
            except PermissionError as error:
                raise StorageError(f"{self.url} cannot be used ({error}); check its credentials") from error
            except Exception as error:  # of whatever library reads the URL
                if pause is None:
                    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                    raise StorageError(
                        f"{self.url} does not answer ({reason}); what ended is on this disk, and once it answers "
                        f"the same command continues"
                    ) from error
                time.sleep(pause)
        raise AssertionError


def _options(url: str) -> dict[str, Any]:
    """What s3fs is to do otherwise: see what others write, and leave trying again to `_lasting`."""
    if not url.startswith("s3"):
        return {}
    retries = {"config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 5}}
    return {"use_listings_cache": False, "skip_instance_cache": True, **retries}


def _lease_name(number: int) -> str:
    return f"lease/{number:06}.json"


def _owner(folder: Path) -> str:
    """The name under which a folder's writers hold leases."""
    path = folder / _OWNER
    if not path.exists():
        write_text_whole(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8")


def copied(url: str, to: Path) -> Path:
    """A copy of all runs at a URL, without their students, brought up to date; raises `StorageError`."""
    names = Remote(url).runs()
    if not names:
        raise StorageError(f"{url} holds no run; run `harness search --study digits_resnet --storage {url}` first")
    for name in names:
        Remote(f"{url.rstrip('/')}/{name}").pull(to / name, ("looks", "epochs", "trials"))
    return to
