"""A study is carried out once: whatever stops it, the same call again goes on and repeats nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.report.leaderboard import leaderboard_rows
from harness.report.page import write_report
from harness.search.agenda import TooManyFailuresError
from harness.search.carry_out import ChangedStudyError, fetch_data, refuse_changed
from harness.source import MissingError
from harness.store.parquet import RunLockedError, Store
from harness.study.plan import plan
from tests.conftest import FinishedRun
from tests.models.weights import CONSTRUCTOR
from tests.search.inline import files, numbers, search
from tests.studies import TINY, TRIALS, study, tiny

COLLAPSING = {"name": "ksan", "attention": {"pretraining": {"steps": 2, "least_spread": 1000}}}


def cut_after(finished: FinishedRun, count: int, folder: Path) -> Store:
    """The run as a kill after so many trials left it."""
    shutil.copytree(finished.store.root, folder)
    for trial in finished.store.trials()[count:]:
        for path in folder.glob(f"*/{trial.trial_id}*"):
            path.unlink()
    return Store(folder)


def test_pretrained_weights_are_fetched_before_the_first_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    pretrained = {"name": "torchvision", "constructor": CONSTRUCTOR, "weights": "DEFAULT"}
    planned = plan(study(tiny(pairs=[{"teacher": pretrained, "students": [{"name": "resnet", "depth": 8}]}])))
    with pytest.raises(MissingError, match="IMAGENET1K_V1 of shufflenet_v2_x0_5 are not whole"):
        fetch_data(planned, tmp_path)


@pytest.mark.parametrize("count", range(TRIALS + 1))
def test_a_search_goes_on_from_wherever_it_was_cut(count: int, finished: FinishedRun, tmp_path: Path) -> None:
    cut = cut_after(finished, count, tmp_path / "tiny")
    before = files(cut)
    assert len(before) == count
    store, failed, said = search(tmp_path / "tiny", cache=finished.runs / "cache")
    assert failed == []
    assert numbers(store) == numbers(finished.store)
    assert {name: content for name, content in files(store).items() if name in before} == before  # none run again
    assert ("Continuing" in said) == (count > 0)


def test_a_run_from_scratch_repeats_every_number(finished: FinishedRun, tmp_path: Path) -> None:
    """Teacher and estimators too: nothing comes from the cache of the first run."""
    store, _, _ = search(tmp_path / "tiny")
    assert numbers(store) == numbers(finished.store)


def test_only_confirmations_carry_a_test_accuracy(finished: FinishedRun) -> None:
    by_purpose = {trial.purpose: trial for trial in finished.store.trials()}
    assert by_purpose.keys() == {"teacher", "search", "confirmation"}
    for trial in finished.store.trials():
        assert (trial.test_accuracy is not None) == (trial.purpose == "confirmation")
        assert trial.test_images == (997 if trial.purpose == "confirmation" else 0)


def test_a_finished_run_keeps_confirmed_students_and_no_checkpoints(finished: FinishedRun) -> None:
    confirmed = {trial.trial_id for trial in finished.store.trials() if trial.purpose == "confirmation"}
    assert {path.stem for path in finished.store.students.iterdir()} == confirmed
    assert not list((finished.store.root / "checkpoints").iterdir())
    assert not [path for path in finished.store.root.rglob("*") if path.name.endswith(".tmp")]


def test_every_epoch_of_every_trial_is_on_record(finished: FinishedRun) -> None:
    for trial in finished.store.trials():
        assert [record.epoch for record in finished.store.epochs(trial)] == [1, 2]


# A study that changed.


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"training__epochs": 3}, "training.epochs: 2 → 3"),
        ({"search__trials": 3}, "search.trials: 2 → 3"),
        ({"confirm__seeds": [0, 2]}, "confirm.seeds[1]: 1 → 2"),
        ({"arms": TINY["arms"][:1]}, 'arms[1].method.name: "ksan" → null'),
        ({"data__split_seed": 1}, "data.split_seed: 0 → 1"),
        ({"resources__cpus_per_trial": 2}, "resources.cpus_per_trial: 1 → 2"),
    ],
)
def test_a_changed_study_is_refused_with_what_changed(
    change: dict[str, Any], told: str, finished: FinishedRun, tmp_path: Path
) -> None:
    cut = cut_after(finished, TRIALS, tmp_path / "tiny")
    before = files(cut), (cut.root / "study.json").read_text()
    with pytest.raises(ChangedStudyError) as refused:
        search(tmp_path / "tiny", tiny(**change))
    assert told in str(refused.value)
    assert "mv " in str(refused.value)
    assert (files(cut), (cut.root / "study.json").read_text()) == before


@pytest.mark.parametrize(
    "change", [{"question": "Another?"}, {"search__failures": 0.9}, {"resources__gpus_per_trial": 0.5}]
)
def test_what_no_number_depends_on_may_change(change: dict[str, Any], finished: FinishedRun, tmp_path: Path) -> None:
    cut = cut_after(finished, TRIALS, tmp_path / "tiny")
    before = files(cut)
    search(tmp_path / "tiny", tiny(**change))
    assert files(cut) == before
    frozen = cut.frozen_study()
    assert frozen is not None
    assert frozen["question"] == change.get("question", TINY["question"])


def test_another_device_is_refused_with_the_one_that_the_run_began_on(finished: FinishedRun, tmp_path: Path) -> None:
    cut = cut_after(finished, TRIALS, tmp_path / "tiny")
    frozen = cut.frozen_study()
    assert frozen is not None
    with pytest.raises(ChangedStudyError, match=r'device: "cpu" → "cuda"\n.* go on with `--device cpu`'):
        refuse_changed(frozen, {**frozen, "device": "cuda"}, cut)


def test_two_searches_do_not_write_one_run(finished: FinishedRun, tmp_path: Path) -> None:
    cut = cut_after(finished, 3, tmp_path / "tiny")
    before = files(cut)
    with Store(tmp_path / "tiny").writing(), pytest.raises(RunLockedError, match="another search is writing"):
        search(tmp_path / "tiny")
    assert files(cut) == before


# Trials that fail.


def test_failed_trials_are_told_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    arms = [TINY["arms"][0], {"label": "collapsing", "method": COLLAPSING}]
    content = tiny(arms=arms, search__failures=1)
    for attempt in (2, 3):
        store, failed, said = search(tmp_path / "tiny", content)
        assert {(trial.arm, trial.attempt, trial.error_class) for trial in failed} == {
            ("collapsing", attempt, "CollapsedError")
        }
        assert len(failed) == 2
        assert "failed: collapsing on resnet8-w2: CollapsedError" in said
        assert ("went on in smaller packs or alone: CollapsedError" in said) == (attempt == 2)
    statuses = [trial.status for trial in store.trials()]
    assert (statuses.count("completed"), statuses.count("failed")) == (1 + 4 + 2, 2)
    assert len(files(store)) == 9 + 2 * 2  # the earlier attempts are kept


def test_too_many_failures_stop_the_run_and_keep_its_records(tmp_path: Path) -> None:
    content = tiny(arms=[{"label": "collapsing", "method": COLLAPSING}], search__failures=0)
    with pytest.raises(TooManyFailuresError, match="collapsing on resnet8-w2 failed: CollapsedError"):
        search(tmp_path / "tiny", content)
    assert [trial.status for trial in Store(tmp_path / "tiny").trials()] == ["completed", "failed"]


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_search_over_the_size_confirms_a_front(sampler: str, tmp_path: Path) -> None:
    """Real trainings of students of several widths in one two-objective search."""
    arm = {"method": {"name": "scratch"}, "space": {"student.width": {"int": [1, 6]}}}
    store, failed, _ = search(
        tmp_path / "tiny",
        tiny(
            arms=[arm],
            search={"trials": 6, "batch": 3, "replicates": 1, "sampler": sampler},
            confirm={"best": 6, "seeds": [0]},
            training__epochs=1,
        ),
    )
    assert failed == []
    searched = [trial for trial in store.trials() if trial.purpose == "search"]
    confirmed = {trial.config_id for trial in store.trials() if trial.purpose == "confirmation"}
    assert len({trial.params for trial in searched}) > 2
    values = {trial.config_id: (trial.validation_accuracy or 0, -trial.params) for trial in searched}
    front = {
        config
        for config, mine in values.items()
        if not any(other != mine and other[0] >= mine[0] and other[1] >= mine[1] for other in values.values())
    }
    assert confirmed == front


def test_a_search_by_latency_goes_on_with_the_latencies_of_its_record(tmp_path: Path) -> None:
    """Measured anew they would be other numbers, and its proposals others than those on disk."""
    arm = {"method": {"name": "scratch"}, "space": {"student.width": {"int": [2, 9]}}}
    searched = {"trials": 6, "replicates": 1, "batch": 2, "sampler": {"name": "tpe", "startup": 2}}
    content = tiny(arms=[arm], search=searched, objectives={"accuracy": "max", "latency": "min"})
    store, failed, _ = search(tmp_path / "tiny", content)
    assert failed == []
    assert all(trial.latency for trial in store.trials())
    for path in [path for trial in store.trials()[-2:] for path in store.root.glob(f"*/{trial.trial_id}*")]:
        path.unlink()
    before = files(store)
    again, _, _ = search(tmp_path / "tiny", content)
    assert {name: kept for name, kept in files(again).items() if name in before} == before
    (board,) = leaderboard_rows([store.root])
    assert board.front["latency"].between(1, 1e5).all()  # microseconds an image
    assert "microseconds an image" in write_report(store.root).read_text()
