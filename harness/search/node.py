"""A node's side of the depot: a folder of its own, with the driver's files at their paths below it.

    to the node      a data set's files and a user's weights, before the first trial that needs them; teachers and
                     frozen parts that another node made; the checkpoint of a trial that began elsewhere
    to the driver    teachers, frozen parts and students as they are made; checkpoints, every half a minute

Each file reaches a node once, whatever its workers ask for, and is what its SHA-256 says.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from harness.data.catalog import AnyDataset
from harness.files import file_digest, replacing
from harness.record import EpochRecord
from harness.search.depot import Depot
from harness.source import MissingError
from harness.train.account import Account, Assignment, Places, carry_out_pack
from harness.train.trial import TrialSpec
from harness.train.workshop import Workshop

SEND_EVERY = 30.0
"""Seconds between two sendings of a running trial's checkpoint."""
LARGEST = 512 * 2**20
"""Bytes of a checkpoint from which on it stays on its node, and is lost with it."""
PATIENCE = 0.5
"""Seconds between two looks at whether another node has made what one waits for."""


@dataclass(frozen=True)
class Supply:
    """A data set as a node reads it, and the files that it takes for that, at their paths on the driver's machine."""

    data: AnyDataset
    files: tuple[Path, ...]


def below(folder: Path, path: Path) -> Path:
    """Where a file of the driver's lies in a node's folder."""
    return folder / path.absolute().relative_to("/")


class Node:
    """What one worker of a node has of the driver's files."""

    def __init__(self, folder: Path, depot: Depot, places: Places, supplies: dict[str, Supply]) -> None:
        self.folder, self.depot, self.supplies = folder, depot, supplies
        self.theirs = places
        """Where the driver keeps checkpoints and students."""
        self.ours = Places(below(folder, places.checkpoints), below(folder, places.students))
        self.holder = ""
        self._supplied: set[str] = set()

    def bring(self, theirs: Path) -> bool:
        """Sees to it that a file of the driver's is here, as it is there; whether there is one."""
        digest = self.depot.digest(theirs)
        if digest is None:
            return False
        ours = below(self.folder, theirs)
        ours.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(ours.parent / ".coming.lock"):
            if ours.is_file() and file_digest(ours) == digest:
                return True
            with replacing(ours) as temporary:
                with temporary.open("wb") as file:
                    while chunk := self.depot.read(theirs, file.tell()):
                        file.write(chunk)
                if file_digest(temporary) != digest:
                    raise OSError(f"{theirs} did not arrive at this node as it is on the driver's")
            return True

    def send(self, theirs: Path) -> None:
        """Puts this node's copy of a file on the driver's disk, unless it is there."""
        content = below(self.folder, theirs).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if self.depot.digest(theirs) != digest:
            self.depot.write(theirs, content, digest)

    @contextmanager
    def once(self, *files: Path) -> Iterator[None]:
        """Some files of this node's are brought, or made within the block by this worker alone, and sent."""
        theirs = [Path("/") / file.relative_to(self.folder) for file in files]
        files[0].parent.mkdir(parents=True, exist_ok=True)
        with FileLock(files[0].with_suffix(".lock")):
            while not all(file.is_file() for file in files):
                if all(self.bring(path) for path in theirs) or self.depot.claim(theirs[0], self.holder):
                    break
                time.sleep(PATIENCE)
            try:
                yield
                for ours, path in zip(files, theirs, strict=True):
                    if ours.is_file():
                        self.send(path)
            finally:
                self.depot.release(self.holder)

    def carry_out_pack(
        self, pack: Sequence[Assignment], workshop: Workshop
    ) -> Generator[EpochRecord | Account, None, None]:
        """As `account.carry_out_pack`, with what it needs brought here and what it leaves sent to the driver.

        Raises what `bring` and `send` raise.
        """
        self.holder = pack[0].id
        checkpoints = {one.id: self.theirs.checkpoints / f"{one.id}.pt" for one in pack}
        specs = {one.id: one.spec.model_dump_json() for one in pack}
        here = [replace(one, spec=self._supplied_spec(one.spec)) for one in pack]
        for checkpoint in checkpoints.values():
            self.bring(checkpoint)
        sent = time.monotonic()
        news = carry_out_pack(here, workshop, self.ours)
        try:
            for item in news:
                if isinstance(item, Account):
                    self._send_what_is_left(item, checkpoints.pop(item.trial.trial_id))
                    yield replace(item, trial=replace(item.trial, spec=specs[item.trial.trial_id]))
                    continue
                if time.monotonic() - sent >= SEND_EVERY:
                    for checkpoint in checkpoints.values():
                        self._send_checkpoint(checkpoint)
                    sent = time.monotonic()
                yield item
        finally:
            news.close()
            for checkpoint in checkpoints.values():
                self._send_checkpoint(checkpoint)
                below(self.folder, checkpoint).unlink(missing_ok=True)  # it may go on elsewhere

    def _send_what_is_left(self, account: Account, checkpoint: Path) -> None:
        """After a trial's end: its student; its checkpoint where it only pauses, and none where it ended."""
        trial = account.trial
        student = self.theirs.students / f"{trial.trial_id}.safetensors"
        if trial.status == "completed" and below(self.folder, student).is_file():
            self.send(student)
        if trial.status == "stopped":
            self._send_checkpoint(checkpoint)
        else:
            self.depot.remove(checkpoint)
        below(self.folder, checkpoint).unlink(missing_ok=True)

    def _send_checkpoint(self, checkpoint: Path) -> None:
        ours = below(self.folder, checkpoint)
        if ours.is_file() and ours.stat().st_size <= LARGEST:
            self.send(checkpoint)

    def _supplied_spec(self, spec: TrialSpec) -> TrialSpec:
        """The spec with paths of this node, and what lies there; no id depends on them."""
        supply = self.supplies[spec.data.id]
        self._bring_all(spec.data.id, supply.files)
        changes: dict[str, object] = {"data": supply.data}
        if spec.teacher and spec.teacher.checkpoint:
            weights = Path(spec.teacher.checkpoint.path).expanduser().absolute()
            self._bring_all(spec.teacher.id, (weights,))
            own = spec.teacher.checkpoint.model_copy(update={"path": str(below(self.folder, weights))})
            changes["teacher"] = spec.teacher.model_copy(update={"checkpoint": own})
        return spec.model_copy(update=changes)

    def _bring_all(self, what: str, files: tuple[Path, ...]) -> None:
        if what in self._supplied:
            return
        for path in files:
            if not self.bring(path):
                raise MissingError(f"{path} is on the driver's machine no longer; put it back")
        self._supplied.add(what)
