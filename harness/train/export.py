"""Export: a stored student for other people's programs, as safetensors and as ONNX, with a model card.

    FOLDER/
      model.safetensors   the weights as they were trained, for the network that `config.json` names
      model.onnx          pixels (uint8, n × c × h × w) → logits: what standardises them is inside
      config.json         network, classes, shape, mean and spread
      README.md           the model card

The ONNX file is run on real images (the validation split: the test split is none of its business) and refused where
it disagrees with torch.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.data.served import Split
from harness.files import replacing, write_text_whole
from harness.record import TrialRecord
from harness.source import MissingError, UserError
from harness.store.weights import weights_digest
from harness.train.account import recorded_spec
from harness.train.model_card import model_card
from harness.train.students import stored_student
from harness.train.workshop import Workshop

CLOSE = 1e-3
"""How far a logit may lie from torch's, in units of the logits' spread: rounding of another runtime is a hundredth."""
OPSET = 20


class DisagreementError(UserError):
    """The exported network says other things of real images than torch's."""

    exit_code = 1


@dataclass(frozen=True)
class Agreement:
    """What the exported network said of real images, against torch's."""

    images: int
    same_class: int
    farthest: float
    """The largest difference of a logit, in units of the logits' spread."""

    @property
    def holds(self) -> bool:
        """Whether the two are the same but for rounding, which may decide between classes that are as good as equal."""
        return self.farthest <= CLOSE and self.images - self.same_class <= self.images * CLOSE


class FromPixels(nn.Module):
    """A student that takes pixels as they are in files: standardised as in its training, then classified."""

    mean: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) → logits (n, classes)."""
        logits: Tensor = self.network((pixels.float() - self.mean) / self.spread)
        return logits


def export(record: TrialRecord, weights: Path, to: Path, data_root: Path) -> Agreement:
    """Writes a confirmed student's export and says how well it agrees with torch.

    Raises `MissingError` for an altered record, weights that misfit, data that are not here or a missing onnx, and
    `DisagreementError` where onnxruntime says other things than torch; then no ONNX file is left.
    """
    _refuse_missing_onnx()
    spec = recorded_spec(record)
    if spec is None:
        raise MissingError(f"the spec in the record {record.trial_id} is not the one that its ids name")
    if weights_digest(weights) != record.student_digest:
        raise MissingError(
            f"{weights} holds other weights than trial {record.trial_id} recorded (it ran again elsewhere, or the file "
            f"was changed); export it from the folder in which it was trained"
        )
    validation = Workshop(data_root, Path("unused"), torch.device("cpu")).data(spec.data).validation
    standard = validation.standard
    network = FromPixels(stored_student(spec, weights), standard.mean, standard.spread).eval()
    to.mkdir(parents=True, exist_ok=True)
    (to / "model.onnx").unlink(missing_ok=True)
    with replacing(to / "model.onnx") as temporary:
        _write_onnx(network, spec.data.shape, temporary)
        agreement = _compared(network, temporary, validation)
        if not agreement.holds:
            raise DisagreementError(
                f"the ONNX student says the same class of {agreement.same_class} of {agreement.images} validation "
                f"images and its logits are up to {agreement.farthest:.2g} spreads off: it was not kept"
            )
    shutil.copyfile(weights, to / "model.safetensors")
    config: dict[str, Any] = {
        "student": spec.student.model_dump(mode="json"),
        "classes": spec.data.classes,
        "shape": list(spec.data.shape),
        "mean": standard.mean.flatten().tolist(),
        "spread": standard.spread.flatten().tolist(),
        "trial": record.trial_id,
    }
    write_text_whole(to / "config.json", json.dumps(config, indent=1) + "\n")
    said = f"{agreement.same_class} of {agreement.images} validation images get torch's class"
    write_text_whole(to / "README.md", model_card(record, config, said))
    return agreement


def _refuse_missing_onnx() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise MissingError(f"{', '.join(missing)} not installed; pip install 'ksan-harness[onnx]'")


def _write_onnx(network: nn.Module, shape: tuple[int, int, int], path: Path) -> None:
    example = torch.zeros((2, *shape), dtype=torch.uint8)
    talk = logging.getLogger("torch.onnx")
    level = talk.level
    talk.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                path,
                input_names=["pixels"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("images", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        talk.setLevel(level)


@torch.inference_mode()
def _compared(network: FromPixels, path: Path, images: Split) -> Agreement:
    from onnxruntime import InferenceSession

    session = InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    ours, theirs = [], []
    for standardised, _ in images.chunks():
        pixels = (standardised * network.spread + network.mean).round().to(torch.uint8)
        ours.append(network(pixels).numpy())
        theirs.append(session.run(["logits"], {"pixels": pixels.numpy()})[0])
    a, b = np.concatenate(ours), np.concatenate(theirs)
    same = int((a.argmax(axis=1) == b.argmax(axis=1)).sum())
    return Agreement(len(a), same, float(np.abs(a - b).max() / a.std()))
