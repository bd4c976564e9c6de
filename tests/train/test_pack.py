"""A pack is an optimisation of `run_trial`: the same records within rounding, and to the bit whatever the company."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from harness.data.resident import ResidentData
from harness.distill.anc import ANC
from harness.distill.ksan import KSAN
from harness.distill.method import Method
from harness.distill.scratch import Scratch
from harness.models.resnet import ResNet
from harness.models.torchvision_model import Torchvision
from harness.record import EpochRecord
from harness.train.checkpoint import Progress, save
from harness.train.pack import Left, Member, run_pack
from harness.train.packing import most_in_a_pack, shape_of
from harness.train.seeds import state_digest
from harness.train.trial import Outcome, Resumption, TrialSpec
from harness.train.workshop import Workshop
from tests.train.small import CPU, METHODS, run, small_trial, timeless

PACKED = [method for method in METHODS if most_in_a_pack(small_trial(method), "cpu") > 1]
every_packed = pytest.mark.parametrize("method", PACKED, ids=lambda method: method.name)


class Told:
    """What a pack told: records and ends by trial."""

    def __init__(self, members: Sequence[Member], workshop: Workshop, stop_after: int | None = None) -> None:
        self.records: dict[str, list[EpochRecord]] = {member.id: [] for member in members}
        self.ends: dict[str, Outcome | None] = {}
        data = workshop.data(members[0].spec.data)
        assert isinstance(data, ResidentData)
        news = run_pack(members, data, CPU)
        for count, item in enumerate(news, start=1):
            if isinstance(item, Left):
                self.ends[item.member.id] = item.outcome
            else:
                self.records[item.trial_id].append(item)
            if count == stop_after:
                news.close()
                break

    def end(self, spec: TrialSpec) -> Outcome:
        """How a trial ended that did not pause."""
        outcome = self.ends[spec.id]
        assert outcome is not None
        return outcome


def pack(specs: Sequence[TrialSpec], workshop: Workshop) -> Told:
    return Told([Member(spec, workshop.side(spec)) for spec in specs], workshop)


def test_most_methods_pack() -> None:
    assert {method.name for method in METHODS} - {method.name for method in PACKED} == {"fitnet", "vid", "crd"}


@every_packed
def test_a_packs_records_are_those_of_single_runs_within_rounding(method: Method, workshop: Workshop) -> None:
    specs = [small_trial(method, seed=seed) for seed in range(2)]
    told = pack(specs, workshop)
    for spec in specs:
        expected, outcome = run(spec, workshop)
        first, alone = told.records[spec.id][0], expected[0]
        assert first.losses == pytest.approx(alone.losses, rel=1e-3)
        assert first.train_loss == pytest.approx(alone.train_loss, rel=1e-3)
        assert first.learning_rate == alone.learning_rate
        assert len(told.records[spec.id]) == len(expected)
        assert told.end(spec).status == outcome.status
        assert told.end(spec).student.state_dict().keys() == outcome.student.state_dict().keys()


@pytest.mark.parametrize("batch", [32, 64])
def test_company_changes_no_bit(batch: int, workshop: Workshop) -> None:
    sizes = {"data__train": 160, "training__batch_size": batch}
    specs = [small_trial(method, seed=seed, **sizes) for method in PACKED for seed in range(2)]
    whole = pack(specs, workshop)
    for spec in specs[:: max(1, len(specs) // 8)]:
        alone = pack([spec], workshop)
        assert timeless(alone.records[spec.id]) == timeless(whole.records[spec.id]), spec.method.name
        assert state_digest(alone.end(spec).student) == state_digest(whole.end(spec).student), spec.method.name


@pytest.mark.parametrize(("width", "batch"), [(3, 32), (8, 32), (3, 64)])
@every_packed
def test_nor_does_it_where_a_last_batch_fills_no_register(
    method: Method, width: int, batch: int, workshop: Workshop
) -> None:
    odd = {"data__train": 2 * batch + 9, "training__batch_size": batch, "student": ResNet(depth=8, width=width)}
    specs = [small_trial(method, seed=seed, **odd) for seed in range(3)]
    digests = [state_digest(pack(specs[:size], workshop).end(specs[0]).student) for size in (1, 2, 3)]
    assert digests == digests[:1] * 3


def test_members_may_differ_in_rates_weights_and_length(workshop: Workshop) -> None:
    short = small_trial(KSAN(), training__epochs=1, training__learning_rate=0.3)
    heavy = small_trial(KSAN(), seed=1, method__weights__logits=50.0, training__clip=0.1)
    assert shape_of(short) == shape_of(heavy)
    told = pack([short, heavy], workshop)
    for spec in (short, heavy):
        assert timeless(told.records[spec.id]) == timeless(pack([spec], workshop).records[spec.id])


def test_a_member_that_diverges_leaves_and_touches_nobody(workshop: Workshop) -> None:
    sound = small_trial(KSAN())
    doomed = small_trial(KSAN(), seed=1, training__learning_rate=10.0, training__clip=1e30)
    told = pack([sound, doomed], workshop)
    assert told.end(doomed).status == "diverged"
    assert told.end(doomed).validation is None
    assert timeless(told.records[sound.id]) == timeless(pack([sound], workshop).records[sound.id])


@pytest.mark.parametrize("method", [Scratch(), KSAN()], ids=lambda method: method.name)
def test_a_pack_goes_on_from_any_cut_even_in_other_company(method: Method, workshop: Workshop, tmp_path: Path) -> None:
    specs = [small_trial(method, seed=seed) for seed in range(3)]
    expected = pack(specs, workshop)

    def kept(some: Sequence[TrialSpec]) -> list[Member]:
        return [Member(spec, workshop.side(spec), Resumption(tmp_path / f"{spec.id}.pt", every=0)) for spec in some]

    for stop_after in (1, 3, 4, 7):
        Told(kept(specs), workshop, stop_after)
        resumed = [Told(kept(specs[:1]), workshop), Told(kept(specs[1:]), workshop)]
        for spec in specs:
            (told,) = (one for one in resumed if spec.id in one.records)
            assert timeless(told.records[spec.id]) == timeless(expected.records[spec.id])
            assert state_digest(told.end(spec).student) == state_digest(expected.end(spec).student)
        for checkpoint in tmp_path.iterdir():
            checkpoint.unlink()


def test_a_damaged_checkpoint_costs_its_own_trial_alone(workshop: Workshop, tmp_path: Path) -> None:
    specs = [small_trial(seed=seed) for seed in range(2)]
    members = [Member(spec, None, Resumption(tmp_path / f"{spec.id}.pt", every=0)) for spec in specs]
    Told(members, workshop, stop_after=2)
    torn = tmp_path / f"{specs[0].id}.pt"
    torn.write_bytes(torn.read_bytes()[:-1] + b"?")
    again = [Member(spec, None, Resumption(tmp_path / f"{spec.id}.pt", every=0)) for spec in specs]
    told = Told(again, workshop)
    assert torn.with_name(torn.name + ".damaged").exists()
    for spec in specs:
        assert timeless(told.records[spec.id]) == timeless(pack([spec], workshop).records[spec.id])


def test_so_does_one_that_another_version_wrote(workshop: Workshop, tmp_path: Path) -> None:
    spec, place = small_trial(ANC()), tmp_path / "kept.pt"
    Told([Member(spec, workshop.side(spec), Resumption(place, every=0))], workshop, stop_after=1)
    kept = torch.load(io.BytesIO(place.read_bytes()[32:]))
    save(place, Progress(spec.id, 1.0, ()), {**kept["states"], "rival": torch.zeros(7)})
    told = Told([Member(spec, workshop.side(spec), Resumption(place, every=0))], workshop)
    assert place.with_name("kept.pt.damaged").exists()
    assert timeless(told.records[spec.id]) == timeless(pack([spec], workshop).records[spec.id])


def test_a_member_pauses_where_it_is_asked_to_and_goes_on_later(workshop: Workshop, tmp_path: Path) -> None:
    specs = [small_trial(seed=seed) for seed in range(2)]
    place = Resumption(tmp_path / f"{specs[0].id}.pt")
    told = Told([Member(specs[0], None, place, until=1), Member(specs[1], None)], workshop)
    assert told.ends[specs[0].id] is None
    assert len(told.records[specs[0].id]) == 1
    assert told.end(specs[1]).status == "completed"
    later = Told([Member(specs[0], None, place)], workshop)
    assert timeless(later.records[specs[0].id]) == timeless(pack(specs[:1], workshop).records[specs[0].id])


@pytest.mark.parametrize("kept", [2, 3])
def test_a_member_that_was_kept_beyond_its_rung_or_at_its_end_pauses_there_again(
    kept: int, workshop: Workshop, tmp_path: Path
) -> None:
    """A run that was killed in a trial's second leg asks for the first one again."""
    spec, place = small_trial(), Resumption(tmp_path / "kept.pt", every=0)
    whole = Told([Member(spec, None, place)], workshop, stop_after=kept)
    again = Told([Member(spec, None, place, until=1)], workshop)
    assert again.ends == {spec.id: None}
    assert again.records[spec.id] == whole.records[spec.id][:1]
    later = Told([Member(spec, None, place)], workshop)
    assert later.records[spec.id][:kept] == whole.records[spec.id]
    assert state_digest(later.end(spec).student) == state_digest(pack([spec], workshop).end(spec).student)


def test_weights_that_are_no_numbers_are_not_kept(workshop: Workshop, tmp_path: Path) -> None:
    doomed = small_trial(KSAN(), training__learning_rate=10.0, training__clip=1e30)
    told = Told([Member(doomed, workshop.side(doomed), Resumption(tmp_path / "kept.pt", every=0))], workshop)
    assert told.end(doomed).status == "diverged"
    if (tmp_path / "kept.pt").exists():
        kept = torch.load(io.BytesIO((tmp_path / "kept.pt").read_bytes()[32:]))
        assert all(weights.isfinite().all() for weights in kept["student"].values())


def test_what_nothing_is_known_of_trains_by_itself() -> None:
    assert most_in_a_pack(small_trial(student=Torchvision(constructor="shufflenet_v2_x0_5")), "cpu") == 1
    assert most_in_a_pack(small_trial(training__batch_size=65_536), "cpu") == 1  # no room for several
    assert torch.get_num_threads() == 1


@every_packed
def test_a_pack_may_run_in_bfloat16(method: Method, workshop: Workshop) -> None:
    specs = [small_trial(method, seed=seed, training__precision="bfloat16") for seed in range(2)]
    told = pack(specs, workshop)
    for spec in specs:
        expected, outcome = run(spec, workshop)
        assert told.end(spec).status == outcome.status == "completed"
        assert told.records[spec.id][0].train_loss == pytest.approx(expected[0].train_loss, rel=0.05)


def test_narrow_networks_with_flat_maps_pack_in_bfloat16_too(workshop: Workshop) -> None:
    """Their last normalisation has one position."""
    narrow = {"student": ResNet(depth=8, width=3), "training__precision": "bfloat16"}
    told = pack([small_trial(KSAN(), seed=seed, **narrow) for seed in range(2)], workshop)
    assert {end.status for end in told.ends.values() if end} == {"completed"}
