"""What the teacher says is the same whether it is asked or remembered."""

from __future__ import annotations

import pytest
import torch

from harness.distill.ksan import KSAN
from harness.train import answers
from harness.train.answers import Asked, Remembered, view_count
from harness.train.trial import TrialSpec
from harness.train.workshop import Workshop
from tests.train.small import run, small_trial

SPECS = {
    "shifted": small_trial(KSAN(), training__epochs=60),
    "mirrored too": small_trial(KSAN(), training__epochs=60, data__flip=True, data__shift=2),
    "unmoved": small_trial(KSAN(), training__epochs=60, data__shift=0),
}


def asked(spec: TrialSpec, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> answers.Answers:
    """The answers of a workshop that has no room to remember them."""
    with monkeypatch.context() as no_room:
        no_room.setattr(answers, "LIMIT", 0)
        side = Workshop(workshop.data_root, workshop.cache, workshop.device).side(spec)
    assert side is not None
    return side.answers


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_remembered_answers_equal_asked_ones(
    spec: TrialSpec, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = workshop.side(spec)
    assert side is not None
    remembered, fresh = side.answers, asked(spec, workshop, monkeypatch)
    assert isinstance(remembered, Remembered)
    assert isinstance(fresh, Asked)
    for seed in range(3):
        for batch in workshop.data(spec.data).batches(20, torch.Generator().manual_seed(seed)):
            looked_up, said = remembered.of(batch), fresh.of(batch)
            assert looked_up.keys() == said.keys() == {"logits", "squeezed"}
            for name, target in said.items():
                torch.testing.assert_close(looked_up[name], target, rtol=1e-5, atol=1e-5)
                assert not looked_up[name].requires_grad
                assert not target.requires_grad


def test_a_table_holds_every_view_of_every_image(workshop: Workshop) -> None:
    side = workshop.side(SPECS["mirrored too"])
    assert side is not None
    assert isinstance(side.answers, Remembered)
    assert {table.shape[:2] for table in side.answers.tables.values()} == {(64, 50)}
    assert view_count(workshop.data(SPECS["shifted"].data)) == 9


def test_a_teacher_that_would_have_to_speak_of_more_views_than_a_trial_sees_is_asked(workshop: Workshop) -> None:
    for epochs, kind in ((8, Asked), (9, Remembered)):
        side = workshop.side(small_trial(KSAN(), training__epochs=epochs))
        assert side is not None
        assert isinstance(side.answers, kind)


def test_a_trial_whose_teacher_is_asked_comes_out_alike(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = small_trial(KSAN(), training__epochs=9)
    expected, _ = run(spec, workshop)
    monkeypatch.setattr(answers, "LIMIT", 0)
    records, _ = run(spec, Workshop(workshop.data_root, workshop.cache, workshop.device))
    assert records[0].losses == pytest.approx(expected[0].losses, rel=1e-3)
