"""Third parties: what their entry points add is used like our own, and a broken one stops nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import TypeAdapter

from harness.spec import Spec, one_of
from harness.store.parquet import Store
from tests.studies import tiny, written

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "tests" / "plugin"


def with_plugins(*line: str, folders: tuple[Path, ...] = (PLUGIN,)) -> subprocess.CompletedProcess[str]:
    """A Python process that finds these folders, as if their packages were installed."""
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    return subprocess.run(
        [sys.executable, *line],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
    )


def harness(*line: str, folders: tuple[Path, ...] = (PLUGIN,)) -> subprocess.CompletedProcess[str]:
    """A command line where these folders' packages are installed."""
    return with_plugins("-c", "from harness.cli import main; main()", *line, folders=folders)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study on a third party's data, with its networks and its method, beside our own."""
    content = tiny(
        data={"name": "bars"},
        pairs=[{"teacher": {"name": "plain", "width": 8}, "students": [{"name": "plain", "width": 2}]}],
        arms=[
            {"method": {"name": "scratch"}},
            {"method": {"name": "soft_l1", "weight": 2}, "space": {"method.temperature": {"float": [1, 4]}}},
        ],
        search__replicates=1,
    )
    return written(tmp_path, content, "third_party")


def test_a_third_partys_study_is_checked_and_run(study: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(study.read_text().replace("weight: 2", "weight: -2"))
    checked = harness("check", str(study), str(wrong))
    assert (checked.returncode, checked.stderr) == (2, "")
    assert f"{study}: good" in checked.stdout
    assert "arms[1].method.weight -2 is too small; it must be at least 0" in checked.stdout
    ran = harness("search", "-s", str(study), "--runs", str(tmp_path / "runs"), "--runner", "inline")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    trials = Store(tmp_path / "runs" / "third_party").trials()
    assert {(trial.method, trial.dataset, trial.student) for trial in trials if trial.purpose == "confirmation"} == {
        ("scratch", "bars", "plain-w2"),
        ("soft_l1", "bars", "plain-w2"),
    }
    assert {trial.status for trial in trials} == {"completed"}


def test_third_parties_are_under_contract() -> None:
    names = ("soft_l1", "plain", "bars")
    told = with_plugins("-m", "pytest", "-vv", "tests/contract", "-k", " or ".join(names), "-p", "no:cacheprovider")
    assert told.returncode == 0, told.stdout
    assert all(f"[{name}] PASSED" in told.stdout for name in names)


BROKEN = """
from typing import Literal
from harness.distill.method import Method
from harness.distill.scratch import Scratch

class Loose(Scratch):
    name: str = "loose"

class Taken(Scratch):
    name: Literal["kd"] = "kd"

class Unfinished(Method):
    name: Literal["unfinished"] = "unfinished"
"""


def test_a_broken_one_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "broken_plugin.py").write_text(BROKEN)
    points = {
        "absent": "nowhere_at_all:Method",
        "nameless": "broken_plugin:Nothing",
        "stranger": "pathlib:Path",
        "loose": "broken_plugin:Loose",
        "taken": "broken_plugin:Taken",
        "unfinished": "broken_plugin:Unfinished",
    }
    reasons = {
        "absent": "ModuleNotFoundError: No module named 'nowhere_at_all'",
        "nameless": "AttributeError",
        "stranger": "it is no subclass of harness.distill.method.Method",
        "loose": 'Loose has no field `name: Literal["…"] = "…"`',
        "taken": 'the name "kd" is taken; choose another',
        "unfinished": "Unfinished does not define loss_weights, losses",
    }
    info = tmp_path / "broken_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[harness.methods]", *lines]))
    told = harness("list", folders=(tmp_path, PLUGIN))
    assert told.returncode == 0, told.stderr
    for shelf in ("  soft_l1 ", "  plain ", "  bars ", "  kd ", "  resnet ", "  digits "):
        assert shelf in told.stdout
    warned = {line.split()[3]: line for line in told.stderr.splitlines()}
    assert warned.keys() == points.keys()
    for name, line in warned.items():
        assert line.startswith(f"left out: harness.methods {name} of broken-plugin ({points[name]}): ")
        assert reasons[name] in line


def test_the_one_that_is_named_first_keeps_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two distributions of one name for two things: the order of installation decides nothing."""
    for letter in "ba":
        (tmp_path / f"{letter}.dist-info").mkdir()
        (tmp_path / f"{letter}.dist-info" / "METADATA").write_text(f"Name: dist-{letter}\nVersion: 1\n")
        text = f"[tests.twins]\n{letter} = tests.test_plugins:Twin{letter.upper()}\n"
        (tmp_path / f"{letter}.dist-info" / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    union = TypeAdapter(one_of([One, Two], "tests.twins"))
    assert isinstance(union.validate_python({"name": "twin"}), TwinA)
    assert 'tests.twins b of dist-b (tests.test_plugins:TwinB): ValueError: the name "twin"' in capsys.readouterr().err


class One(Spec):
    name: Literal["one"] = "one"


class Two(Spec):
    name: Literal["two"] = "two"


class TwinA(Spec):
    name: Literal["twin"] = "twin"


class TwinB(Spec):
    name: Literal["twin"] = "twin"
