"""What the teacher says is the same, to the bit, whether it is asked, remembered, or kept on disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from harness.data.served import Batch
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.files import file_digest
from harness.models.resnet import ResNet
from harness.train import answers, tables
from harness.train.answers import Answers, Asked, Kept, Remembered, view_count
from harness.train.teachers import save_weights
from harness.train.trial import Checkpoint, TeacherSpec, TrialSpec
from harness.train.workshop import Workshop
from tests.train.small import CPU, run, small_trial, timeless

SPECS = {
    "shifted": small_trial(KSAN(), training__epochs=60),
    "mirrored too": small_trial(KSAN(), training__epochs=60, data__flip=True, data__shift=2),
    "unmoved": small_trial(KSAN(), training__epochs=60, data__shift=0),
}


def of_workshop(spec: TrialSpec, workshop: Workshop, budget: int = 10**9) -> Answers:
    """The answers of a new workshop with the same teachers and so many bytes of disk for what they say."""
    side = Workshop(workshop.data_root, workshop.cache, workshop.device, answers_budget=budget).side(spec)
    assert side is not None
    return side.answers


def view_count_of(spec: TrialSpec, workshop: Workshop) -> int:
    data = workshop.data(spec.data)
    return view_count(data) if isinstance(data, answers.ResidentData) else 0


@pytest.mark.parametrize("name", ["shifted", "mirrored too"])
def test_remembered_kept_and_asked_answers_are_the_same(name: str, workshop: Workshop) -> None:
    spec = SPECS[name]
    remembered, kept = of_workshop(spec, workshop), of_workshop(spec.at("training.epochs", 1), workshop)
    assert isinstance(remembered, Remembered)
    assert isinstance(kept, Kept)
    for seed in range(3):
        for batch in workshop.data(spec.data).batches(20, torch.Generator().manual_seed(seed)):
            looked_up, read, said = remembered.of(batch), kept.of(batch), kept.asked.of(batch)
            assert looked_up.keys() == read.keys() == said.keys() == {"logits", "squeezed"}
            for target in said:
                assert torch.equal(looked_up[target], said[target])
                assert torch.equal(read[target], said[target])
                assert not said[target].requires_grad


def test_a_view_that_a_pack_looks_at_together_is_asked_for_once(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS["mirrored too"].at("training.epochs", 1)
    kept = of_workshop(spec.at("data.split_seed", 1), workshop)
    assert isinstance(kept, Kept)
    (batch, *_) = workshop.data(spec.at("data.split_seed", 1).data).batches(10, torch.Generator().manual_seed(0))
    assert batch.views is not None
    thrice = Batch(
        batch.indices.repeat_interleave(3),
        batch.views.each(lambda view: view.repeat_interleave(3)),
        batch.images.repeat_interleave(3, dim=0),
        batch.labels.repeat_interleave(3),
    )
    sizes, ask = [], Asked.of
    monkeypatch.setattr(Asked, "of", lambda self, of: sizes.append(len(of.indices)) or ask(self, of))
    found = kept.of(thrice)
    assert sizes == [10]
    assert all(torch.equal(found[name], said) for name, said in ask(kept.asked, thrice).items())
    assert all(torch.equal(kept.of(thrice)[name], found[name]) for name in found)
    assert sizes == [10]


def test_in_bfloat16_logits_take_half_the_room_and_are_the_same(workshop: Workshop) -> None:
    spec = SPECS["shifted"].with_values({"training.epochs": 1, "training.precision": "bfloat16"})
    kept = of_workshop(spec, workshop)
    assert isinstance(kept, Kept)
    assert {name: table.layout.is_half for name, table in kept.tables.items()} == {"logits": True, "squeezed": False}
    for batch in workshop.data(spec.data).batches(20, torch.Generator().manual_seed(0)):
        for _ in ("written", "read"):
            read, said = kept.of(batch), kept.asked.of(batch)
            assert all(torch.equal(read[name], said[name]) for name in said)


def test_an_image_is_spoken_of_alike_in_every_batch(workshop: Workshop) -> None:
    kept = of_workshop(SPECS["shifted"].at("training.epochs", 1), workshop)
    assert isinstance(kept, Kept)
    (batch, *_) = workshop.data(SPECS["shifted"].data).batches(64, torch.Generator().manual_seed(0))
    whole = kept.asked.of(batch)
    for size in (1, 7, 16, 33):
        part = slice(5, 5 + size)
        some = answers.Batch(batch.indices[part], None, batch.images[part], batch.labels[part])
        for name, target in kept.asked.of(some).items():
            assert torch.equal(target, whole[name][part])


def test_logits_are_kept_once_for_all_methods(workshop: Workshop, tmp_path: Path) -> None:
    own = Workshop(workshop.data_root, tmp_path, workshop.device)
    own.side(small_trial(KD()))
    tables = set(tmp_path.glob("*/answers/*.rows"))
    own.side(small_trial(KSAN()))
    more = set(tmp_path.glob("*/answers/*.rows"))
    assert len(tables) == 1
    assert tables < more
    assert len(more) == 2  # the squeezed descriptors


def test_a_trial_comes_out_to_the_bit_alike_wherever_the_answers_are(workshop: Workshop, tmp_path: Path) -> None:
    spec = small_trial(KSAN(), training__epochs=9)
    expected, _ = run(spec, workshop)
    nowhere = Workshop(workshop.data_root, workshop.cache / "elsewhere", workshop.device, answers_budget=0)
    assert timeless(run(spec, nowhere)[0]) == timeless(expected)
    short = small_trial(KSAN(), training__epochs=3)
    for _ in range(2):  # the second time from disk
        assert timeless(run(short, Workshop(workshop.data_root, tmp_path, workshop.device))[0]) == timeless(
            run(short, nowhere)[0]
        )


def test_no_more_is_kept_than_the_budget_allows(workshop: Workshop, tmp_path: Path) -> None:
    room_for_logits = Workshop(workshop.data_root, tmp_path, workshop.device, answers_budget=64 * 9 * 44)
    kinds = [room_for_logits.side(small_trial(method)) for method in (KD(), KSAN())]
    assert [type(side.answers) for side in kinds if side] == [Kept, Asked]


def test_a_full_disk_costs_the_answers_and_not_the_trial(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tables, "_reserve", full)
    side = Workshop(workshop.data_root, tmp_path, workshop.device).side(small_trial(KD()))
    assert side is not None
    assert isinstance(side.answers, Asked)
    assert not list(tmp_path.glob("*/answers/*.rows"))


def test_a_table_holds_every_view_of_every_image(workshop: Workshop) -> None:
    side = workshop.side(SPECS["mirrored too"])
    assert side is not None
    assert isinstance(side.answers, Remembered)
    assert {table.shape[:2] for table in side.answers.tables.values()} == {(64, 50)}
    assert view_count_of(SPECS["shifted"], workshop) == 9


def test_another_network_with_the_same_weights_has_answers_of_its_own(tmp_path: Path) -> None:
    """Two strides have the same weights: what one teacher said must not be looked up for the other."""
    torch.manual_seed(0)
    weights = tmp_path / "teacher.safetensors"
    save_weights(ResNet(depth=8, width=4).build(1, 10), weights)
    checkpoint = Checkpoint(path=str(weights), sha256=file_digest(weights))
    made = Workshop(tmp_path, tmp_path / "cache", CPU)
    logits = []
    for stride in (1, 2):
        teacher = TeacherSpec(network=ResNet(depth=8, width=4, stem_stride=stride), checkpoint=checkpoint)
        spec = small_trial(KD(), teacher=teacher)
        side = made.side(spec)
        assert side is not None
        batch = next(iter(made.data(spec.data).batches(16, torch.Generator().manual_seed(0))))
        logits.append(side.answers.of(batch)["logits"])
    assert not torch.allclose(*logits)
