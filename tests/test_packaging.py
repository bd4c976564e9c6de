"""What ships: the package with its studies, spaces and page, and pins that fit what it asks for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] not in "#"]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the wheel; its builder comes from the package registry."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        built = subprocess.run(
            [*pip, "--wheel-dir", str(folder), str(ROOT)], check=False, capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        pytest.skip("no answer from a package registry")
    if built.returncode and re.search(r"hatchling|No module named pip|connection|index", built.stderr, re.IGNORECASE):
        pytest.skip("no package registry that has hatchling")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", ["studies", "search_spaces"])
def test_the_wheel_ships_every_study_and_space(folder: str, shipped: set[str]) -> None:
    here = {path.name for path in (ROOT / folder).glob("*.yaml")}
    assert here
    assert {f"harness/shipped/{folder}/{name}" for name in here} <= shipped


def test_the_wheel_ships_the_whole_package_and_nothing_beside_it(shipped: set[str]) -> None:
    tracked = subprocess.run(["git", "ls-files", "harness"], cwd=ROOT, check=False, capture_output=True, text=True)
    if tracked.returncode == 0:
        assert set(tracked.stdout.split()) <= shipped
    assert "harness/report/web/report.html.j2" in shipped
    assert {name.split("/")[0].partition("-")[0] for name in shipped} == {"harness", "ksan_harness"}
    assert any(name.endswith("entry_points.txt") for name in shipped)
    assert any(name.endswith("LICENSE") for name in shipped)


def test_constraints_are_names_and_versions_alone() -> None:
    """No address of a registry or of a file: whoever installs decides where from."""
    for line in PINS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_constraints_are_told_once_each() -> None:
    names = [canonicalize_name(line.partition("==")[0]) for line in PINS]
    assert len(set(names)) == len(names)


def test_every_dependency_is_pinned_to_a_version_that_it_allows() -> None:
    pinned = {canonicalize_name(name): Version(version) for name, _, version in (pin.partition("==") for pin in PINS)}
    asked = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not in constraints.txt"
        assert pinned[name] in requirement.specifier, f"{name} {pinned[name]} is not {requirement.specifier}"
