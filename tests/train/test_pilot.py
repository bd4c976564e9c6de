"""A pilot is a real trial, cut short: what it takes decides how many share a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.source import MissingError
from harness.store.parquet import now
from harness.train.account import Account, Assignment, carry_out_pack, failed
from harness.train.pilot import busy_share, fly, growing_share, hungriest, rehearsal, trials_a_device
from harness.train.workshop import Workshop
from tests.train.small import CPU, small_trial

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "peak", "cores", "busy", "expected"),
    [
        (80 * GIB, 2 * GIB, 16, 0.01, 16),  # as many as there are cores to feed them
        (80 * GIB, 10 * GIB, 16, 0.01, 7),  # a tenth is left free
        (80 * GIB, 79 * GIB, 16, 0.01, 1),
        (80 * GIB, 200 * GIB, 16, 0.01, 1),  # it fits nowhere, and the trial itself will say so
        (80 * GIB, 0, 3, 0.0, 3),
        (80 * GIB, 10 * GIB, 0, 0.0, 1),
        (80 * GIB, 1 * GIB, 16, 1.0, 1),  # it never waits
        (80 * GIB, 1 * GIB, 16, 0.3, 4),  # four leave it no pause
    ],
)
def test_as_many_share_a_device_as_memory_cores_and_its_pauses_allow(
    memory: int, peak: int, cores: int, busy: float, expected: int
) -> None:
    assert trials_a_device(memory, peak, cores, busy) == expected


@pytest.mark.parametrize(
    ("whole", "half", "expected"),
    [(4.0, 2.0, 1.0), (4.0, 3.5, 0.25), (4.0, 4.0, 0.0), (4.0, 4.5, 0.0), (4.0, 1.0, 1.0)],
)
def test_a_device_works_for_what_grows_with_the_images(whole: float, half: float, expected: float) -> None:
    assert growing_share(whole, half) == expected


def test_how_long_it_works_is_measured_on_a_step_of_half_the_images(workshop: Workshop) -> None:
    spec = small_trial(KD(), data__train=400, data__validation=64)
    assert 0 <= busy_share(spec, fly(spec, workshop), workshop) <= 1


def test_the_hungriest_trial_flies() -> None:
    lean, wide = small_trial(KSAN()), small_trial(KSAN(), student__width=16)
    assert hungriest([lean, wide, lean]) == wide
    assert hungriest([lean, lean.at("training.batch_size", 64)]).training.batch_size == 64


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with rehearsal(tmp_path, CPU) as made:
        yield made


@pytest.mark.parametrize("together", [1, 4])
def test_a_pilot_is_a_real_trial_or_pack_that_leaves_nothing(together: int, tmp_path: Path) -> None:
    with rehearsal(tmp_path, CPU) as workshop:
        pilot = fly(small_trial(KSAN(), data__train=400, training__epochs=500), workshop, together)
        assert list(workshop.cache.iterdir())
    assert pilot.together == together
    assert pilot.peak_bytes > 50 * 2**20  # torch alone takes that
    assert 0 < pilot.step_seconds < 5
    assert pilot.asking_seconds >= 0
    assert not list(tmp_path.iterdir())
    assert not workshop.cache.exists()


def test_asking_the_teacher_is_told_apart_from_the_step(workshop: Workshop) -> None:
    """The teacher here costs many times what its student does, and there are more views than are remembered."""
    large = {"name": "resnet", "depth": 56, "width": 16}
    pilot = fly(small_trial(KD(), teacher__network=large, data__shift=4), workshop)
    assert pilot.asking_seconds > pilot.step_seconds


def test_a_pilot_that_fails_says_why_and_what_to_do(workshop: Workshop) -> None:
    broken = small_trial(KSAN().at("attention.pretraining", {"steps": 2, "least_spread": 1000}))
    with pytest.raises(MissingError, match=r"by ksan failed \(CollapsedError.*; mend that"):
        fly(broken, workshop)


def test_a_pack_that_finds_no_memory_is_halved(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def short_of_memory(pack: Sequence[Assignment], workshop: Workshop) -> Iterator[Account]:
        tried.append(len(pack))
        for one in pack:
            error = MemoryError("no room")
            yield Account(failed(one, error, now()), ()) if len(pack) > 2 else carried_out(one, workshop)

    def carried_out(one: Assignment, workshop: Workshop) -> Account:
        return next(news for news in carry_out_pack([one], workshop) if isinstance(news, Account))

    monkeypatch.setattr("harness.train.pilot.carry_out_pack", short_of_memory)
    assert fly(small_trial(KSAN()), workshop, 8).together == 2
    assert tried == [8, 4, 2, 2]
