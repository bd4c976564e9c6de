"""A teacher is trained once, for every trial and process; what is damaged is never used."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.data.digits import Digits
from harness.distill.anc import ANC
from harness.distill.ksan import KSAN
from harness.files import file_digest
from harness.models.resnet import ResNet
from harness.models.torchvision_model import Torchvision
from harness.source import MissingError
from harness.study.plan import predicted_seconds
from harness.train.evaluate import evaluate
from harness.train.optim import Training
from harness.train.seeds import state_digest
from harness.train.teachers import Teacher, save_weights
from harness.train.trial import Checkpoint, TeacherSpec, TrialSpec, teacher_trial
from harness.train.workshop import Workshop, drained
from tests.models.weights import CONSTRUCTOR, place_weights
from tests.train.small import CPU, DATA, TEACHER, exhausted, small_trial, timeless


def asked(cache: Path, teacher: TeacherSpec = TEACHER) -> Teacher:
    """The teacher as a process finds it that has asked for nothing yet."""
    return drained(Workshop(Path("unused"), cache, CPU).teacher(teacher, DATA))


def files(cache: Path) -> dict[str, int]:
    """File → when it was written, locks left out."""
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("*/*/*") if path.suffix != ".lock"}


def test_the_second_request_trains_nothing(tmp_path: Path) -> None:
    first = asked(tmp_path)
    written = files(tmp_path)
    second = asked(tmp_path)
    assert files(tmp_path) == written
    assert second.train_seconds == first.train_seconds > 0
    assert second.epochs == first.epochs
    assert (second.digest, second.validation) == (first.digest, first.validation)


def test_its_epochs_are_told_whether_trained_or_known(tmp_path: Path) -> None:
    workshop = Workshop(Path("unused"), tmp_path, CPU)
    trained, known = (exhausted(workshop.teacher(TEACHER, DATA)) for _ in range(2))
    assert trained == known
    assert [record.epoch for record in trained[0]] == [1, 2, 3]


def test_a_teacher_whose_training_was_closed_goes_on_with_identical_numbers(tmp_path: Path) -> None:
    whole = asked(tmp_path / "whole")
    begun = Workshop(Path("unused"), tmp_path / "cut", CPU).teacher(TEACHER, DATA)
    first = [next(begun), next(begun)]
    begun.close()
    assert list(files(tmp_path / "cut")) == [f"{teacher_trial(TEACHER, DATA).id}.pt"]
    again = asked(tmp_path / "cut")
    assert list(again.epochs[:2]) == first  # to the second: not trained again
    assert timeless(list(again.epochs)) == timeless(list(whole.epochs))
    assert again.digest == whole.digest
    assert not [name for name in files(tmp_path / "cut") if name.endswith(".pt")]


def test_another_teacher_is_another_training(tmp_path: Path) -> None:
    digests = {asked(tmp_path, teacher).digest for teacher in (TEACHER, TEACHER.at("seed", 1))}
    assert len(digests) == 2


def test_another_number_of_threads_trains_a_teacher_of_its_own(tmp_path: Path) -> None:
    """It rounds differently, so that neither may stand for the other."""
    asked(tmp_path)
    torch.set_num_threads(2)
    try:
        asked(tmp_path)
    finally:
        torch.set_num_threads(1)
    assert {path.parts[-3] for path in tmp_path.glob("*/teachers/*.json")} == {"cpu-1", "cpu-2"}


def test_a_teacher_is_frozen(workshop: Workshop) -> None:
    known = drained(workshop.teacher(TEACHER, DATA))
    assert not known.network.training
    assert not any(parameter.requires_grad for parameter in known.network.parameters())


ASK = """
import sys
from pathlib import Path
import torch
from tests.train.test_teachers import asked
torch.set_num_threads(1)
known = asked(Path(sys.argv[1]))
print(known.digest, known.train_seconds)
"""


def test_two_processes_that_ask_at_once_train_once(tmp_path: Path) -> None:
    """Time is no two trainings' alike: equal seconds, to the last bit, are one training's."""
    here = Path(__file__).parents[2]
    both = [
        subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], cwd=here, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert first == second != ""


TORN = {
    "weights cut short": (".safetensors", lambda content: content[: len(content) // 2]),
    "weights empty": (".safetensors", lambda content: b""),
    "a weight changed": (".safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "note cut short": (".json", lambda content: content[: len(content) // 2]),
    "note empty": (".json", lambda content: b""),
    "note of something else": (".json", lambda content: b"[1, 2]"),
    "note without epochs": (".json", lambda content: content.replace(b'"epochs": [', b'"other": [')),
    "note of other weights": (".json", lambda content: content.replace(b'"digest": "', b'"digest": "0')),
    "note no text": (".json", lambda content: b"\xff\xfe\x00" + content),
}


@pytest.mark.parametrize("damage", TORN.values(), ids=TORN)
def test_a_damaged_teacher_is_set_aside_and_trained_again(damage: tuple, tmp_path: Path) -> None:
    suffix, torn = damage
    first = asked(tmp_path)
    (path,) = tmp_path.glob(f"*/teachers/*{suffix}")
    damaged = torn(path.read_bytes())
    path.write_bytes(damaged)
    second = asked(tmp_path)
    assert path.with_name(path.name + ".damaged").read_bytes() == damaged
    assert second.digest == first.digest
    assert timeless(list(second.epochs)) == timeless(list(first.epochs))
    assert second.train_seconds != first.train_seconds  # trained anew
    assert asked(tmp_path).train_seconds == second.train_seconds  # and known from now on


def test_weights_without_their_note_are_not_used(tmp_path: Path) -> None:
    """What a kill between the two files leaves."""
    first = asked(tmp_path)
    for note in tmp_path.glob("*/teachers/*.json"):
        note.unlink()
    assert asked(tmp_path).train_seconds != first.train_seconds


# The user's own weights.


@pytest.fixture
def weights(workshop: Workshop) -> dict[str, torch.Tensor]:
    """What a user's own training left: the state of a network that fits."""
    return drained(workshop.teacher(TEACHER, DATA)).network.state_dict()


def with_checkpoint(path: Path, sha256: str | None = None) -> TeacherSpec:
    return TEACHER.at("checkpoint", Checkpoint(path=str(path), sha256=sha256))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_a_users_checkpoint_is_the_teacher(suffix: str, weights: dict, workshop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    network = TEACHER.network.build(1, 10)
    network.load_state_dict(weights)
    if suffix == ".safetensors":
        save_weights(network, path)
    else:
        torch.save(weights, path)
    known = asked(tmp_path / "cache", with_checkpoint(path, file_digest(path)))
    assert known.digest == state_digest(network)
    assert known.epochs == ()
    assert known.train_seconds == 0
    assert known.validation == evaluate(network, workshop.data(DATA).validation)
    assert not (tmp_path / "cache").exists()  # a user's file is used where it lies


def test_a_network_with_weights_for_the_datas_classes_is_a_teacher_untrained(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_weights(tmp_path, monkeypatch, classes=10)
    pretrained = TeacherSpec(network=Torchvision(constructor=CONSTRUCTOR, weights="DEFAULT"))
    known = asked(tmp_path / "cache", pretrained)
    network = pretrained.network.load_pretrained(pretrained.network.build(1, 10)).eval()
    assert known.digest == state_digest(network)
    assert known.validation == evaluate(network, workshop.data(DATA).validation)
    assert known.epochs == ()
    assert not teacher_trial(pretrained, DATA).has_epochs
    assert predicted_seconds(teacher_trial(pretrained, DATA)) == 0
    assert not (tmp_path / "cache").exists()


def test_weights_for_other_classes_are_where_training_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_weights(tmp_path, monkeypatch, classes=4)
    still = {"epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}
    network = Torchvision(constructor=CONSTRUCTOR, weights="DEFAULT")
    known = asked(tmp_path, TeacherSpec(network=network, training=Training.model_validate(still)))
    pretrained = network.load_pretrained(network.build(1, 10))
    assert len(known.epochs) == 1
    same = known.network.get_submodule("stage2").state_dict()
    for name, value in pretrained.get_submodule("stage2").named_parameters():
        assert torch.allclose(same[name], value, atol=1e-6)


class Mischief:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_is_refused_and_never_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "mine.pt", tmp_path / "it ran"
    torch.save({"stem.weight": Mischief(trace)}, path)
    with pytest.raises(MissingError, match=r"mine\.pt does not fit"):
        asked(tmp_path, with_checkpoint(path))
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # it would have


def test_another_file_than_the_named_one_is_refused(weights: dict, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save(weights, path)
    with pytest.raises(MissingError, match=r"not the file that checkpoint\.sha256 names"):
        asked(tmp_path, with_checkpoint(path, hashlib.sha256(b"another").hexdigest()))


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"gone\.pt is not there"):
        asked(tmp_path, with_checkpoint(tmp_path / "gone.pt"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half an archive"])
def test_a_file_of_something_else_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    with pytest.raises(MissingError, match="does not fit its network"):
        asked(tmp_path, with_checkpoint(path))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_checkpoint_cut_short_is_refused(share: float, weights: dict, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(MissingError, match="does not fit its network"):
        asked(tmp_path, with_checkpoint(path))


@pytest.mark.parametrize("content", [[1, 2], 3, {"epoch": 3, "state_dict": {}}, {}])
def test_a_checkpoint_that_holds_no_state_dict_says_what_it_must_hold(content: object, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save(content, path)
    with pytest.raises(MissingError, match=r"must hold a state dict with the names stem\.weight"):
        asked(tmp_path, with_checkpoint(path))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_of_another_network_is_told_with_what_differs(suffix: str, weights: dict, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    other = {name: value.clone() for name, value in weights.items() if name != "classifier.bias"}
    other |= {"stem.weight": torch.zeros(8, 1, 3, 3), "head.bias": torch.zeros(3)}
    save_file(other, path) if suffix == ".safetensors" else torch.save(other, path)
    told = (
        r"does not fit its network \(it lacks classifier\.bias; it has head\.bias; "
        r"in it stem\.weight is 8×1×3×3 and not 4×1×3×3\)"
    )
    with pytest.raises(MissingError, match=told):
        asked(tmp_path, with_checkpoint(path))


def test_a_checkpoint_of_no_numbers_is_refused(weights: dict, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save(
        {name: value * float("nan") if value.is_floating_point() else value for name, value in weights.items()}, path
    )
    with pytest.raises(MissingError, match="no finite"):
        asked(tmp_path, with_checkpoint(path))


# The method's frozen part on the teacher's side.

QUICK = KSAN().at("attention.pretraining.steps", 5)


def parts(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/parts/*.safetensors"))


def test_trials_that_agree_on_it_share_one_part(tmp_path: Path) -> None:
    workshop = Workshop(Path("unused"), tmp_path, CPU)
    one = workshop.side(small_trial(QUICK))
    for alike in (small_trial(QUICK, seed=1), small_trial(QUICK, method__weights__squeezed=2)):
        assert workshop.side(alike) is one
    assert len(parts(tmp_path)) == 1
    other = workshop.side(small_trial(QUICK, method__attention__reduction=4))
    assert other is not one
    assert len(parts(tmp_path)) == 2


def test_a_part_is_trained_once_for_all_processes(tmp_path: Path) -> None:
    digests = []
    for _ in range(2):
        side = Workshop(Path("unused"), tmp_path, CPU).side(small_trial(QUICK))
        assert side is not None
        assert side.part is not None
        assert not side.part.training
        assert not any(parameter.requires_grad for parameter in side.part.parameters())
        digests.append((state_digest(side.part), files(tmp_path)))
    assert digests[0] == digests[1]


def test_a_part_is_one_whatever_the_student(tmp_path: Path) -> None:
    workshop = Workshop(Path("unused"), tmp_path, CPU)
    for width in (2, 3):
        workshop.side(small_trial(QUICK, student__width=width))
    assert len(parts(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_damaged_part_is_set_aside_and_trained_again(content: bytes, tmp_path: Path) -> None:
    Workshop(Path("unused"), tmp_path, CPU).side(small_trial(QUICK))
    (path,) = parts(tmp_path)
    expected = {name: value.clone() for name, value in load_file(path).items()}  # the file itself is mapped
    path.write_bytes(content)
    Workshop(Path("unused"), tmp_path, CPU).side(small_trial(QUICK))
    assert path.with_name(path.name + ".damaged").read_bytes() == content
    assert all(torch.equal(value, expected[name]) for name, value in load_file(path).items())


def test_a_teachers_trial_belongs_to_nobody() -> None:
    trial = teacher_trial(TEACHER, DATA)
    assert (trial.purpose, trial.method.name, trial.student) == ("teacher", "scratch", TEACHER.network)


def test_the_process_that_trained_a_teacher_hears_what_all_others_hear(tmp_path: Path) -> None:
    training = Training(epochs=1, batch_size=64, channels_last=True)  # leaves the weights in another memory layout
    teacher = TeacherSpec(network=ResNet(depth=20, width=16), training=training)
    spec = TrialSpec(data=Digits(), teacher=teacher, student=ResNet(depth=8, width=2), method=ANC(), training=training)
    trained, loaded = (Workshop(tmp_path, tmp_path, torch.device("cpu")).side(spec) for _ in range(2))
    assert trained is not None
    assert loaded is not None
    assert trained.pairing.logit_mean == loaded.pairing.logit_mean
    assert trained.pairing.logit_spread == loaded.pairing.logit_spread
