"""Nodes that share no file system with the driver, as folders: what reaches them, and what they send."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from harness.search.depot import FilesOnDisk
from harness.search.node import Node, Supply, below
from harness.train.account import Account, Assignment, Places
from harness.train.trial import teacher_trial
from harness.train.workshop import Workshop
from tests.train.small import DATA, TEACHER, small_trial


class Driver:
    """A driver's folders, and its nodes'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = Places(folder / "run" / "checkpoints", folder / "run" / "students")
        self.cache = folder / "cache"
        self.depot = FilesOnDisk((self.cache, self.places.checkpoints, self.places.students))

    def node(self, name: str) -> Node:
        return Node(self.folder / name, self.depot, self.places, {DATA.id: Supply(DATA, ())})

    def account(self, node: Node, assignment: Assignment) -> Account:
        workshop = Workshop(Path("none"), below(node.folder, self.cache), torch.device("cpu"), node.once)
        *_, account = node.carry_out_pack([assignment], workshop)
        assert isinstance(account, Account)
        return account


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def test_a_teacher_is_trained_by_one_node_and_read_by_the_others(driver: Driver) -> None:
    trained = driver.account(driver.node("a"), Assignment(teacher_trial(TEACHER, DATA), "study", "teacher"))
    again = driver.account(driver.node("b"), Assignment(teacher_trial(TEACHER, DATA), "study", "teacher"))
    assert trained.trial.status == again.trial.status == "completed"
    assert [epoch.seconds for epoch in again.epochs] == [epoch.seconds for epoch in trained.epochs]
    assert len(list(driver.cache.rglob("*.safetensors"))) == 1


def test_a_record_lacks_no_student(driver: Driver) -> None:
    spec = small_trial(purpose="confirmation")
    account = driver.account(driver.node("a"), Assignment(spec, "study", "arm"))
    assert account.trial.status == "completed", account.trial.error_message
    assert (driver.places.students / f"{spec.id}.safetensors").is_file()


def test_a_trial_goes_on_at_another_node_from_its_checkpoint(driver: Driver) -> None:
    spec = small_trial()
    whole = driver.account(Driver(driver.folder / "other").node("a"), Assignment(spec, "study", "arm"))
    paused = driver.account(driver.node("a"), Assignment(spec, "study", "arm", until=2))
    assert (paused.trial.status, paused.trial.epochs_done) == ("stopped", 2)
    assert (driver.places.checkpoints / f"{spec.id}.pt").is_file()
    ended = driver.account(driver.node("b"), Assignment(spec, "study", "arm"))
    assert [epoch.seconds for epoch in ended.epochs[:2]] == [epoch.seconds for epoch in paused.epochs]
    assert ended.trial.student_digest == whole.trial.student_digest
    assert not list(driver.folder.rglob("*.pt"))


def test_a_file_that_is_damaged_on_a_node_is_brought_again(driver: Driver, tmp_path: Path) -> None:
    theirs = tmp_path / "data" / "images.bin"
    theirs.parent.mkdir()
    theirs.write_bytes(b"as it was sent")
    node = driver.node("a")
    assert node.bring(theirs)
    below(node.folder, theirs).write_bytes(b"flipped")
    assert node.bring(theirs)
    assert below(node.folder, theirs).read_bytes() == b"as it was sent"
    assert not node.bring(tmp_path / "data" / "none")


def test_one_node_makes_while_another_waits_and_a_lost_ones_right_is_taken_back(driver: Driver) -> None:
    first, second = driver.node("a"), driver.node("b")
    first.holder, second.holder = "first", "second"
    theirs = driver.cache / "part"
    assert driver.depot.claim(theirs, "dead")
    seen: list[bool] = []

    def make(node: Node) -> None:
        ours = below(node.folder, theirs)
        with node.once(ours):
            seen.append(ours.exists())
            ours.write_bytes(b"made")

    threads = [threading.Thread(target=make, args=(node,)) for node in (first, second)]
    for thread in threads:
        thread.start()
    assert not seen
    driver.depot.release("dead")
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(seen) == [False, True]


@pytest.mark.parametrize("place", ["/etc/passwd", "{cache}/../x"])
def test_nodes_write_nowhere_but_in_the_run(place: str, driver: Driver) -> None:
    with pytest.raises(ValueError, match="no place of this run"):
        driver.depot.write(Path(place.format(cache=driver.cache)), b"", "")
