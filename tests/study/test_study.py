"""A study is one YAML file with the spaces that it names, every default filled in, and an id of what it asks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.data.digits import Digits
from harness.data.parquet import Parquet
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.files import file_digest
from harness.models.resnet import ResNet
from harness.search.carry_out import refuse_changed
from harness.source import SpecError
from harness.store.parquet import Store
from harness.study.domains import FloatRange
from harness.study.plan import plan
from harness.study.shelf import NotOnShelfError, everything, find
from harness.study.study import SEARCH_SEEDS, TPE, Reference, Study, base_trial, load_study
from harness.train.optim import Steps, Training
from harness.train.seeds import seeded
from tests.data.own import as_parquet
from tests.studies import study as made
from tests.studies import tiny

TEXT = """\
question: Does it work?
data: {name: digits}
pairs:
  - teacher: {name: resnet, depth: 20}
    teacher_training: {epochs: 7}
    students: [{name: resnet, depth: 8, width: 4}]
training:
  epochs: 5
  learning_rate: 1e-1
  schedule: {name: steps}
arms:
  - {method: {name: scratch}}
  - {method: {name: kd}, space: {method.alpha: {float: [0, 1]}}}
  - {method: {name: kd, temperature: 2}, label: cool kd, space: kd}
search: {trials: 3, sampler: tpe, seed: 6}
"""


def study(folder: Path, text: str = TEXT) -> Study:
    (folder / "mine.yaml").write_text(text)
    return load_study(str(folder / "mine.yaml"))


def test_what_is_said_is_read_and_what_is_not_has_its_default(tmp_path: Path) -> None:
    found = study(tmp_path)
    spec = found.spec
    assert (found.name, found.text) == ("mine", TEXT)
    assert spec.data == Digits()
    assert spec.training == Training(epochs=5, learning_rate=0.1, schedule=Steps())
    assert spec.search.sampler == TPE()
    assert spec.confirm.seeds == (0, 1, 2, 3, 4)
    assert spec.objectives.size == "params"
    assert [arm.name for arm in spec.arms] == ["scratch", "kd", "cool kd"]
    assert spec.arms[1].space == {"method.alpha": FloatRange.model_validate({"float": [0, 1]})}
    assert spec.arms[2].space.keys() == {"training.learning_rate", "method.temperature", "method.alpha"}


def test_the_id_is_of_what_is_asked_not_of_how_it_is_written(tmp_path: Path) -> None:
    known = study(tmp_path).spec.id
    written_out = TEXT.replace("sampler: tpe", "sampler: {name: tpe, startup: 5}").replace("1e-1", "0.1 # a remark")
    assert study(tmp_path, written_out).spec.id == known
    assert study(tmp_path, TEXT.replace("trials: 3", "trials: 4")).spec.id != known
    assert study(tmp_path, TEXT.replace("[0, 1]", "[0, 0.5]")).spec.id != known


def test_a_resolved_study_is_a_study_again(tmp_path: Path) -> None:
    found = study(tmp_path)
    resolved = {key: value for key, value in found.resolved.items() if key not in ("name", "id")}
    assert type(found.spec).model_validate(resolved) == found.spec
    assert (found.resolved["name"], found.resolved["id"]) == ("mine", found.spec.id)


def test_a_trial_begins_from_pair_student_and_arm(tmp_path: Path) -> None:
    spec = study(tmp_path).spec
    (pair,) = spec.pairs
    base = base_trial(spec, pair, pair.students[0], spec.arms[2])
    assert base.method == KD(temperature=2)
    assert base.student == ResNet(depth=8, width=4)
    assert base.teacher is not None
    assert (base.teacher.network, base.teacher.training) == (ResNet(depth=20), Training(epochs=7))
    assert base.training == spec.training
    assert set(base.seeds.model_dump().values()) == {SEARCH_SEEDS + 6}
    assert base.purpose == "search"


def test_a_method_that_needs_no_teacher_has_none(tmp_path: Path) -> None:
    spec = study(tmp_path).spec
    assert base_trial(spec, spec.pairs[0], spec.pairs[0].students[0], spec.arms[0]).teacher is None


def test_a_teacher_trains_as_the_study_does_where_nothing_else_is_said(tmp_path: Path) -> None:
    spec = study(tmp_path, TEXT.replace("    teacher_training: {epochs: 7}\n", "")).spec
    base = base_trial(spec, spec.pairs[0], spec.pairs[0].students[0], spec.arms[1])
    assert base.teacher is not None
    assert base.teacher.training == spec.training


def test_a_pair_may_have_data_of_its_own(tmp_path: Path) -> None:
    text = TEXT.replace("    students:", "    data: {name: digits, validation: 300}\n    students:")
    spec = study(tmp_path, text).spec
    assert base_trial(spec, spec.pairs[0], spec.pairs[0].students[0], spec.arms[1]).data == Digits(validation=300)


def test_config_ids_are_shared_by_seeds_and_purposes_and_by_nothing_else(tmp_path: Path) -> None:
    spec = study(tmp_path).spec
    base = base_trial(spec, spec.pairs[0], spec.pairs[0].students[0], spec.arms[1])
    other_seed, confirmation = base.at("seeds.data", 3), base.at("purpose", "confirmation")
    assert {base.config_id} == {other_seed.config_id, confirmation.config_id}
    assert len({base.id, other_seed.id, confirmation.id}) == 3
    assert base.at("method.alpha", 0.1).config_id != base.config_id


def test_a_reference_changes_no_trial(tmp_path: Path) -> None:
    plain, declared = (study(tmp_path, TEXT + more).spec for more in ("", "reference: {accuracy: 0.5, params: 9000}\n"))
    assert declared.reference == Reference(accuracy=0.5, params=9000)
    ids = [
        [base_trial(spec, spec.pairs[0], student, arm).id for student in spec.pairs[0].students for arm in spec.arms]
        for spec in (plain, declared)
    ]
    assert ids[0] == ids[1]


def test_an_empty_space_is_no_space(tmp_path: Path) -> None:
    assert study(tmp_path, TEXT.replace("space: kd", "space:")).spec.arms[2].space == {}


def test_a_space_is_found_beside_the_study_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("method.alpha: {choice: [0.5, 1]}\n")
    assert study(tmp_path, TEXT.replace("space: kd", "space: own.yaml")).spec.arms[2].space.keys() == {"method.alpha"}


def test_a_name_means_the_working_folder_first_and_the_package_s_own_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("studies", "digits_resnet").is_absolute()
    assert "mine" not in everything("studies")
    (tmp_path / "studies").mkdir()
    for name in ("digits_resnet", "mine"):
        (tmp_path / "studies" / f"{name}.yaml").write_text(TEXT)
    assert find("studies", "digits_resnet") == Path("studies/digits_resnet.yaml")
    assert load_study("mine").spec == load_study("digits_resnet").spec
    assert "cifar100_resnet" in everything("studies")
    with pytest.raises(NotOnShelfError, match="did you mean mine"):
        find("studies", "mime")


@pytest.mark.parametrize("name", sorted(everything("studies")))
def test_a_shipped_study_gives_every_arm_the_same_budget_and_the_same_training_to_tune(name: str) -> None:
    spec = load_study(name).spec
    assert all("training.learning_rate" in spec.space_of(arm) for arm in spec.arms)
    assert len({str(spec.space_of(arm)["training.learning_rate"]) for arm in spec.arms}) == 1
    assert any(isinstance(arm.method, KSAN) for arm in spec.arms)
    assert any(arm.method.name == "scratch" for arm in spec.arms)


# What a study names by a path is known by its content.


def placed(folder: Path, data: str = "set", seed: int = 0) -> str:
    """The study on Parquet files and a checkpoint that lie beside it."""
    folder.mkdir(exist_ok=True)
    as_parquet(folder / data)
    with seeded(seed):
        torch.save(ResNet(depth=20).build(1, 3).state_dict(), folder / "mine.pt")
    text = TEXT.replace("{name: digits}", f"{{name: parquet, path: {data}, validation: 3}}")
    return text.replace("    students:", "    checkpoint: {path: mine.pt}\n    students:")


def test_paths_lead_from_the_studys_file_and_their_content_is_filled_in(tmp_path: Path) -> None:
    spec = study(tmp_path, placed(tmp_path)).spec
    assert isinstance(spec.data, Parquet)
    assert spec.data.path == str(tmp_path / "set")
    assert spec.pairs[0].checkpoint is not None
    assert spec.pairs[0].checkpoint.path == str(tmp_path / "mine.pt")
    assert spec.pairs[0].checkpoint.sha256 == file_digest(tmp_path / "mine.pt")


def test_the_id_is_of_what_lies_there_and_not_of_where(tmp_path: Path) -> None:
    known = study(tmp_path / "a", placed(tmp_path / "a"))
    elsewhere = study(tmp_path / "b", placed(tmp_path / "b", data="other"))
    retrained = study(tmp_path / "c", placed(tmp_path / "c", seed=1))
    assert known.spec.id == elsewhere.spec.id != retrained.spec.id
    pairs = [plan(one).cells[1].base for one in (known, elsewhere, retrained)]
    assert pairs[0].id == pairs[1].id != pairs[2].id
    assert pairs[0].config_id == pairs[1].config_id != pairs[2].config_id
    refuse_changed(known.resolved, {**elsewhere.resolved, "name": known.name}, Store(tmp_path))


WRONG_PLACES = {
    "no data": (lambda folder: shutil.rmtree(folder / "set"), 'mine.yaml:2: data.path "set" is no file here'),
    "torn data": (
        lambda folder: (folder / "set" / "train.parquet").write_bytes(b"torn"),
        "train.parquet is no whole Parquet file",
    ),
    "no weights": (
        lambda folder: (folder / "mine.pt").unlink(),
        'mine.yaml:6: pairs[0].checkpoint.path "mine.pt" is no file here; correct the path',
    ),
}


@pytest.mark.parametrize(("spoil", "told"), WRONG_PLACES.values(), ids=WRONG_PLACES)
def test_what_is_wrong_with_files_is_told_at_the_line_that_names_them(spoil: Any, told: str, tmp_path: Path) -> None:
    text = placed(tmp_path)
    spoil(tmp_path)
    with pytest.raises(SpecError) as refusal:
        study(tmp_path, text)
    assert told in str(refusal.value)
    assert "mine.yaml:" in str(refusal.value)


def test_a_checkpoint_with_another_digest_than_the_studys_is_refused(tmp_path: Path) -> None:
    text = placed(tmp_path).replace("{path: mine.pt}", f"{{path: mine.pt, sha256: {'a' * 64}}}")
    with pytest.raises(SpecError, match=r'checkpoint.path "mine.pt" is not the file that sha256 names; its own is'):
        study(tmp_path, text)


def test_a_mean_for_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="data is refused: mean has 3 values and the images of digits have 1 channels"):
        study(tmp_path, TEXT.replace("{name: digits}", "{name: digits, mean: [0.5, 0.5, 0.5]}"))


def test_a_space_of_the_study_s_own_stands_in_for_what_the_arms_say_of_the_same_fields() -> None:
    rate = "training.learning_rate"
    spec = made(tiny(space={rate: {"float": [0.005, 0.1], "log": True}})).spec
    for arm in spec.arms:
        assert spec.space_of(arm)[rate].bounds == (0.005, 0.1)  # type: ignore[union-attr]
        assert spec.space_of(arm).keys() == {rate, *arm.space}


def test_a_pair_may_train_its_students_in_its_own_way() -> None:
    content = tiny()
    content["pairs"][0]["training"] = {"epochs": 3}
    cells = plan(made(content)).cells
    assert {cell.base.training.epochs for cell in cells} == {3}
    assert {cell.base.teacher.training.epochs for cell in cells if cell.base.teacher} == {2}
