"""Wrong YAML is refused as a whole: file, line, field, value, remedy. This table is what a user reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.source import SpecError
from harness.study.checking import check_files, everything_here
from harness.study.shelf import everything
from harness.study.study import load_study

GOOD = """\
question: Does it work?
data: {name: digits}
pairs:
  - teacher: {name: resnet, depth: 20}
    students: [{name: resnet, depth: 8, width: 4}]
arms:
  - {method: {name: scratch}}
  - method: {name: ksan}
"""

DATA, TEACHER, STUDENTS = "{name: digits}", "{name: resnet, depth: 20}", "[{name: resnet, depth: 8, width: 4}]"
SCRATCH, KSAN = "{method: {name: scratch}}", "{name: ksan}"

OTHER_TAPS = (
    "its stages end at stage1, stage2, stage3, and it can also be tapped at stem, norm, stage1.0.conv1, "
    "stage1.0.norm1, stage1.0.conv2, stage1.0.norm2, stage1.0.shortcut, stage1.0, stage2.0.conv1, stage2.0.norm1, "
    "stage2.0.conv2, stage2.0.norm2, stage2.0.shortcut.0, stage2.0.shortcut.1, stage2.0.shortcut, stage2.0, "
    "stage3.0.conv1, stage3.0.norm1, stage3.0.conv2, stage3.0.norm2, stage3.0.shortcut.0, stage3.0.shortcut.1, "
    "stage3.0.shortcut, stage3.0, classifier, embedding"
)
GROUP = "is no group of settings; write {name: …}"
WHOLE = "is no whole number; write one, such as 3"

# what stands in GOOD, what is written instead, what is told
REPLACED = [
    # names and keys
    (DATA, "{name: cifar}", 's.yaml:2: data has the name "cifar", which is not known; did you mean cifar10?'),
    (KSAN, "{name: ksna}", 's.yaml:8: arms[1].method has the name "ksna", which is not known; did you mean ksan?'),
    (
        TEACHER,
        "{name: resnt, depth: 20}",
        's.yaml:4: pairs[0].teacher has the name "resnt", which is not known; did you mean resnet?',
    ),
    (
        TEACHER,
        "{name: torchvision, constructor: resnet51}",
        's.yaml:4: pairs[0].teacher.constructor "resnet51": no classifier of torchvision; did you mean resnet50?',
    ),
    (
        TEACHER,
        "{name: torchvision, constructor: resnet50, weights: V9}",
        's.yaml:4: pairs[0].teacher.weights "V9": no weights of resnet50; known: DEFAULT, IMAGENET1K_V1, IMAGENET1K_V2',
    ),
    (
        TEACHER,
        "{name: torchvision, constructor: alexnet}",
        "s.yaml:4: pairs[0].teacher does not fit the data digits: alexnet does not take images of 1×8×8 (Given input "
        "size: (64x1x1). Calculated output size: (64x0x0). Output size is too small); take another network",
    ),
    (
        STUDENTS,
        '[{name: python, callable: "my_nets:small"}]',
        's.yaml:5: pairs[0].students[0].callable "my_nets:small": there is no module my_nets here; '
        "install it, or run with its folder in PYTHONPATH",
    ),
    (DATA, "{validation: 4}", "s.yaml:2: data has no name; add name: …"),
    (DATA, "{name: digits, vlidation: 4}", "s.yaml:2: data.vlidation is not a field here; did you mean validation?"),
    (
        DATA,
        "{name: digits, zzz: 4}",
        "s.yaml:2: data.zzz is not a field here; known: flip, mean, name, shift, split_seed, spread, train, validation",
    ),
    (
        KSAN,
        "{name: ksan, weights: {logit: 1}}",
        "s.yaml:8: arms[1].method.weights.logit is not a field here; did you mean logits?",
    ),
    ("question: Does it work?\n", "\n", "s.yaml:2: question is missing; add it"),
    (TEACHER, "{name: resnet}", "s.yaml:4: pairs[0].teacher.depth is missing; add it"),
    # values
    (
        TEACHER,
        "{name: resnet, depth: 21}",
        "s.yaml:4: pairs[0].teacher.depth 21: depth must be 6n + 2; the nearest are 20 and 26",
    ),
    (TEACHER, "{name: resnet, depth: 2}", "s.yaml:4: pairs[0].teacher.depth 2 is too small; it must be at least 8"),
    (TEACHER, "{name: resnet, depth: 20.5}", f"s.yaml:4: pairs[0].teacher.depth 20.5 {WHOLE}"),
    (TEACHER, "{name: resnet, depth: true}", f's.yaml:4: pairs[0].teacher.depth "true" {WHOLE}'),
    (TEACHER, "{name: resnet, depth: deep}", f's.yaml:4: pairs[0].teacher.depth "deep" {WHOLE}'),
    (TEACHER, "resnet20", f's.yaml:4: pairs[0].teacher "resnet20" {GROUP}'),
    (DATA, "digits", f's.yaml:2: data "digits" {GROUP}'),
    (DATA, "{name: digits, shift: 17}", "s.yaml:2: data.shift 17 is too large; it must be at most 16"),
    (
        DATA,
        "{name: digits, validation: 800}",
        "s.yaml:2: data asks for too much: digits has 800 images beside its test images; "
        "validation 800 and train 2 or more ask for more",
    ),
    (STUDENTS, "[]", "s.yaml:5: pairs[0].students [] has 0 items; it needs at least 1"),
    (STUDENTS, "{depth: 8}", 's.yaml:5: pairs[0].students {"depth": 8} is no list; write [ … ]'),
    (
        STUDENTS,
        "\n      - {name: resnet, depth: 8}\n      - {name: resnet, depth: 9}",
        "s.yaml:7: pairs[0].students[1].depth 9: depth must be 6n + 2; the nearest are 8 and 14",
    ),
    (
        DATA,
        "{name: digits, split_seed: 4294967296}",
        "s.yaml:2: data.split_seed 4294967296 is too large; it must be below 4294967296",
    ),
    (
        STUDENTS,
        '[{name: python, callable: "tests.contract.foreign:frozen"}]',
        "s.yaml:5: pairs[0].students[0] has no weights that can be trained: frozen has none, or all have "
        "requires_grad=False",
    ),
    (
        STUDENTS,
        '[{name: python, callable: "tests.contract.foreign:weightless"}]',
        "s.yaml:5: pairs[0].students[0] has no weights that can be trained: weightless has none, or all have "
        "requires_grad=False",
    ),
    (
        STUDENTS,
        "[{name: torchvision, constructor: resnet18, settings: {widht: 3}}]",
        "s.yaml:5: pairs[0].students[0] is refused: resnet18(widht=3) cannot be built: ResNet.__init__() got an "
        "unexpected keyword argument 'widht'",
    ),
    # methods
    (
        SCRATCH,
        '{method: {name: scratch}, label: "  "}',
        's.yaml:7: arms[0].label "  ": a label of blanks cannot be seen; write a name, or leave it out',
    ),
    (
        KSAN,
        "{name: vid, first_variance: 1000}",
        "s.yaml:8: arms[1].method.first_variance 1000 is too large; it must be at most 100.0",
    ),
    (
        KSAN,
        "{name: crd, width: 1000000000000}",
        "s.yaml:8: arms[1].method.width 1000000000000 is too large; it must be at most 65536",
    ),
    (
        KSAN,
        "{name: ksan, attention: {pretraining: {seed: 18446744073709551616}}}",
        "s.yaml:8: arms[1].method.attention.pretraining.seed 18446744073709551616 is too large; it must be below "
        "9223372036854775808",
    ),
    (SCRATCH, "{method: scratch}", f's.yaml:7: arms[0].method "scratch" {GROUP}'),
    (
        SCRATCH,
        "{method: {name: ksan}}",
        "s.yaml:6: arms is refused: two arms are called ksan; give one of them a `label`",
    ),
    (
        SCRATCH,
        "{method: {name: scratch}, label: ksan}",
        "s.yaml:6: arms is refused: two arms are called ksan; give one of them a `label`",
    ),
    (
        SCRATCH,
        "{method: {name: l2, weights: {logits: 0}}}",
        "s.yaml:7: arms[0].method does not fit: every loss of l2 has the weight 0; nothing would be learnt",
    ),
    (
        f"arms:\n  - {SCRATCH}",
        "training: {epochs: 2}\narms:\n  - {method: {name: fitnet}}",
        "s.yaml:8: arms[0].method has no epoch in which hint counts, of 2; raise training.epochs",
    ),
    (
        KSAN,
        "{name: ksan, attention: {taps: [stage4]}}",
        f"s.yaml:8: arms[1].method does not fit: the student resnet8-w4 has no tap stage4; {OTHER_TAPS}",
    ),
    (
        KSAN,
        "{name: ksan, attention: {taps: []}}",
        "s.yaml:8: arms[1].method.attention.taps []: taps are all, middle, the number of the deepest, "
        "or a list of names or {student: …, teacher: …}",
    ),
    (
        KSAN,
        "{name: ksan, attention: {taps: 4}}",
        "s.yaml:8: arms[1].method does not fit: the stages of resnet8-w4 (8×8, 4×4, 2×2) and resnet20-w16 "
        "(8×8, 4×4, 2×2) have 3 sizes in common, and 4 pairs of taps are asked for; name them: "
        "taps: [{student: …, teacher: …}]",
    ),
    (
        KSAN,
        "{name: ksan, discriminator: {regularisers: [l3]}}",
        's.yaml:8: arms[1].method.discriminator.regularisers[0] "l3" is not a choice; did you mean l2?',
    ),
    (
        KSAN,
        "{name: ksan, discriminator: {widths: [8, true]}}",
        f's.yaml:8: arms[1].method.discriminator.widths[1] "true" {WHOLE}',
    ),
]

# what is added before the arms, what is told
ADDED = [
    (
        "training:",
        "s.yaml:6: training null is no group of settings; write {batch_size: …, channels_last: …, clip: …, …}",
    ),
    ("training: {learning_rate: 11}", "s.yaml:6: training.learning_rate 11 is too large; it must be at most 10.0"),
    ("training: {learning_rate: .nan}", 's.yaml:6: training.learning_rate ".nan" is no number; write one, such as 0.1'),
    ("training: {learning_rate: 1e999}", "s.yaml:6: training.learning_rate Infinity is not finite; write a number"),
    ("training: {momentum: 1}", "s.yaml:6: training.momentum 1 is too large; it must be below 1.0"),
    ("training: {nesterov: perhaps}", 's.yaml:6: training.nesterov "perhaps" is no truth value; write true or false'),
    ("training: {precision: bf16}", 's.yaml:6: training.precision "bf16" is not a choice; did you mean bfloat16?'),
    (
        "training: {schedule: {name: cosin}}",
        's.yaml:6: training.schedule has the name "cosin", which is not known; did you mean cosine?',
    ),
    (
        "training:\n  epochs: 3\n  schedule:\n    name: steps\n    milestones: [0.5, 0.2]",
        "s.yaml:10: training.schedule.milestones [0.5, 0.2]: "
        "milestones are rising shares of the schedule, between 0 and 1",
    ),
    ("search: {sampler: tpee}", 's.yaml:6: search.sampler has the name "tpee", which is not known; did you mean tpe?'),
    (
        "search: {sampler: 3}",
        f"s.yaml:6: search.sampler 3 {GROUP}",
    ),
    (
        "resources: {cpus_per_trial: 1000000000000}",
        "s.yaml:6: resources.cpus_per_trial 1000000000000 is too large; it must be at most 1024",
    ),
    (
        "resources: {gpus_per_trial: 1.5}",
        "s.yaml:6: resources.gpus_per_trial 1.5: a trial takes a share of one GPU, at most 1, or whole ones; "
        "write a whole number",
    ),
    ("search: {trials: 0}", "s.yaml:6: search.trials 0 is too small; it must be at least 1"),
    ("search: {trials: true}", f's.yaml:6: search.trials "true" {WHOLE}'),
    ("confirm: {seeds: [1, 1]}", "s.yaml:6: confirm.seeds [1, 1]: a seed stands twice; keep one"),
    (
        "confirm: {seeds: [1, 10000]}",
        "s.yaml:6: confirm.seeds [1, 10000]: confirmation seeds lie in 0…9999; search uses the others",
    ),
    (
        "confirm: {seeds: [-1]}",
        "s.yaml:6: confirm.seeds [-1]: confirmation seeds lie in 0…9999; search uses the others",
    ),
    ("confirm: {seeds: [true]}", f's.yaml:6: confirm.seeds[0] "true" {WHOLE}'),
    ("confirm: {seeds: []}", "s.yaml:6: confirm.seeds [] has 0 items; it needs at least 1"),
    ("confirm: {seeds: 5}", "s.yaml:6: confirm.seeds 5 is no list; write [ … ]"),
    (
        "confirm: {best: 17}",
        "s.yaml:6: confirm.best 17 is more than the 16 configs that a search tries; lower it, or raise search.trials",
    ),
    (
        "objectives: {params: min, macs: min}",
        "s.yaml:6: objectives is refused: name one size to minimise: params, macs or latency",
    ),
    (
        "objectives: {accuracy: max}",
        "s.yaml:6: objectives is refused: name one size to minimise: params, macs or latency",
    ),
    (
        "reference: {accuracy: 50, params: 300000}",
        "s.yaml:6: reference.accuracy 50 is too large; it must be below 1.0",
    ),
    ("reference: {params: 300000}", "s.yaml:6: reference.accuracy is missing; add it"),
    ("reference: {accuracy: 0.5, params: 0}", "s.yaml:6: reference.params 0 is too small; it must be above 0.0"),
    (
        "reference: {accuracy: 0.5, macs: 1e6}",
        "s.yaml:6: reference names macs, and the objectives minimise params; write {accuracy: …, params: …}",
    ),
    (
        "reference: {accuracy: 0.5}",
        "s.yaml:6: reference names no size, and the objectives minimise params; write {accuracy: …, params: …}",
    ),
    ("objectives: {params: max}", 's.yaml:6: objectives.params "max" is not a choice; known: min'),
]

# the checkpoint of the pair, what is told
CHECKPOINTS = [
    ("{path: nowhere.pt}", 's.yaml:5: pairs[0].checkpoint.path "nowhere.pt" is no file here; correct the path'),
    ("nowhere.pt", 's.yaml:5: pairs[0].checkpoint "nowhere.pt" is no group of settings; write {path: …, sha256: …}'),
    (
        "{path: nowhere.pt, sha256: abc}",
        's.yaml:5: pairs[0].checkpoint.sha256 "abc" does not match ^[0-9a-f]{64}$',
    ),
]

LOGITS = "s.yaml:9: arms[1].space.method.weights.logits"

# the space of the last arm, what is told
SPACES = [
    ("kasn", 's.yaml:9: arms[1].space "kasn" is not found; did you mean ksan?'),
    ("nowhere/x.yaml", 's.yaml:9: arms[1].space "nowhere/x.yaml" is not found; correct the path'),
    ("[a]", 's.yaml:9: arms[1].space ["a"] is neither the name of a search space nor a mapping of paths to domains'),
    ("5", "s.yaml:9: arms[1].space 5 is neither the name of a search space nor a mapping of paths to domains"),
    (
        "{method.weights.logit: {float: [1, 2]}}",
        "s.yaml:9: arms[1].space.method.weights.logit is no field of this arm's trials; "
        "did you mean method.weights.logits?",
    ),
    (
        "{training.epochs: {int: [1, 2]}}",
        "s.yaml:9: arms[1].space.training.epochs is not for searching: "
        "values at different lengths cannot be compared; set it in the study's `training`",
    ),
    (
        "{data.shift: {int: [1, 2]}}",
        "s.yaml:9: arms[1].space.data.shift is not for searching; a search varies fields of method, training, student",
    ),
    ("{method.weights.logits: {float: [-1, 2]}}", f"{LOGITS} holds -1.0: is too small; it must be at least 0.0"),
    ("{method.weights.logits: {choice: [1, true]}}", f"{LOGITS} holds true: is no number; write one, such as 0.1"),
    ("{method.weights.logits: {choice: [1, .inf]}}", f'{LOGITS} holds ".inf": is no number; write one, such as 0.1'),
    ("{method.weights.logits: {choice: [1, 1]}}", f"{LOGITS} is refused: a value stands twice; keep one"),
    ("{method.weights.logits: {choice: []}}", f"{LOGITS}.choice [] has 0 items; it needs at least 1"),
    (
        "{method.weights.logits: [1, 2]}",
        f"{LOGITS} [1, 2] is no domain; "
        "write {choice: […]}, {float: [low, high]}, {int: [low, high]} or {subset: […]}",
    ),
    (
        "{method.weights.logits: {flat: [1, 2]}}",
        f'{LOGITS} {{"flat": [1, 2]}} is no domain; '
        "write {choice: […]}, {float: [low, high]}, {int: [low, high]} or {subset: […]}",
    ),
    ("{method.weights.logits: {float: [1, 2], lg: true}}", f"{LOGITS}.lg is not a field here; did you mean log?"),
    (
        "{method.weights.logits: {choice: [1, 2], float: [1, 2]}}",
        f"{LOGITS}.float is not a field here; known: choice, when",
    ),
    (
        "{method.attention.taps: {subset: [stage1, stage2], step: 1}}",
        "s.yaml:9: arms[1].space.method.attention.taps.step is not a field here; known: max, min, subset, when",
    ),
    ("{method.weights.logits: {float: [1, 2, 3]}}", f"{LOGITS}.float [1, 2, 3] has 3 items; it takes at most 2"),
    (
        "{method.weights.logits: {float: [2, 1]}}",
        f"{LOGITS} is refused: the lower bound 2.0 is not below the upper bound 1.0",
    ),
    (
        "{method.weights.logits: {float: [0, 1], log: true}}",
        f"{LOGITS} is refused: a logarithmic range begins above 0, not at 0.0",
    ),
    (
        "{method.weights.logits: {int: [1, 8], log: true, step: 2}}",
        f"{LOGITS} is refused: a range is either logarithmic or stepped; remove one of the two",
    ),
    (
        "{student.depth: {int: [8, 20]}}",
        "s.yaml:9: arms[1].space.student.depth holds 9: depth must be 6n + 2; the nearest are 8 and 14",
    ),
    (
        "{method.attention.taps: {choice: [[stage1], [stage9]]}}",
        's.yaml:9: arms[1].space.method.attention.taps holds ["stage9"]: '
        f"the student resnet8-w4 has no tap stage9; {OTHER_TAPS}",
    ),
]

# a space's own file, what is told of it when a study names it
SPACE_FILES = [
    ("", "mine.yaml: is empty or no mapping; write `name: value` lines"),
    ("a: b: c\n", "mine.yaml:1: is no YAML: mapping values are not allowed here"),
    (
        "# remark\nmethod.weights.logits: {float: [2, 1]}\n",
        "mine.yaml:2: method.weights.logits is refused: the lower bound 2.0 is not below the upper bound 1.0",
    ),
    (
        "training.learning_rate: {float: [0.1, 1]}\nmethod.weights.logits:\n  float: [1, 2]\n  lg: true\n",
        "mine.yaml:4: method.weights.logits.lg is not a field here; did you mean log?",
    ),
    (
        "training.learning_rate: {float: [0.1, 1]}\n\n# remark\nmethod.weights.squeezed: 3\n",
        "mine.yaml:4: method.weights.squeezed 3 is no domain; "
        "write {choice: […]}, {float: [low, high]}, {int: [low, high]} or {subset: […]}",
    ),
    (
        "training.learning_rate: {float: [0.1, 1]}\n\nmethod.weights.squeezd: {float: [0, 1]}\n",
        "mine.yaml:3: method.weights.squeezd is no field of this arm's trials; did you mean method.weights.squeezed?",
    ),
    (
        "training.learning_rate: {float: [0.1, 11]}\n",
        "mine.yaml:1: training.learning_rate holds 11.0: is too large; it must be at most 10.0",
    ),
]


def told(folder: Path, text: str) -> str:
    path = folder / "s.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as refusal:
        load_study(str(path))
    return str(refusal.value).replace(f"{folder}/", "")


def instead(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_the_study_that_the_table_changes_is_good(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    assert load_study(str(tmp_path / "s.yaml")).name == "s"


@pytest.mark.parametrize(("old", "new", "message"), REPLACED)
def test_a_wrong_value_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert told(tmp_path, instead(old, new)) == message


@pytest.mark.parametrize(("lines", "message"), ADDED)
def test_a_wrong_setting_is_told(tmp_path: Path, lines: str, message: str) -> None:
    assert told(tmp_path, instead("arms:\n", f"{lines}\narms:\n")) == message


@pytest.mark.parametrize(("checkpoint", "message"), CHECKPOINTS)
def test_a_wrong_checkpoint_is_told(tmp_path: Path, checkpoint: str, message: str) -> None:
    assert told(tmp_path, instead("    students:", f"    checkpoint: {checkpoint}\n    students:")) == message


def test_a_checkpoint_of_another_network_is_told(tmp_path: Path) -> None:
    torch.save({"stem.weight": torch.zeros(16, 1, 3, 3)}, tmp_path / "mine.pt")
    said = told(tmp_path, instead("    students:", "    checkpoint: {path: mine.pt}\n    students:"))
    assert said.startswith("s.yaml:5: pairs[0].checkpoint the teacher's checkpoint ")
    assert "does not fit its network (it lacks norm.weight, norm.bias, norm.running_mean, … (" in said


@pytest.mark.parametrize(("space", "message"), SPACES)
def test_a_wrong_space_is_told(tmp_path: Path, space: str, message: str) -> None:
    assert told(tmp_path, f"{GOOD}    space: {space}\n") == message


@pytest.mark.parametrize(("content", "message"), SPACE_FILES)
def test_a_wrong_space_file_is_told_at_its_own_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    assert told(tmp_path, f"{GOOD}    space: mine.yaml\n") == message


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = """\
questoin: Does it work?
data: {name: digit}
pairs:
  - teacher: {name: resnet, depth: 21}
    students: [{name: resnet, depth: true}]
training: {epochs: 0, momentum: 2}
arms:
  - {method: {name: scratch}, space: scrtch}
  - method: {name: kd, temprature: 3}
confirm: {seeds: [1, 1]}
"""
    assert sorted(told(tmp_path, text).splitlines()) == sorted(
        [
            's.yaml:8: arms[0].space "scrtch" is not found; did you mean scratch?',
            "s.yaml:1: question is missing; add it",
            "s.yaml:1: questoin is not a field here; did you mean question?",
            's.yaml:2: data has the name "digit", which is not known; did you mean digits?',
            "s.yaml:4: pairs[0].teacher.depth 21: depth must be 6n + 2; the nearest are 20 and 26",
            f's.yaml:5: pairs[0].students[0].depth "true" {WHOLE}',
            "s.yaml:6: training.epochs 0 is too small; it must be at least 1",
            "s.yaml:6: training.momentum 2 is too large; it must be below 1.0",
            "s.yaml:9: arms[1].method.temprature is not a field here; did you mean temperature?",
            "s.yaml:10: confirm.seeds [1, 1]: a seed stands twice; keep one",
        ]
    )


def test_a_study_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"digits_resent: is not found; did you mean digits_resnet\?"):
        load_study("digits_resent")
    with pytest.raises(SpecError, match=r"nowhere/x\.yaml: is not found; correct the path"):
        load_study("nowhere/x.yaml")


def test_every_shipped_study_and_space_is_good() -> None:
    files = everything_here()
    assert len(files) == len(everything("studies")) + len(everything("search_spaces")) >= 7
    assert {file: list(map(str, problems)) for file, problems in check_files(files).items() if problems} == {}


@pytest.mark.parametrize("name", sorted(everything("studies")))
def test_every_shipped_study_loads_and_names_shipped_spaces_only(name: str) -> None:
    assert load_study(name).spec.question.endswith("?")


def test_a_value_longer_than_anyone_reads_is_cut(tmp_path: Path) -> None:
    long = "a" * 5000
    for text in (
        instead(DATA, f"{{name: parquet, validation: 10, path: {long}}}"),
        instead("resnet, depth: 20", f"{long}, depth: 20"),
    ):
        assert len(told(tmp_path, text)) < 700


def test_a_space_is_checked_by_itself_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("method.alpha: {float: [0, 1], lgo: true}\nmethod.beta: 3\n")
    (problems,) = check_files([str(path)]).values()
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in problems] == [
        "mine.yaml:1: method.alpha.lgo is not a field here; did you mean log?",
        "mine.yaml:2: method.beta 3 is no domain; "
        "write {choice: […]}, {float: [low, high]}, {int: [low, high]} or {subset: […]}",
    ]


def test_files_are_checked_each_by_itself(tmp_path: Path) -> None:
    good, wrong = tmp_path / "good.yaml", tmp_path / "wrong.yaml"
    good.write_text(GOOD)
    wrong.write_text(instead(KSAN, "{name: ksna}"))
    found = check_files([str(good), str(wrong), "no_such_study"])
    assert [len(problems) for problems in found.values()] == [0, 1, 1]
