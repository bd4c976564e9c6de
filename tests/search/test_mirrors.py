"""Mirrors repeat every number once, whatever was interrupted, and one that fails stops nothing."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.search import mirrors as mirrors_module
from harness.search.agenda import Agenda
from harness.search.carry_out import refuse_changed
from harness.search.display import Display
from harness.search.mirrors import mirrors
from harness.search.mlflow import Experiment
from harness.source import MissingError
from harness.store.parquet import Store
from harness.study.plan import Plan, plan
from tests.search.made_up import account, completed, walk
from tests.studies import TRIALS, study, tiny

STOPPING = {"name": "halving", "rungs": [0.5], "least": 2}


def tracked(**tracking: Any) -> Plan:
    return plan(study(tiny(tracking=tracking, search__stopping=STOPPING, search__trials=4, search__batch=4)))


def mirrored(planned: Plan, folder: Path, stop_after: int | None = None, break_off: bool = False) -> str:
    """Walks a study with its mirrors; what was warned of."""
    screen, store = io.StringIO(), Store(folder)
    folder.mkdir(exist_ok=True)
    found = mirrors(planned, store, Display(planned, Console(file=screen, width=300), 1).warn)
    agenda = Agenda(planned, store, found)
    for one in found:
        one.resume(agenda)
        one.__enter__()
    walk(agenda, stop_after=stop_after)
    if break_off and (pack := agenda.next_pack()):
        agenda.trained(account(completed(pack[0])).epochs[0])
    for one in found:
        one.__exit__(None, None, None)
    return screen.getvalue()


def journal(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "optuna.journal")))
    return [
        trial
        for found in optuna.get_all_study_summaries(storage)
        for trial in optuna.load_study(study_name=found.study_name, storage=storage).trials
    ]


def test_a_journal_has_each_trial_once_with_its_state_values_and_curve(tmp_path: Path) -> None:
    planned = tracked(optuna_journal=True)
    mirrored(planned, tmp_path, stop_after=5, break_off=True)
    assert any(trial.state.name == "RUNNING" for trial in journal(tmp_path))
    assert mirrored(planned, tmp_path) == ""
    trials, searched = journal(tmp_path), [one for one in Store(tmp_path).trials() if one.purpose == "search"]
    assert len(trials) == len(searched)
    states = {trial.user_attrs["trial"]: trial for trial in trials}
    for one in searched:
        entry = states[f"{one.trial_id}-{one.attempt}"]
        assert entry.state.name == {"completed": "COMPLETE", "stopped": "PRUNED"}[one.status]
        assert entry.value == one.validation_accuracy or one.status == "stopped"
        assert len(entry.intermediate_values) == one.epochs_done
        assert "training.learning_rate" in entry.params
    assert {trial.user_attrs.get("fidelity") for trial in trials if trial.state.name == "PRUNED"} == {0.5}


def test_a_journal_goes_on_after_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    planned, path, lock = tracked(optuna_journal=True), tmp_path / "optuna.journal", tmp_path / "optuna.journal.lock"
    mirrored(planned, tmp_path, stop_after=5)
    with path.open("ab") as file:
        file.write(b'{"op_code": 8, "worker_id"')
    lock.symlink_to(path)
    os.utime(lock, (0, 0), follow_symlinks=False)
    assert mirrored(planned, tmp_path) == ""
    assert len(journal(tmp_path)) == len([one for one in Store(tmp_path).trials() if one.purpose == "search"])


def test_a_trial_that_is_run_again_for_its_damaged_record_keeps_its_entry(tmp_path: Path) -> None:
    planned = tracked(optuna_journal=True, tensorboard=True, mlflow={})
    mirrored(planned, tmp_path)
    (searched, *_) = (one for one in Store(tmp_path).trials() if one.purpose == "search")
    (tmp_path / "trials" / f"{searched.trial_id}-{searched.attempt}.parquet").write_bytes(b"")
    before = journal(tmp_path)
    assert mirrored(planned, tmp_path) == ""
    assert journal(tmp_path) == before
    events = EventAccumulator(str(tmp_path / "tensorboard" / f"{searched.trial_id}-{searched.attempt}")).Reload()
    assert len(events.Scalars("validation/accuracy")) == searched.epochs_done


@pytest.mark.parametrize("name", ["optuna.journal", "mlflow.db"])
def test_a_damaged_file_is_set_aside_and_filled_anew(name: str, tmp_path: Path) -> None:
    planned, damaged = tracked(optuna_journal=True, mlflow={}), b"#" * 5000 + b"\n"
    (tmp_path / name).write_bytes(damaged)
    assert f"{name}.damaged could not be read" in mirrored(planned, tmp_path)
    assert (tmp_path / f"{name}.damaged").read_bytes() == damaged
    assert len(journal(tmp_path)) == len([one for one in Store(tmp_path).trials() if one.purpose == "search"])
    assert mirrored(planned, tmp_path) == ""


def test_event_files_have_each_epoch_once(tmp_path: Path) -> None:
    planned = tracked(tensorboard=True)
    mirrored(planned, tmp_path, stop_after=3, break_off=True)
    assert mirrored(planned, tmp_path) == ""
    for one in Store(tmp_path).trials():
        events = EventAccumulator(str(tmp_path / "tensorboard" / f"{one.trial_id}-{one.attempt}"))
        events.Reload()
        assert [event.step for event in events.Scalars("validation/accuracy")] == list(range(1, one.epochs_done + 1))


def test_mlflow_has_a_run_a_trial_with_metrics_by_epoch(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    planned = tracked(mlflow={})
    mirrored(planned, tmp_path, stop_after=3, break_off=True)
    assert mirrored(planned, tmp_path) == ""
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    trials = {f"{one.trial_id}-{one.attempt}": one for one in Store(tmp_path).trials()}
    assert sorted(run.data.tags["ksan_harness.trial"] for run in runs) == sorted(trials)
    for run in runs:
        one = trials[run.data.tags["ksan_harness.trial"]]
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "validation/accuracy")]
        assert steps == list(range(1, one.epochs_done + 1))
        assert run.info.status == {"completed": "FINISHED", "stopped": "KILLED"}[one.status]


class Unreliable:
    """A client of MLflow whose process dies after so many calls."""

    def __init__(self, client: Any, calls: int) -> None:
        self.client, self.calls = client, calls

    def __getattr__(self, name: str) -> Any:
        self.calls -= 1
        if self.calls < 0:
            raise ConnectionError
        return getattr(self.client, name)


def test_mlflow_doubles_and_lacks_nothing_wherever_a_run_was_cut_short(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    assignment = next(one for one in walk(Agenda(tracked(), Store(tmp_path / "run"))) if one.point)
    ending = account(completed(assignment))
    last = ending.trial.epochs_done
    for calls in range(5 + last):
        for allowed in (calls, 100):
            experiment = Experiment(uri, f"cut after {calls}")
            experiment.client = Unreliable(experiment.client, allowed)
            with contextlib.suppress(ConnectionError):
                experiment.began(assignment)
                for epoch in ending.epochs:
                    experiment.trained(epoch)
                experiment.ended(ending.trial, ending.epochs)
        (run,) = client.search_runs([client.get_experiment_by_name(f"cut after {calls}").experiment_id])
        assert (run.info.status, run.data.params) == ("FINISHED", assignment.point)
        assert not experiment.lacks(ending.trial)
        for metric in run.data.metrics:
            steps = [entry.step for entry in client.get_metric_history(run.info.run_id, metric)]
            assert steps == ([last] if metric.startswith("final/") else [*range(1, last + 1)]), metric


def test_a_mirror_that_fails_is_told_of_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "optuna.journal").mkdir()
    said = mirrored(tracked(optuna_journal=True), tmp_path)
    assert said.count("optuna_journal is left out from here on") == 1
    assert len(Store(tmp_path).trials()) > TRIALS


def test_a_server_that_never_answers_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors_module, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said = mirrored(tracked(mlflow={"uri": f"http://127.0.0.1:{mute.getsockname()[1]}"}), tmp_path)
    assert said.count("mlflow is behind and was left so; the same command adds what it lacks") == 1
    assert len(Store(tmp_path).trials()) > TRIALS


def test_a_missing_package_is_named_before_anything_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'ksan-harness\[tracking\]'"):
        mirrors(tracked(tensorboard=True), Store(tmp_path), print)


def test_tracking_may_change_between_two_runs(tmp_path: Path) -> None:
    before, after = study(tiny()).resolved, study(tiny(tracking={"mlflow": {"uri": "http://localhost:5000"}})).resolved
    refuse_changed(before, after, Store(tmp_path))
    refuse_changed({name: of for name, of in before.items() if name != "tracking"}, after, Store(tmp_path))
