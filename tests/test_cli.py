"""The command line: every command's happy path on one tiny run, and a message with an exit code for the rest."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import typer
from typer.testing import CliRunner

from harness.cli import RAY_ENVIRONMENT, app
from harness.store.parquet import Store
from harness.study.study import load_study
from tests.conftest import FinishedRun
from tests.data.own import as_folders
from tests.studies import LABEL, QUESTION, TRIALS, tiny, written

ROOT = Path(__file__).parent.parent
COMMANDS = (
    *("search", "show", "check", "list", "status", "report", "leaderboard", "reproduce"),
    *("publish", "verify", "compare", "diff", "export"),
)


def harness(*line: object, wide: bool = True) -> tuple[int, str]:
    """The exit code of a command in this process, and all that it said."""
    told = CliRunner(env={"COLUMNS": "250" if wide else "80"}).invoke(app, [str(word) for word in line])
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.exit_code, told.output


def confirmed(finished: FinishedRun) -> str:
    """The id of a confirmed trial."""
    return next(trial.trial_id for trial in finished.store.trials() if trial.purpose == "confirmation")


# What every command does.


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from harness.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numba', 'ray', 'optuna', 'pandas', 'plotly', 'duckdb', 'pyarrow'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert told.splitlines()[-1] == "[]"
    for command in COMMANDS:
        assert f" {command} " in told


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    code, said = harness(command, "--help")
    assert code == 0
    assert "Usage" in said


def test_a_search_ends_with_the_front_the_leaderboard_and_the_report(finished: FinishedRun) -> None:
    said = finished.output
    assert f"{TRIALS}/{TRIALS} trials, 0 failed" in said
    assert said.index("front") < said.index("rank") < said.index("report: ")
    assert "harness reproduce" in said
    assert (finished.store.root / "report.html").is_file()


def test_a_finished_search_runs_nothing_again(finished: FinishedRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.store.root.glob("trials/*")}
    code, said = harness("search", "-s", finished.study, "--runs", finished.runs, "--runner", "inline")
    assert code == 0
    assert f"Continuing: {TRIALS} trials are on disk" in said
    assert {path: path.stat().st_mtime_ns for path in finished.store.root.glob("trials/*")} == before


def test_a_finished_search_starts_no_ray(finished: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RAY_ENVIRONMENT:
        monkeypatch.setenv(name, RAY_ENVIRONMENT[name])
    code, said = harness("search", "-s", finished.study, "--runs", finished.runs)
    assert code == 0
    assert "report: " in said
    import ray

    assert not ray.is_initialized()


@pytest.mark.parametrize("study", ["digits_resnet", "cifar100_resnet"])
def test_show_tells_what_a_shipped_study_comes_to(study: str) -> None:
    code, said = harness("show", "--study", study)
    assert code == 0
    assert load_study(study).spec.question in said
    assert "trials; predicted" in said


def test_show_measures_latency_when_asked() -> None:
    code, said = harness("show", "--study", "digits_resnet", "--latency", "--device", "cpu")
    assert code == 0
    assert "quartiles" in said
    assert "quartiles" not in harness("show", "--study", "digits_resnet")[1]


def test_a_pilots_forecast_is_shown_kept_and_held_against_what_was_spent(finished: FinishedRun, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished.runs, runs)
    code, said = harness("show", "-s", finished.study, "--pilot", "--price", "36", "--runs", runs)
    assert code == 0
    assert "at 36 an hour of one" in said
    code, _ = harness("report", "-s", finished.study, "--runs", runs)
    assert code == 0
    page = (runs / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "Training as a pilot predicted it, and as it was" in page
    code, said = harness("show", "-s", finished.study, "--price", "36")
    assert (code, "add it" in said) == (2, True)


def test_check_finds_everything_that_ships_good() -> None:
    code, said = harness("check")
    assert code == 0
    shipped = [path for folder in ("studies", "search_spaces") for path in (ROOT / folder).glob("*.yaml")]
    assert len(said.splitlines()) == len(shipped) >= 7
    assert all(line.endswith(": good") for line in said.splitlines())


@pytest.mark.parametrize(
    ("shelf", "name"),
    [("studies", "digits_resnet"), ("spaces", "kd"), ("methods", "ksan"), ("models", "resnet"), ("datasets", "digits")],
)
def test_list_names_what_a_study_can_name(shelf: str, name: str) -> None:
    code, said = harness("list", shelf)
    assert code == 0
    assert f"  {name} " in said
    assert said in harness("list")[1]


def test_report_writes_one_page_where_it_is_told_to(finished: FinishedRun, tmp_path: Path) -> None:
    code, said = harness("report", "-s", "tiny", "--runs", finished.runs, "--to", tmp_path / "deep" / "page.html")
    assert code == 0
    assert "page.html" in said
    page = (tmp_path / "deep" / "page.html").read_text(encoding="utf-8")
    assert page == (finished.store.root / "report.html").read_text(encoding="utf-8")


def test_the_status_of_a_finished_run_is_told_to_people_and_machines(finished: FinishedRun) -> None:
    line = ["status", "--study", finished.study, "--runs", finished.runs]
    code, said = harness(*line, "--watch", wide=False)
    assert code == 0
    assert "tiny: finished" in said
    assert f"{TRIALS} of {TRIALS} trials ended: {TRIALS} completed, 0 failed" in said
    assert LABEL in said
    code, said = harness(*line, "--json")
    assert (code, json.loads(said)["counts"]["completed"]) == (0, TRIALS)
    assert harness("status", "--study", "other", "--runs", finished.runs)[0] == 3


def test_the_leaderboard_names_a_command_for_every_row(finished: FinishedRun) -> None:
    code, said = harness("leaderboard", "--runs", finished.runs)
    assert code == 0
    ids = re.findall(r"harness reproduce (\w+)", said)
    assert len(ids) == 2
    assert set(ids) <= {trial.trial_id for trial in finished.store.trials()}
    assert said.count(f" --runs {finished.runs} ") == 2  # as printed, the command finds its run
    assert harness("leaderboard", "-s", "tiny", "--runs", finished.runs) == (code, said)
    code, page = harness("leaderboard", "--runs", finished.runs, "--markdown")
    assert code == 0
    assert page.startswith("# Leaderboard")
    assert all(f"`harness reproduce {id}" in page for id in ids)


def test_reproduce_says_that_a_row_is_equal_and_keeps_that_it_looked(finished: FinishedRun, tmp_path: Path) -> None:
    runs, id = shutil.copytree(finished.runs, tmp_path / "runs"), confirmed(finished)
    code, said = harness("reproduce", id[:10], "--runs", runs)
    assert code == 0
    assert "reproduced, bit for bit" in said
    (look,) = Store(runs / "tiny").looks()
    assert (look.trial_id, look.reason, look.test_images) == (id, "reproduction", 997)
    assert "looks: how often the test split was read" in harness("leaderboard", "--runs", runs)[1]
    assert "looks" not in harness("leaderboard", "--runs", finished.runs)[1]


def test_reproduce_says_that_a_tampered_row_is_not(finished: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    id = confirmed(finished)
    path = tmp_path / "runs" / "tiny" / "trials" / f"{id}-1.parquet"
    table = pq.read_table(path).replace_schema_metadata()  # without the digest, which would tell of it
    column = table.schema.get_field_index("test_accuracy")
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array([0.99])), path)
    code, said = harness("reproduce", id, "--runs", tmp_path / "runs")
    assert code == 1
    assert "≠" in said
    assert "not reproduced" in said


def test_a_reader_that_goes_away_is_no_error() -> None:
    line = [sys.executable, "-c", "from harness.cli import main; main()", "list"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout and process.stderr
        process.stdout.close()  # as `head` does, here before the first line
        assert process.stderr.read() == ""
        assert process.wait() == -signal.SIGPIPE


# What goes wrong.


@pytest.mark.parametrize("name", ["cache", "..", ".hidden"])
def test_a_study_whose_folder_would_be_taken_for_another_is_refused(name: str, tmp_path: Path) -> None:
    code, said = harness("show", "-s", written(tmp_path, name=name))
    assert code == 2
    assert f"cannot be called {name}" in said
    assert "rename the file" in said


def test_a_report_is_written_to_a_file_and_not_to_a_folder(finished: FinishedRun, tmp_path: Path) -> None:
    code, said = harness("report", "-s", "tiny", "--runs", finished.runs, "--to", tmp_path)
    assert code == 2
    assert f"{tmp_path} is a folder; name a file, such as {tmp_path / 'report.html'}" in said


def test_a_wrong_study_is_told_with_everything_that_is_wrong(tmp_path: Path) -> None:
    content = tiny(training__epochs=0, search__trials="many", arms=[{"method": {"name": "ksna"}}])
    path = written(tmp_path, content)
    for command in ("search", "show"):
        code, said = harness(command, "--study", path)
        assert code == 2
        for field in ("training.epochs", "search.trials", "arms[0].method"):
            assert any(re.match(rf".*tiny\.yaml:\d+: {re.escape(field)} ", line) for line in said.splitlines()), said
        assert "did you mean ksan?" in said
        assert "Traceback" not in said
    code, checked = harness("check", path)
    assert code == 2
    assert checked.splitlines() == said.splitlines()


def test_check_tells_good_files_from_wrong_ones(tmp_path: Path) -> None:
    good, wrong = written(tmp_path, name="good"), written(tmp_path, tiny(question=""), name="wrong")
    code, said = harness("check", good, wrong)
    assert code == 2
    assert f"{good}: good" in said
    assert f"{wrong}:1: question" in said


@pytest.mark.parametrize(
    "line",
    [
        ["search"],
        ["search", "-s", "digits_resnet", "--runner", "spark"],
        ["search", "-s", "digits_resnet", "--workers", "0"],
        ["search", "-s", "digits_resnt"],
        ["show", "-s", "nowhere/at_all.yaml"],
        ["list", "everything"],
        ["reproduce"],
        ["frobnicate"],
    ],
)
def test_a_wrong_command_line_is_a_wrong_spec(line: list[str]) -> None:
    code, said = harness(*line)
    assert code == 2
    assert "Traceback" not in said


def test_a_misspelt_study_is_met_with_the_right_one() -> None:
    assert "did you mean digits_resnet?" in harness("show", "-s", "digits_resnt")[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_study_that_needs_a_gpu_says_so_and_writes_nothing(tmp_path: Path) -> None:
    code, said = harness("search", "-s", "cifar100_resnet", "--runs", tmp_path / "runs")
    assert code == 3
    assert "--device cpu" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_asked_for_must_be_there(finished: FinishedRun, tmp_path: Path) -> None:
    line = ["search", "-s", finished.study, "--runs", tmp_path / "runs", "--runner", "inline", "--device", "cuda"]
    assert harness(*line)[0] == 3


def test_torn_data_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    (folder / "train" / "class2" / "011.png").write_bytes(b"torn")
    path = written(tmp_path, tiny(data={"name": "folder", "path": "set", "validation": 3}))
    line = ["search", "-s", path, "--runs", tmp_path / "runs", "--data-root", tmp_path / "data", "--runner", "inline"]
    code, said = harness(*line)
    assert code == 2
    assert "train/class2/011.png is no whole image" in said
    assert not list(tmp_path.glob("runs/*/trials/*"))


@pytest.mark.parametrize(("digits", "expected"), [("ffffffffffffffff", 3), ("ab", 2), ("", 2)])
def test_an_unknown_trial_is_something_missing_and_too_few_digits_are_wrong(
    digits: str, expected: int, finished: FinishedRun
) -> None:
    code, said = harness("reproduce", digits, "--runs", finished.runs)
    assert code == expected
    assert digits in said
    assert "digits" in said or expected == 3


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["leaderboard", "--runs", "~nobody_here/x"], "begins with a home folder that is not here"),
        (["leaderboard", "--runs", __file__], "is a file; name a folder"),
        (["reproduce", "ffffffff", "--data-root", "~nobody_here/x"], "begins with a home folder that is not here"),
        (["check", str(Path(__file__).parent)], "tests: is a folder; name a YAML file"),
    ],
)
def test_a_place_that_cannot_be_meant_is_told(line: list[str], told: str) -> None:
    code, said = harness(*line)
    assert code == 2
    assert told in said


def test_runs_may_lie_below_the_home_folder(finished: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(finished.runs.parent))
    assert harness("leaderboard", "--runs", f"~/{finished.runs.name}")[0] == 0


def test_more_threads_than_cores_are_something_missing(tmp_path: Path) -> None:
    path = written(tmp_path, tiny(resources__cpus_per_trial=1024))
    code, said = harness("search", "-s", path, "--runs", tmp_path / "runs", "--runner", "inline")
    assert code == 3
    assert "1024 threads a trial (resources.cpus_per_trial)" in said
    assert not (tmp_path / "runs").exists()


def test_other_peoples_code_that_ends_the_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network in a study is that network's problem; any other call to exit is no broken pipe."""
    (tmp_path / "ending_nets.py").write_text("import sys\ndef net(channels, classes): sys.exit(7)\n")
    monkeypatch.syspath_prepend(tmp_path)
    student = {"name": "python", "callable": "ending_nets:net"}
    path = written(tmp_path, tiny(pairs=[{"teacher": student, "students": [dict(student)]}]))
    code, said = harness("check", path)
    assert code == 2
    assert (
        "pairs[0].students[0] is refused: net cannot be built without memory: it ends the program: SystemExit 7" in said
    )
    monkeypatch.setattr("harness.study.checking.check_files", lambda files: sys.exit(7))
    code, said = harness("check", path)
    assert code == 2
    assert "other people's code ended the program (SystemExit 7)" in said


def test_a_search_that_confirms_nothing_has_failed(tmp_path: Path) -> None:
    collapsing = {"name": "ksan", "attention": {"pretraining": {"steps": 2, "least_spread": 1000}}}
    content = tiny(arms=[{"method": collapsing}], search__failures=1, search__trials=1)
    path = written(tmp_path, content)
    code, said = harness("search", "-s", path, "--runs", tmp_path / "runs", "--runner", "inline")
    assert code == 4
    assert re.search(r"no student could be confirmed: of \d trials, \d failed; mend what failed", said)
    assert re.search(r"\d × CollapsedError: ", said)
    assert "report: " in said


@pytest.mark.parametrize(
    "line", [["report", "-s", "other"], ["leaderboard", "-s", "other"], ["leaderboard", "--runs", "nowhere"]]
)
def test_a_run_that_is_not_there_is_something_missing(line: list[str], finished: FinishedRun) -> None:
    places = [] if "--runs" in line else ["--runs", finished.runs]
    code, said = harness(*line, *places)
    assert code == 3
    assert "harness search" in said


def test_a_study_whose_name_has_a_dot_is_found_again(finished: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished.store.root, tmp_path / "resnet.v2")
    for name in ("resnet.v2", "resnet.v2.yaml", "studies/resnet.v2.yaml"):
        code, said = harness("leaderboard", "-s", name, "--runs", tmp_path)
        assert code == 0, said


def test_too_many_failures_have_an_exit_code_of_their_own(tmp_path: Path) -> None:
    collapsing = {"name": "ksan", "attention": {"pretraining": {"steps": 2, "least_spread": 1000}}}
    path = written(tmp_path, tiny(arms=[{"method": collapsing}], search__failures=0))
    code, said = harness("search", "-s", path, "--runs", tmp_path / "runs", "--runner", "inline")
    assert code == 4
    assert "CollapsedError" in said


def test_a_changed_study_is_refused_as_a_wrong_spec(finished: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished.store.root, tmp_path / "runs" / "tiny")
    path = written(tmp_path, tiny(training__epochs=3))
    code, said = harness("search", "-s", path, "--runs", tmp_path / "runs", "--runner", "inline")
    assert code == 2
    assert "training.epochs: 2 → 3" in said


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    line = [sys.executable, "-c", "from harness.cli import main; main()", "--debug", "show", "-s", "nowhere.yaml"]
    told = subprocess.run(line, check=False, capture_output=True, text=True, cwd=ROOT)
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert "SpecError" in told.stderr


# Names that look like markup.


def test_names_reach_the_terminal_as_they_were_written(finished: FinishedRun, tmp_path: Path) -> None:
    board = harness("leaderboard", "--runs", finished.runs)[1]
    assert LABEL in board
    assert QUESTION in harness("show", "-s", finished.study)[1]
    assert QUESTION in finished.output
    runs = shutil.copytree(finished.runs, tmp_path / "runs")  # reproducing adds to the ledger of looks
    assert LABEL in harness("reproduce", confirmed_of(finished, LABEL), "--runs", runs)[1]
    assert "\x1b" not in board  # no colour where there is no terminal


def confirmed_of(finished: FinishedRun, arm: str) -> str:
    return next(t.trial_id for t in finished.store.trials() if t.purpose == "confirmation" and t.arm == arm)


def test_names_reach_the_page_as_text(finished: FinishedRun) -> None:
    page = (finished.store.root / "report.html").read_text(encoding="utf-8")
    assert QUESTION not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "[red]squeezing[/red]" in page
    assert LABEL not in page
    assert LABEL.replace("<", "&lt;").replace(">", "&gt;") in page
    assert "</script>ksan" not in page


def test_a_run_can_be_read_by_anyone(finished: FinishedRun) -> None:
    """Plain Parquet, JSON and YAML: nothing of the harness is needed."""
    assert json.loads((finished.store.root / "study.json").read_text())["question"] == QUESTION
    assert (finished.store.root / "study.yaml").read_text() == finished.study.read_text()
    assert sum(pq.read_table(path).num_rows for path in finished.store.root.glob("trials/*.parquet")) == TRIALS
    assert Store(finished.store.root).damaged == []


# What the documents say.

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/record.md")


def command_lines(document: str) -> list[list[str]]:
    """Every `harness …` of a document's shell blocks, as words."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True)
        for index, word in enumerate(words):
            if word == "harness" or word.endswith("/harness"):
                rest = words[index + 1 :]
                end = next((i for i, one in enumerate(rest) if one in {"&&", "|", ";", "||", ">", "&"}), len(rest))
                found.append(rest[:end])
                break
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_line_of_the_documents_parses(document: str) -> None:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for words in command_lines(document):
        name, *rest = [word for word in words if word not in {"--debug", "--help"}] or [""]
        assert name in commands or words == ["--help"], f"{document}: harness {shlex.join(words)}"
        if "--help" not in words:
            commands[name].make_context(name, rest)  # raises where an option or a value is unknown


def test_the_readme_shows_how_to_search() -> None:
    assert "search" in [words[0] for words in command_lines("README.md")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_study_of_the_documents_is_good(document: str, tmp_path: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for index, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)):
        if "question:" in block:
            path = tmp_path / f"{index}.yaml"
            path.write_text(block, encoding="utf-8")
            load_study(str(path))
