"""What is proposed follows from the cell, the seed and the results, and from nothing else."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from pydantic import TypeAdapter

from harness.search.optuna_forms import forms
from harness.search.sampling import Proposal, Sampling
from harness.source import SpecError
from harness.study.domains import Domain
from harness.study.plan import Cell, plan
from tests.studies import TINY, study, tiny

SAMPLERS: list[Any] = [
    {"name": "tpe", "startup": 3},
    "random",
    {"name": "nsga2", "population": 3},
    {"name": "nsga3", "population": 3},
    {"name": "gp", "startup": 6},
    {"name": "cmaes", "population": 4},
    "qmc",
    {"name": "qmc", "sequence": "halton"},
]
OF_SIZE = [sampler for sampler in SAMPLERS if "cmaes" not in str(sampler)]
"""Those that take two objectives."""


def cell_of(space: dict[str, Any], method: dict[str, Any] | None = None, **search: Any) -> tuple[Cell, Sampling]:
    """A cell with this space, and its sampling."""
    content = tiny(arms=[{"method": method or {"name": "scratch"}, "space": space}])
    content["search"] = {"trials": 16, "sampler": "random", **search}
    (cell,) = (planned := plan(study(content))).cells
    return cell, Sampling(cell, planned.study.spec.search)


KSAN_SPACE = TINY["arms"][1]["space"]
KSAN = TINY["arms"][1]["method"]


def proposals(space: dict[str, Any], batches: list[int], method: Any = None, **search: Any) -> list[Proposal]:
    """Proposals in batches; each is told an error that follows from its config."""
    _, sampling = cell_of(space, method, **search)
    made = []
    for count in batches:
        batch = sampling.ask(count)
        for proposal in batch:
            error = int(proposal.spec.config_id, 16) % 100 / 100
            values = [error] if not sampling.cell.varies_size else [error, math.log10(1000)]
            sampling.tell(proposal.number, values)
        made += batch
    return made


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_first_proposal_is_the_arms_defaults(sampler: Any) -> None:
    cell, sampling = cell_of(KSAN_SPACE, KSAN, sampler=sampler)
    (first,) = sampling.ask(1)
    assert first.number == 0
    assert first.spec == cell.base
    assert set(first.point) == set(KSAN_SPACE)
    assert json.loads(first.point["training.learning_rate"]) == cell.base.training.learning_rate


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_proposes_the_same(sampler: Any) -> None:
    first, second = (proposals(KSAN_SPACE, [4, 4, 4], KSAN, sampler=sampler) for _ in range(2))
    assert first == second
    assert len({proposal.spec.id for proposal in first}) > 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_proposes_something_else(sampler: Any) -> None:
    first, second = (proposals(KSAN_SPACE, [4], KSAN, sampler=sampler, seed=seed) for seed in (0, 1))
    assert not {p.spec.config_id for p in first[1:]} & {p.spec.config_id for p in second[1:]}


def test_a_batch_does_not_depend_on_how_large_the_budget_is() -> None:
    """A study that is given more trials continues; it does not start anew."""
    short, long = (proposals(KSAN_SPACE, batches, KSAN) for batches in ([4, 4], [4, 4, 4]))
    assert long[:8] == short


def test_a_proposal_differs_from_the_base_in_its_space_alone() -> None:
    cell, _ = cell_of(KSAN_SPACE, KSAN)
    for proposal in proposals(KSAN_SPACE, [8], KSAN):
        changed = {path.partition("[")[0] for path in cell.base.differences(proposal.spec)}
        assert changed <= set(KSAN_SPACE)
        for path, text in proposal.point.items():
            assert proposal.spec.value_at(path) == json.loads(text)


def test_a_choice_may_be_of_lists() -> None:
    taps = {proposal.spec.method.tapped for proposal in proposals(KSAN_SPACE, [16], KSAN)}
    assert taps == {("stage3",), ("stage2", "stage3"), "all"}


@pytest.mark.parametrize("values", [None, [float("nan")], [0.5]])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_proposal_stays_running(sampler: Any, values: list[float] | None) -> None:
    """A running trial repels the sampler for ever; one without a value is pruned, and no value is made up."""
    _, sampling = cell_of(KSAN_SPACE, KSAN, sampler=sampler)
    for _ in range(3):
        for proposal in sampling.ask(4):
            sampling.tell(proposal.number, values)
    known = sampling._study.trials
    assert len(known) == 12  # the defaults are told as well
    number = values if values == [0.5] else None
    assert {trial.state for trial in known} == {TrialState.COMPLETE if number else TrialState.PRUNED}
    assert {trial.values and trial.values[0] for trial in known} == {number and 0.5}


@pytest.mark.parametrize("sampler", OF_SIZE)
@pytest.mark.parametrize(("values", "fidelity"), [(None, 1.0), ([0.5, 3.0], 0.5)])
def test_no_proposal_stays_running_where_there_are_two_objectives(
    sampler: Any, values: list[float] | None, fidelity: float
) -> None:
    """Optuna's report and should_prune raise there; a stopped trial is told as pruned all the same."""
    _, sampling = cell_of({"student.width": {"int": [2, 4]}}, sampler=sampler)
    for _ in range(3):
        for proposal in sampling.ask(4):
            sampling.tell(proposal.number, values, fidelity)
    assert {(trial.state, trial.values) for trial in sampling._study.trials} == {(TrialState.PRUNED, None)}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_stopped_proposal_is_told_as_pruned_with_its_fidelity_and_never_as_complete(sampler: Any) -> None:
    _, sampling = cell_of(KSAN_SPACE, KSAN, sampler=sampler)
    for proposal in sampling.ask(2):
        sampling.tell(proposal.number, [0.25], fidelity=1 / 3)
    for trial in sampling._study.trials:
        assert trial.state == TrialState.PRUNED
        assert trial.intermediate_values == {333: 0.25}
        assert trial.user_attrs == {"fidelity": 1 / 3, "values": [0.25]}


def test_a_config_that_is_proposed_again_says_how_often_it_was() -> None:
    """It is trained on further seeds then; a repeat would only copy its records."""
    made = proposals({"training.momentum": {"choice": [0, 0.9]}}, [4, 4])
    for proposal in made:
        before = [other for other in made[: proposal.number] if other.spec == proposal.spec]
        assert proposal.repeat == len(before)
    assert {proposal.repeat for proposal in made} > {0, 1, 2}


def test_a_default_counts_as_the_equal_choice_however_it_is_written() -> None:
    """The space says 1, the field says 1.0: the first result is the sampler's to learn from all the same."""
    _, sampling = cell_of({"method.weights.cross_entropy": {"choice": [0, 0.1, 1]}}, {"name": "anc"})
    (first,) = sampling.ask(1)
    sampling.tell(0, [0.25])
    (told,) = sampling._study.trials
    assert (told.value, told.params) == (0.25, {"method.weights.cross_entropy": "1"})
    assert first.spec.method.loss_weights["cross_entropy"] == 1


def test_a_default_outside_the_space_is_tried_first_but_teaches_the_sampler_nothing() -> None:
    cell, sampling = cell_of({"training.learning_rate": {"float": [0.2, 0.5]}})
    (first, second) = sampling.ask(2)
    assert first.spec == cell.base
    assert 0.2 <= second.spec.training.learning_rate <= 0.5
    sampling.tell(0, [0.1])
    sampling.tell(1, [0.1])
    assert len(sampling._study.trials) == 1


def test_a_space_that_the_trials_own_checks_refuse_altogether_is_told() -> None:
    nothing = {f"method.weights.{name}": {"choice": [0]} for name in ("cross_entropy", "logits", "adversarial")}
    _, sampling = cell_of(nothing, {"name": "anc"})
    sampling.ask(1)  # the defaults
    with pytest.raises(SpecError, match=r"anc: resnet8-w4 → resnet8-w2: .*every loss of anc has the weight 0"):
        sampling.ask(1)


def test_what_contradicts_itself_is_proposed_again_as_something_else() -> None:
    some = {f"method.weights.{name}": {"choice": [0, 1]} for name in ("cross_entropy", "logits", "adversarial")}
    made = proposals(some, [16] * 2, {"name": "anc"})
    assert len(made) == 32
    assert all(any(proposal.spec.method.loss_weights.values()) for proposal in made)


floats = st.floats(1e-6, 1e6)


@given(st.tuples(floats, floats).filter(lambda pair: pair[0] < pair[1]), st.booleans())
def test_every_float_domain_has_optunas_form(bounds: tuple[float, float], log: bool) -> None:
    domain = TypeAdapter(Domain).validate_python({"float": list(bounds), "log": log})
    told: Any = forms("x", domain)["x"]
    assert (told.low, told.high, told.log) == (*bounds, log)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.4), st.floats(0.5, 1), st.integers(1, 3), st.integers(4, 8), st.sampled_from(SAMPLERS[:4]))
def test_proposals_lie_within_their_space(low: float, high: float, few: int, many: int, sampler: Any) -> None:
    space = {
        "training.learning_rate": {"float": [low, high]},
        "training.batch_size": {"int": [2 * few, 2 * many], "step": 2},
        "training.momentum": {"choice": [0, 0.9]},
    }
    for proposal in proposals(space, [3, 3], sampler=sampler)[1:]:
        training = proposal.spec.training
        assert low <= training.learning_rate <= high
        assert training.batch_size in range(2 * few, 2 * many + 1, 2)
        assert training.momentum in (0, 0.9)
