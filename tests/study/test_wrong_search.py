"""A search that cannot be done is refused at load: conditions, subsets, known points, constraints, samplers."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.study.study import load_study
from tests.study.test_wrong_yaml import GOOD, told

MU, HEAD, WIDE = "method.discriminator.mu", "method.discriminator.class_head", "method.discriminator.widths"
HEADS = "method.discriminator: {choice: [{class_head: true}, {class_head: false}]}"
SCHEDULES = "training.schedule: {choice: [{name: cosine}, {name: steps}]}"

GOOD_SPACES = [
    f"{{{MU}: {{float: [0.3, 1], when: {{{HEAD}: true}}}}}}",  # a fixed field
    f"{{{HEAD}: {{choice: [true, false]}}, {MU}: {{float: [0.3, 1], when: {{{HEAD}: true}}}}}}",
    f"{{{HEADS}, {MU}: {{float: [0.3, 1], when: {{{HEAD}: true}}}}}}",  # a part of whole settings
    f"{{{SCHEDULES}, training.schedule.decay: {{float: [0.1, 0.5], when: {{training.schedule.name: steps}}}}}}",
    "{method.attention: {choice: [{taps: 1}, {taps: all, reduction: 4}]}}",
    f"{{{MU}: {{float: [0.3, 1], when: {{{HEAD}: [true, false], student.depth: 14, method.name: anc}}}}}}",
    "{method.attention.taps: {subset: [stage1, stage2, stage3], min: 1, max: 2}}",
    "{method.discriminator.regularisers: {subset: [l1, l2, adversarial_samples], min: 0}}",
]

# the space of an arm, what is told of it after `s.yaml:9: arms[1].space.`
SPACES = [
    (
        f"{{{MU}: {{float: [0, 1], when: {{method.discriminator.clas_head: true}}}}}}",
        f"{MU}.when.method.discriminator.clas_head is no field of this arm's trials; did you mean {HEAD}?",
    ),
    (
        f"{{{MU}: {{float: [0, 1], when: {{{HEAD}: maybe}}}}}}",
        f'{MU}.when.{HEAD} can never be "maybe"; correct the value',
    ),
    (
        f"{{{MU}: {{float: [0, 1], when: {{method.name: ksna}}}}}}",
        f'{MU}.when.method.name can never be "ksna"; correct the value',
    ),
    (
        f"{{{WIDE}: {{choice: [[8], [16]]}}, {MU}: {{float: [0, 1], when: {{{WIDE}: [[9]]}}}}}}",
        f"{MU}.when.{WIDE} can never be [9]; it is searched in [[8], [16]]",
    ),
    (
        "{training.batch_size: {int: [16, 64], step: 16}, "
        f"{MU}: {{float: [0, 1], when: {{training.batch_size: 20}}}}}}",
        f"{MU}.when.training.batch_size can never be 20; it is searched from 16 to 64",
    ),
    (
        f"{{training.batch_size: {{choice: [8, 16]}}, {MU}: {{float: [0, 1], when: {{training.batch_size: 32}}}}}}",
        f"{MU}.when.training.batch_size can never be 32; it is searched in [8, 16]",
    ),
    (
        f"{{{HEADS}, {MU}: {{float: [0, 1], when: {{{HEAD}: 1}}}}}}",
        f"{MU}.when.{HEAD} can never be 1; correct the value",
    ),
    (
        f"{{{HEAD}: {{choice: [true, false], when: {{{MU}: 1}}}}, {MU}: {{choice: [0, 1], when: {{{HEAD}: true}}}}}}",
        f"{HEAD}.when waits for itself: {HEAD} → {MU} → {HEAD}; remove one of these conditions",
    ),
    (
        f"{{{SCHEDULES}, training.schedule.decay: {{float: [0.1, 0.5]}}}}",
        'training.schedule.decay {"name": "cosine"} of training.schedule has no such field; '
        "add `when` to say where it is searched",
    ),
    (
        "{training.schedule: {choice: [{name: cosine}]}, training.schedule.decay: {float: [0.1, 0.5]}}",
        "training.schedule.decay is no field of this arm's trials; did you mean training.schedule?",
    ),
    (
        f"{{{SCHEDULES}, training.schedule.decay: {{float: [0.1, 5], when: {{training.schedule.name: steps}}}}}}",
        "training.schedule.decay holds 5.0: is too large; it must be below 1.0",
    ),
    (
        "{method.discriminator: {choice: [{mu: 1}, {mu: -1}]}}",
        'method.discriminator holds {"mu": -1}: is too small; it must be at least 0.0',
    ),
    (
        "{method.attention.taps: {subset: [stage1, stage2], min: 3}}",
        "method.attention.taps is refused: the fewest members, 3, are more than the most, 2; lower `min`",
    ),
    (
        "{method.attention.taps: {subset: [stage1, stage2], max: 3}}",
        "method.attention.taps is refused: the list has 2 members, and `max` is 3; lower it",
    ),
    (
        "{method.attention.taps: {subset: [stage1, stage1]}}",
        "method.attention.taps is refused: a value stands twice; keep one",
    ),
]

KNOWN_SPACE = f"{{{HEADS}, {MU}: {{float: [0.3, 1], when: {{{HEAD}: true}}}}, training.momentum: {{float: [0, 0.9]}}}}"

# known points, what is told of them after `s.yaml:10: arms[1].known`
KNOWN = [
    (
        "[{training.momentum: 0.95}]",
        "[0].training.momentum 0.95 lies outside of what is searched; it is searched from 0.0 to 0.9",
    ),
    (
        "[{training.momentun: 0.5}]",
        "[0].training.momentun is not searched by this arm; did you mean training.momentum?",
    ),
    (
        "[{training.momentum: 0.5}, {training.clip: 2}]",
        "[1].training.clip is not searched by this arm; set it in the arm's `method`, or search it",
    ),
    (
        f"[{{method.discriminator: {{class_head: false}}, {MU}: 0.5}}]",
        f"[0].{MU} is not searched beside the point's other values, by its `when`; remove it",
    ),
    (
        "[{training.momentum: 0.1}, {training.momentum: 0.2}, {training.momentum: 0.3}]",
        " holds 3 points, which the defaults precede, and the search tries 3 configs; raise search.trials to 4 or more",
    ),
]

# further lines, what is told of them
STUDIES = [
    (
        'constraints: ["parms <= 3"]',
        's.yaml:9: constraints[0] "parms <= 3": parms is not known before training; did you mean params?',
    ),
    (
        'constraints: ["params < 3"]',
        's.yaml:9: constraints[0] "params < 3": a constraint is a measure and its limit; write "params <= 300000"',
    ),
    (
        'constraints: ["latency <= 3"]',
        's.yaml:9: constraints[0] "latency <= 3": latency is not known before training; '
        "known: activation_bytes, macs, params",
    ),
    (
        'constraints: ["macs <= 1e9", "params <= 5e3"]',
        "s.yaml:9: constraints[1] params <= 5000 is violated by "
        "resnet8-w4, which has 5,142; raise the limit, take another student, or search it",
    ),
    (
        "space: {student.width: {int: [2, 8]}}\nsearch: {sampler: cmaes}",
        "s.yaml:10: search.sampler cmaes has one objective, and a student that is searched adds its size; "
        "use nsga2 or gp",
    ),
    (
        "space: {training.nesterov: {choice: [true, false]}}\nsearch: {sampler: cmaes}",
        "s.yaml:10: search.sampler cmaes varies numbers, and here are none; search a float or int range, or use tpe",
    ),
    (
        "space: {training.momentum: {float: [0, 0.9]}}\nsearch: {sampler: grid}",
        "s.yaml:9: space.training.momentum has no end, and a grid tries every value; give it a `step`, write a choice, "
        "or use tpe",
    ),
    (
        "space: {training.batch_size: {int: [16, 20016]}}\nsearch: {sampler: grid}",
        "s.yaml:10: search.sampler a grid has at most 10,000 points, and here are more: "
        '{"training.batch_size": 20001}; use qmc',
    ),
    (
        "search: {sampler: sobol}",
        's.yaml:9: search.sampler has the name "sobol", which is not known; known: cmaes, gp, grid, nsga2, nsga3, qmc, '
        "random, tpe",
    ),
]


@pytest.mark.parametrize("space", GOOD_SPACES)
def test_a_good_space_is_taken(tmp_path: Path, space: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"{GOOD}    space: {space}\n")
    assert load_study(str(path)).spec.arms[1].space


@pytest.mark.parametrize(("space", "message"), SPACES)
def test_a_space_that_contradicts_itself_is_told(tmp_path: Path, space: str, message: str) -> None:
    assert told(tmp_path, f"{GOOD}    space: {space}\n") == f"s.yaml:9: arms[1].space.{message}"


@pytest.mark.parametrize(("known", "message"), KNOWN)
def test_a_wrong_known_point_is_told(tmp_path: Path, known: str, message: str) -> None:
    content = f"{GOOD}    space: {KNOWN_SPACE}\n    known: {known}\nsearch: {{trials: 3}}\n"
    assert told(tmp_path, content) == f"s.yaml:10: arms[1].known{message}"


@pytest.mark.parametrize(("lines", "message"), STUDIES)
def test_a_search_that_cannot_be_done_is_told(tmp_path: Path, lines: str, message: str) -> None:
    assert told(tmp_path, f"{GOOD}{lines}\n") == message
