"""The map of the house: a file imports only from lower floors, and rooms on one floor ignore each other.

8  cli.py
7  commands/
6  search/
5  study/
4  train/   report/
3  distill/ analysis/
2  models/
1  data/    store/
0  source.py spec.py record.py files.py literal.py
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import get_args

import pytest

import harness

PACKAGE = Path(harness.__file__).parent

FLOORS = {
    "source": 0,
    "spec": 0,
    "record": 0,
    "files": 0,
    "literal": 0,
    "data": 1,
    "store": 1,
    "models": 2,
    "distill": 3,
    "analysis": 3,
    "train": 4,
    "report": 4,
    "study": 5,
    "search": 6,
    "commands": 7,
    "cli": 8,
}
MAKING = {"data", "models", "distill", "train", "study", "search"}
TELLING = {"store", "analysis", "report"}
WEIGHS = "harness.analysis.importance"
"""The one file of the telling tower that imports Optuna, inside its functions."""
HEAVY = {"torch", "torchvision", "numba", "ray", "optuna", "pandas", "plotly", "pyarrow", "duckdb", "sklearn", "scipy"}


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file of every module of the package that is not empty."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py" and "shipped" not in path.parts
    }


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, everywhere: bool = True) -> Iterator[str]:
    """The modules that a file imports: also inside functions and for types, or at the top level alone."""
    tree = _tree(path)
    for node in ast.walk(tree) if everywhere else _run_on_import(tree.body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            yield from (
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in modules() else node.module
                for alias in node.names
            )


def _run_on_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_for_types:
            yield node
            yield from _run_on_import([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])


def room(module: str) -> str | None:
    """The room of one of our modules, or None for somebody else's."""
    parts = module.split(".")
    return parts[1] if parts[0] == "harness" and len(parts) > 1 else None


def top(module: str) -> str:
    return module.partition(".")[0]


def loaded_by(module: str) -> set[str]:
    """What is loaded once a module was imported in a fresh interpreter."""
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {top(name) for name in done.stdout.split()} | set(done.stdout.split())


def test_every_module_is_on_a_floor() -> None:
    assert {room(module) for module in modules()} == set(FLOORS)


def test_packages_run_nothing_of_their_own() -> None:
    packages = [path for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    bodies = {path: ast.parse(path.read_text(encoding="utf-8")).body for path in packages}
    assert [str(path) for path, body in bodies.items() if [type(part) for part in body] not in ([], [ast.Expr])] == []


def test_the_roster_names_every_method() -> None:
    import harness.distill
    from harness.distill.catalog import AnyMethod

    roster = {line.split()[0] for line in str(harness.distill.__doc__).splitlines() if line.strip()}
    assert {kind.model_fields["name"].default for kind in get_args(get_args(AnyMethod)[0])} <= roster


@pytest.mark.parametrize("module", modules())
def test_a_file_imports_only_from_lower_floors(module: str) -> None:
    own = room(module)
    assert own is not None
    for imported in imports(modules()[module]):
        other = room(imported)
        if other is None or other == own or (imported == "harness"):
            continue
        is_below = FLOORS[other] < FLOORS[own]
        is_beside_on_the_ground = FLOORS[other] == FLOORS[own] == 0
        assert is_below or is_beside_on_the_ground, f"{module} (floor {FLOORS[own]}) imports {imported}"


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {
        module: {imported for imported in imports(path) if imported in modules() and imported != module}
        for module, path in modules().items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))
    assert set(order) == set(graph)


@pytest.mark.parametrize("module", [module for module in modules() if room(module) in TELLING])
def test_the_telling_tower_knows_records_and_not_how_they_are_made(module: str) -> None:
    for imported in imports(modules()[module]):
        barred = {"torch", "torchvision", "ray", *(["optuna"] if module != WEIGHS else [])}
        assert top(imported) not in barred, f"{module} imports {imported}"
        assert room(imported) not in MAKING, f"{module} imports {imported}"


@pytest.mark.parametrize("module", [module for module in modules() if room(module) in MAKING])
def test_the_making_tower_tells_nothing(module: str) -> None:
    for imported in imports(modules()[module]):
        assert room(imported) not in {"analysis", "report"}, f"{module} imports {imported}"


@pytest.mark.parametrize(("library", "file"), [("ray", "harness.search.ray_tune"), ("numba", "harness.models.kernels")])
def test_one_file_imports_it(library: str, file: str) -> None:
    assert [m for m, path in modules().items() if library in map(top, imports(path))] == [file]


def test_optuna_stays_in_the_search_and_where_it_weighs_hyper_parameters() -> None:
    users = {m for m, path in modules().items() if "optuna" in map(top, imports(path))}
    assert {m for m in users if room(m) != "search"} == {WEIGHS}


def test_what_weighs_hyper_parameters_loads_optuna_when_asked_and_never_torch() -> None:
    assert loaded_by(WEIGHS) & {"torch", "ray", "optuna", "sklearn"} == set()
    assert loaded_by("optuna.importance") & {"torch", "ray"} == set()


COMMANDS = [path for path in sorted((PACKAGE / "commands").glob("*.py")) if path.stem != "verifying"]
"""All but what `verify` imports once it computes."""


@pytest.mark.parametrize("path", [PACKAGE / "cli.py", *COMMANDS], ids=lambda path: path.stem)
def test_the_command_line_imports_nothing_heavy_at_its_top(path: Path) -> None:
    found = set(imports(path, everywhere=False))
    assert {top(module) for module in found} & HEAVY == set()
    assert {room(module) for module in found} <= {None, "source", "spec", "record", "commands"}


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("harness.cli") & HEAVY == set()


@pytest.mark.parametrize(
    "module",
    [
        *("harness.report.page", "harness.report.leaderboard", "harness.store.query"),
        *("harness.report.publishing", "harness.report.integrity", "harness.report.versus", "harness.commands.record"),
    ],
)
def test_a_report_needs_neither_torch_nor_ray(module: str) -> None:
    assert loaded_by(module) & {"torch", "ray", "optuna", "sklearn", "torchvision"} == set()


def test_a_study_is_planned_without_ray_and_optuna() -> None:
    assert loaded_by("harness.study.plan") & {"ray", "optuna"} == set()


def test_environment_variables_are_read_by_the_command_line_alone() -> None:
    readers = [
        module
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert set(readers) <= {"harness.cli"}, readers


def test_the_walk_sees_what_it_is_to_see(tmp_path: Path) -> None:
    offender = tmp_path / "x.py"
    offender.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "try:\n    import ray.tune\nexcept ImportError:\n    pass\n"
        "def f():\n    from harness.search import ray_tune\n"
    )
    assert list(imports(offender)) == ["typing", "pandas", "ray.tune", "harness.search.ray_tune"]
    assert list(imports(offender, everywhere=False)) == ["typing", "ray.tune"]
