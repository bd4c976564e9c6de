"""An exported student is the student: onnxruntime says of real images what torch says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import harness.train.export as exporting
from harness.data.digits import Digits
from harness.source import MissingError
from harness.train.account import recorded_spec
from harness.train.export import Agreement, DisagreementError, export
from harness.train.students import stored_student, weights_of
from tests.conftest import FinishedRun
from tests.test_cli import confirmed, harness

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A confirmed student of the tiny study, exported by the command line."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    line = ["export", confirmed(finished), "--runs", finished.runs, "--reports", folder, "--to", folder]
    code, said = harness(*line)
    assert code == 0, said
    assert "onnxruntime: 64 of 64 validation images get torch's class" in said
    return folder


def test_onnx_agrees_with_torch_on_real_images_whatever_their_number(exported: Path, finished: FinishedRun) -> None:
    record = next(one for one in finished.store.trials() if one.trial_id == confirmed(finished))
    spec = recorded_spec(record)
    assert spec is not None
    config = json.loads((exported / "config.json").read_text())
    mean, spread = (torch.tensor(config[name]).reshape(-1, 1, 1) for name in ("mean", "spread"))
    network = stored_student(spec, exported / "model.safetensors")
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    pixels = Digits(validation=64).training_images(Path("unused")).pixels
    for count in (1, 7, 300):
        with torch.inference_mode():
            ours = network((torch.from_numpy(pixels[:count]).float() - mean) / spread).numpy()
        (theirs,) = session.run(["logits"], {"pixels": pixels[:count]})
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_the_weights_are_the_stored_ones(exported: Path, finished: FinishedRun) -> None:
    record = next(one for one in finished.store.trials() if one.trial_id == confirmed(finished))
    stored = load_file(weights_of(record, [finished.runs]))
    assert all(torch.equal(value, stored[name]) for name, value in load_file(exported / "model.safetensors").items())


def test_the_card_says_what_it_is_what_it_scored_and_how_to_repeat_it(exported: Path, finished: FinishedRun) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    record = next(one for one in finished.store.trials() if one.trial_id == confirmed(finished))
    assert record.test_accuracy is not None
    assert f"{100 * record.test_accuracy:.2f} % of 997 images, seed {record.seed} alone" in card
    assert f"harness reproduce {record.trial_id}" in card
    assert str(record.student_digest) in card
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    scope: dict[str, object] = {}
    exec(program.replace('"model.onnx"', repr(str(exported / "model.onnx"))), scope)
    assert np.shape(scope["logits"]) == (1, 10)


def test_an_onnx_file_that_disagrees_is_not_kept(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = next(one for one in finished.store.trials() if one.trial_id == confirmed(finished))
    monkeypatch.setattr(exporting, "CLOSE", -1.0)
    with pytest.raises(DisagreementError, match="it was not kept"):
        export(record, weights_of(record, [finished.runs]), tmp_path / "x", Path("unused"))
    assert not (tmp_path / "x" / "model.onnx").exists()


def test_weights_that_are_not_the_recorded_ones_are_not_exported(finished: FinishedRun, tmp_path: Path) -> None:
    one, other = [trial for trial in finished.store.trials() if trial.test_accuracy is not None][:2]
    with pytest.raises(MissingError, match="holds other weights than trial"):
        export(one, weights_of(other, [finished.runs]), tmp_path / "x", Path("unused"))
    assert not (tmp_path / "x").exists()


def test_of_two_files_that_of_the_record_is_taken(finished: FinishedRun, tmp_path: Path) -> None:
    """A trial that ran on two machines has two ends, and its record is of one of them."""
    one, other = [trial for trial in finished.store.trials() if trial.test_accuracy is not None][:2]
    elsewhere = tmp_path / "runs" / "tiny" / "students"
    elsewhere.mkdir(parents=True)
    shutil.copyfile(weights_of(other, [finished.runs]), elsewhere / f"{one.trial_id}.safetensors")
    assert weights_of(one, [tmp_path / "runs", finished.runs]).is_relative_to(finished.runs)


@pytest.mark.parametrize(
    ("same", "farthest", "holds"),
    [(1000, 1e-6, True), (999, 1e-6, True), (998, 1e-6, False), (1000, 0.1, False)],
)
def test_rounding_may_decide_one_image_in_a_thousand(same: int, farthest: float, holds: bool) -> None:
    assert Agreement(1000, same, farthest).holds == holds


def test_a_student_that_was_not_kept_is_told(finished: FinishedRun, tmp_path: Path) -> None:
    searched = next(one for one in finished.store.trials() if one.purpose == "search")
    code, said = harness("export", searched.trial_id, "--runs", finished.runs, "--to", tmp_path / "x")
    assert code == 3
    assert "only confirmed students are kept" in said
    assert not (tmp_path / "x").exists()


def test_weights_of_another_network_are_refused(finished: FinishedRun, tmp_path: Path) -> None:
    record = next(one for one in finished.store.trials() if one.trial_id == confirmed(finished))
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(MissingError, match="holds other weights than trial"):
        export(record, tmp_path / "x.safetensors", tmp_path / "out", Path("unused"))
