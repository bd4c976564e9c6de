"""Teachers: trained once for each content id, kept on disk, shared by every trial and process.

    CACHE/cpu-1/                          what computed it: the kind of device and the number of threads
          cpu-1/teachers/ID.safetensors   weights
          cpu-1/teachers/ID.json          digest of the weights, last score, cost and epochs
          cpu-1/teachers/ID.pt            one that is being trained, at its last save
          cpu-1/parts/ID.safetensors      a method's frozen part on the teacher's side

A lock a file lets one of two processes train while the other waits and then reads. Weights that do not
have the digest noted for them are set aside as `.damaged` and made anew.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from harness.data.served import TrialData
from harness.distill.method import Method, Pairing, TeacherPart
from harness.files import file_digest, replacing, write_text_whole
from harness.models.taps import Tapped
from harness.record import EpochRecord
from harness.source import MissingError, reason
from harness.spec import content_id
from harness.train.evaluate import Score, evaluate
from harness.train.seeds import seeded, state_digest, tensors_digest
from harness.train.trial import Checkpoint, Resumption, TrialSpec, run_trial

_DIGEST = "sha256"
NAMED = 3
"""Names of weights that a refusal lists of each kind."""

Once = Callable[..., AbstractContextManager[object]]
"""Gives one process at a time the right to make some files (paths), and lets it see what others made of them."""


def locked(*files: Path) -> AbstractContextManager[object]:
    """`Once` for processes that share a file system."""
    return FileLock(files[0].with_suffix(".lock"))


@dataclass(frozen=True)
class Teacher:
    """A frozen network in eval mode, with what is known of its training."""

    network: nn.Module
    digest: str
    validation: Score | None
    """None where its training diverged."""
    epochs: tuple[EpochRecord, ...]
    train_seconds: float


def teacher(
    spec: TrialSpec, data: TrialData, cache: Path, device: torch.device, once: Once = locked
) -> Generator[EpochRecord, None, Teacher]:
    """The teacher of a teacher's trial: from the cache, from weights that it comes with, or trained now.

    Yields its epochs as they come, or as they were. Raises `MissingError` for weights that are not
    there, are not what their digest says, or do not fit the network.
    """
    if not spec.has_epochs:
        network = _trained(spec, device)
        score = evaluate(network, data.validation)
        if not score.is_finite:
            raise MissingError(f"the weights of the teacher {spec.student.label} give no finite logits on validation")
        return _frozen(network, score, (), 0.0)
    folder = cache / "teachers"
    folder.mkdir(parents=True, exist_ok=True)
    with once(folder / f"{spec.id}.safetensors", folder / f"{spec.id}.json"):
        known = _kept(spec, folder, device)
        if known is None:
            checkpoint = folder / f"{spec.id}.pt"
            epochs: list[EpochRecord] = []
            with closing(run_trial(spec, data, None, device, Resumption(checkpoint))) as records:
                while True:
                    try:
                        epochs.append(next(records))
                    except StopIteration as end:
                        outcome = end.value
                        break
                    yield epochs[-1]
            known = _frozen(outcome.student, outcome.validation, tuple(epochs), outcome.train_seconds)
            _keep(known, spec, folder)
            checkpoint.unlink(missing_ok=True)
            # The process that trained it goes on with what all others read: training may have left the weights in
            # another memory layout (channels_last), in which the same network rounds its logits differently.
            known = _kept(spec, folder, device) or known
        else:
            yield from known.epochs
    return known


def _empty(spec: TrialSpec, device: torch.device) -> nn.Module:
    return spec.student.build(spec.data.shape[0], spec.data.classes).to(device)


def _trained(spec: TrialSpec, device: torch.device) -> nn.Module:
    """A teacher that comes trained: by the user's checkpoint, or by its pretrained weights."""
    network = _empty(spec, device)
    if spec.teacher and spec.teacher.checkpoint:
        fill(network, spec.teacher.checkpoint)
        return network
    return spec.student.load_pretrained(network)


def _frozen(network: nn.Module, score: Score | None, epochs: tuple[EpochRecord, ...], seconds: float) -> Teacher:
    network = network.eval().requires_grad_(False)
    return Teacher(network, state_digest(network), score, epochs, seconds)


def _keep(known: Teacher, spec: TrialSpec, folder: Path) -> None:
    note = {
        "spec": spec.model_dump(mode="json"),
        "digest": known.digest,
        "validation": dataclasses.asdict(known.validation) if known.validation else None,
        "epochs": [dataclasses.asdict(record) for record in known.epochs],
        "train_seconds": known.train_seconds,
    }
    save_weights(known.network, folder / f"{spec.id}.safetensors")
    write_text_whole(folder / f"{spec.id}.json", json.dumps(note, indent=1))


def _kept(spec: TrialSpec, folder: Path, device: torch.device) -> Teacher | None:
    weights, note_path = folder / f"{spec.id}.safetensors", folder / f"{spec.id}.json"
    if not (weights.exists() and note_path.exists()):
        return None
    network = _empty(spec, device)
    try:
        network.load_state_dict(load_file(weights, device=str(device)))
        note = json.loads(note_path.read_text(encoding="utf-8"))
        score = Score(**note["validation"]) if note["validation"] else None
        epochs = tuple(EpochRecord(**record) for record in note["epochs"])
        known = _frozen(network, score, epochs, note["train_seconds"])
        if known.digest == note["digest"]:
            return known
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError):
        pass  # told apart from good files below: whatever is wrong with them, they are not used
    for path in (weights, note_path):
        path.replace(path.with_name(path.name + ".damaged"))
    return None


def save_weights(module: nn.Module, path: Path) -> None:
    """A module's state as safetensors with its digest, whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with replacing(path) as temporary:
        # As bytes: what safetensors itself says of a full disk names neither the file nor the error's number.
        temporary.write_bytes(save(state, metadata={_DIGEST: tensors_digest(state)}))


def fill(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Loads a user's weights; nothing in the file is executed (safetensors, or torch's tensors alone)."""
    path = Path(checkpoint.path)
    if not path.is_file():
        raise MissingError(f"the teacher's checkpoint {path} is not there; correct `checkpoint.path`")
    if checkpoint.sha256 and file_digest(path) != checkpoint.sha256:
        raise MissingError(f"the teacher's checkpoint {path} is not the file that checkpoint.sha256 names")
    network.load_state_dict(state_for(network, checkpoint))


def state_for(network: nn.Module, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """A checkpoint's tensors, of the names and shapes of a network, which may be one without memory.

    Raises `MissingError` with what differs.
    """
    path, own = Path(checkpoint.path), network.state_dict()
    try:
        if path.suffix == ".safetensors":
            state = load(path.read_bytes())
        else:
            state = torch.load(path, weights_only=True, map_location="cpu")
        wrong = _mismatch(state, own)
    except Exception as error:  # the bytes are anyone's, and torch's reader has no error of its own for them
        raise _unfit(path, reason(error), own) from error
    if wrong:
        raise _unfit(path, wrong, own)
    return dict(state)


def _mismatch(state: object, own: dict[str, Tensor]) -> str:
    """In what some content is not the state of a network; nothing where it is."""
    if not isinstance(state, Mapping):
        return f"it holds a {type(state).__name__}"
    missing, strange = [name for name in own if name not in state], [str(name) for name in state if name not in own]
    shapes = [
        f"{name} is {'×'.join(map(str, state[name].shape))} and not {'×'.join(map(str, value.shape))}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    parts = (("it lacks", missing), ("it has", strange), ("in it", shapes))
    return "; ".join(f"{what} {_first(names)}" for what, names in parts if names)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", … ({len(names) - NAMED} more)" if len(names) > NAMED else "")


def _unfit(path: Path, why: str, own: dict[str, Tensor]) -> MissingError:
    return MissingError(
        f"the teacher's checkpoint {path} does not fit its network ({why}); it must hold a state dict with the names "
        f"{', '.join(list(own)[:NAMED])}, …"
    )


def frozen_part(
    method: Method,
    known: Teacher,
    tapped: Tapped,
    pairing: Pairing,
    data: TrialData,
    cache: Path,
    device: torch.device,
    network: str,
    once: Once = locked,
) -> TeacherPart | None:
    """The method's part on the teacher's side, pre-trained and frozen; one for all trials that agree on it.

    `tapped` is the known teacher at the taps that the part reads, `network` its network's id: the same weights may be
    another network's too. Raises `CollapsedError` where the part
    learnt to say the same of every image.
    """
    settings, pretraining = method.teacher_settings, method.pretraining
    if settings is None or pretraining is None:
        return None
    with seeded(pretraining.seed):
        part = method.teacher_part(pairing)
    if part is None:
        return None
    part = part.to(device)
    seen = [network, known.digest, list(tapped.taps.values()), data.fingerprint, len(data.train)]
    key = content_id([*seen, method.name, settings.model_dump(mode="json"), *method.target_settings])
    path = cache / "parts" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with once(path):
        if not (path.exists() and _filled(part, path)):
            with seeded(pretraining.seed, device):
                _pretrain(part, method, tapped, data)
            save_weights(part, path)
    return part.eval().requires_grad_(False)


def _filled(part: TeacherPart, path: Path) -> bool:
    """Takes up a part's weights if they are those that were saved; touches nothing of it otherwise."""
    try:
        with safe_open(path, "pt") as file:
            noted = (file.metadata() or {}).get(_DIGEST)
        state = load_file(path)
    except SafetensorError:
        noted, state = None, {}
    if not state or tensors_digest(state) != noted:
        path.replace(path.with_name(path.name + ".damaged"))
        return False
    part.load_state_dict(state)
    return True


def _pretrain(part: TeacherPart, method: Method, tapped: Tapped, data: TrialData) -> None:
    settings = method.pretraining
    assert settings is not None
    optimiser = torch.optim.Adam(part.parameters(), lr=settings.learning_rate, fused=True)
    order = torch.Generator().manual_seed(settings.seed)
    step = 0
    while step < settings.steps:
        for batch in data.batches(settings.batch_size, order):
            with torch.no_grad():
                said = tapped(batch.images)
            optimiser.zero_grad()
            part.pretraining_loss(said, batch.labels).mean().backward()
            optimiser.step()
            step += 1
            if step == settings.steps:
                break
    with torch.no_grad():
        part.settle(tapped(images) for images, _ in data.train.chunks())  # one at a time: maps are large
