"""Tells what there is and what a study comes to, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.data.catalog import AnyDataset
from harness.data.dataset import Dataset
from harness.distill.catalog import AnyMethod
from harness.models.architecture import Architecture
from harness.models.catalog import AnyArchitecture
from harness.models.pairing import PairedTap
from harness.source import SpecError, read_yaml, shown
from harness.study.domains import Value
from harness.study.forecast import CellForecast
from harness.study.plan import Plan, predicted_seconds
from harness.study.samplers import Sampler
from harness.study.shelf import Kind, everything
from harness.study.study import Budget, Search
from harness.train.account import machine
from harness.train.cost import activation_bytes, latency, size


def print_plan(plan: Plan, console: Console, workers: int) -> None:
    """The plan of a study: teachers, cells with their sizes and runs, and the predicted cost."""
    spec, confirm = plan.study.spec, plan.study.spec.confirm
    console.print(Text(f"{plan.study.name}: {spec.question}", style="bold"))
    console.print(
        Text(
            f"data {spec.data.name}: {spec.data.train_count} train, {spec.data.validation} validation "
            f"(split seed {spec.data.split_seed}); {spec.training.epochs} epochs, batch {spec.training.batch_size}"
        )
    )
    _print_networks(plan, console)
    table = Table("teacher", "student", "arm", "searched", "runs", "s/run", box=None, padding=(0, 1))
    for column in table.columns[3:]:
        column.justify = "right"
    for trial in plan.teachers:
        runs, seconds = "1" if trial.has_epochs else "0", predicted_seconds(trial)
        table.add_row(*map(Text, ["–", trial.student.label, "teacher", "", runs, f"{seconds:.3g}"]), style="dim")
    for cell in plan.cells:
        teacher = cell.base.teacher.network.label if cell.base.teacher else "–"
        names = [teacher, cell.base.student.label, cell.arm.name]
        numbers = [str(len(cell.space)), str(plan.runs(cell)), f"{predicted_seconds(cell.base):.3g}"]
        table.add_row(*map(Text, [*names, *numbers]))
    console.print(table)
    _print_taps(plan, console)
    console.print(
        Text(
            f"search: up to {spec.search.trials} configs × {spec.search.replicates} seeds a row, by "
            f"{_settings(spec.search.sampler)}; confirmation: best {confirm.best} × {len(confirm.seeds)} fresh seeds, "
            f"the only reading of the test split"
        )
    )
    for line in (*_limits(plan), *_stopping(spec.search), *_budget(spec.search.budget)):
        console.print(Text(line))
    seconds = plan.predicted_seconds
    console.print(
        Text(
            f"{'at most ' if spec.search.can_end_early else ''}{plan.trial_count} trials; predicted "
            f"{_duration(seconds)} of training on one core, "
            f"{_duration(seconds / workers)} on {workers} (to within a factor of two)"
        )
    )


def print_forecast(
    forecasts: Iterable[CellForecast], console: Console, workers: int, share: float, price: float | None
) -> None:
    """What a pilot measured, cell by cell, and what the study comes to; a worker takes a share of a device."""
    table = Table("teacher", "student", "arm", "pack", "MiB", "ms/step", "s/run", "runs", "s in all")
    table.box, table.padding = None, (0, 1)
    for column in table.columns[3:]:
        column.justify = "right"
    total = 0.0
    for one in forecasts:
        low, high = (f"{1e3 * seconds:.2g}" for seconds in one.step_seconds)
        numbers = [str(one.together), f"{one.peak_bytes / 2**20:,.0f}", low if low == high else f"{low}–{high}"]
        spent = [f"{one.trial_seconds:.3g}", str(one.runs), f"{one.seconds:.0f}"]
        table.add_row(*map(Text, [one.teacher or "–", one.student, one.arm, *numbers, *spent]))
        total += one.seconds
    console.print(table)
    hours = total * share / 3600
    money = f", and costs {price * hours:,.2f} at {price:g} an hour of one device or core" if price is not None else ""
    told = f"training takes {_duration(total)} by one worker, {_duration(total / workers)} by {workers}{money}"
    console.print(Text(f"{told}; measured on {machine()}; evaluation and starts come on top"))


def _settings(sampler: Sampler) -> str:
    """A sampler with its settings: `nsga2 (population 16)`."""
    named = (f"{name} {value}" for name, value in sampler.model_dump(exclude={"name"}, exclude_none=True).items())
    return f"{sampler.name} ({said})" if (said := ", ".join(named)) else sampler.name


def _limits(plan: Plan) -> Iterator[str]:
    """What of the spaces is searched only at times, what is tried first, and what is never trained."""
    spec = plan.study.spec
    conditional = [(path, domain.when) for cell in plan.cells for path, domain in cell.space.items() if domain.when]
    yield from dict.fromkeys(f"searched: {path} only where {_holding(when)}" for path, when in conditional)
    if known := [f"{arm.name} {len(arm.known)}" for arm in spec.arms if arm.known]:
        yield f"known points, tried after the defaults: {', '.join(known)}"
    if spec.constraints:
        limits = " and ".join(map(str, spec.constraints))
        yield f"constraints: {limits}; a proposal that violates one is neither trained nor counted"
    if spec.objectives.size == "latency":
        yield "latency is measured on each trial's device before it trains; run nothing else there"


def _holding(when: Mapping[str, Sequence[Value]]) -> str:
    return " and ".join(f"{path} is {' or '.join(map(shown, values))}" for path, values in when.items())


def _stopping(search: Search) -> Iterator[str]:
    """What of a config is trained before it may be given up."""
    rule = search.stopping
    if rule:
        shares = ", ".join(f"{share:.0%}" for share in rule.rungs if share < 1 or search.replicates > 1)
        whom = (
            "none larger"
            if rule.compare == "dominance"
            else f"those of 1/{rule.band:g} to {rule.band:g} times its size"
        )
        yield f"stopping: after {shares} of its first seed a config goes on if among the best {rule.keep:.0%} of {whom}"


def _budget(budget: Budget) -> Iterator[str]:
    """What else ends the search."""
    limits = {
        "epochs a row": budget.epochs,
        "hours of devices in all": budget.device_hours,
        "hours on the wall in all": budget.wall_hours,
    }
    said = [f"{limit:g} {unit}" for unit, limit in limits.items() if limit is not None]
    if said:
        yield f"budget: the search ends after {' or '.join(said)}; every row's defaults and its confirmation are run"


def _print_networks(plan: Plan, console: Console) -> None:
    """What each network weighs, known before anything trains."""
    table = Table("network", "params", "MACs", "activations", box=None, padding=(0, 1))
    for column in table.columns[1:]:
        column.justify = "right"
    for network, data in _networks(plan):
        weighed = size(network, data.shape, data.classes)
        kept = _bytes(activation_bytes(network, data.shape, data.classes))
        table.add_row(*map(Text, [network.label, f"{weighed.params:,}", f"{weighed.macs:,}", kept]))
    console.print(table)
    console.print(Text("multiply-adds and activations kept for the backward pass are of one image\n", style="dim"))


def _networks(plan: Plan) -> list[tuple[Architecture, Dataset]]:
    """Teachers and students, each with the data that it sees, none twice."""
    trials = [*plan.teachers, *(cell.base for cell in plan.cells)]
    return list({(trial.student.id, trial.data.id): (trial.student, trial.data) for trial in trials}.values())


def _bytes(count: int) -> str:
    for unit, whole in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= whole:
            return f"{count / whole:.3g} {unit}"
    return f"{count} B"


def print_latency(plan: Plan, console: Console, device: torch.device) -> None:
    """Measures the teachers and students on a device, for one image and for a batch; takes the time to run."""
    table = Table("network", "images", "ms", "quartiles", "passes", box=None, padding=(0, 1))
    for column in table.columns[1:]:
        column.justify = "right"
    for network, data in _networks(plan):
        for batch in (1, plan.study.spec.training.batch_size):
            found = latency(network, data.shape, data.classes, device, batch)
            quartiles = f"{found.lower_quartile * 1e3:.3g}–{found.upper_quartile * 1e3:.3g}"
            row = [network.label, str(batch), f"{found.median * 1e3:.3g}", quartiles, str(found.passes)]
            table.add_row(*map(Text, row))
    console.print(table)
    threads = f", threads: {torch.get_num_threads()}" if device.type == "cpu" else ""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    console.print(Text(f"forward pass in 32 bits on {name}{threads}; median and quartiles of single passes"))


def _print_taps(plan: Plan, console: Console) -> None:
    """What each pair's student learns from where, a line a pair."""
    pairs: dict[str, dict[str, list[str]]] = {}
    for cell in plan.cells:
        if taps := cell.base.taps:
            assert cell.base.teacher is not None
            pair = pairs.setdefault(f"{cell.base.teacher.network.label} → {cell.base.student.label}", {})
            pair.setdefault(", ".join(map(_tap, taps)), []).append(cell.arm.name)
    for pair_label, arms in pairs.items():
        told = (f"{taps_of_arms} ({', '.join(names)})" for taps_of_arms, names in arms.items())
        console.print(Text(f"taps {pair_label}: {'; '.join(told)}"))


def _tap(tap: PairedTap) -> str:
    if not tap.is_resized:
        return tap.name
    ours, theirs = (f"{shape[1]}×{shape[2]}" for shape in (tap.student_shape, tap.teacher_shape))
    return f"{tap.name} [{ours} learns from {theirs}]"


def _duration(seconds: float) -> str:
    for unit, whole in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * whole:
            return f"{seconds / whole:,.1f} {unit}"
    return f"{seconds:.0f} seconds"


def print_shelf(shelf: str, console: Console) -> None:
    """What a study can name, of one sort."""
    console.print(Text(shelf, style="bold"))
    table = Table.grid(padding=(0, 2))
    for name, says in _CONTENTS[shelf]():
        table.add_row(Text(f"  {name}"), Text(says))
    console.print(table)


def _files(kind: Kind) -> list[tuple[str, str]]:
    return [(name, _first_words(kind, name)) for name in everything(kind)]


def _first_words(kind: Kind, name: str) -> str:
    try:
        content = read_yaml(everything(kind)[name]).content
    except SpecError as error:
        return f"(wrong: {error.problems[0].message})"
    return str(content.get("question") or ", ".join(path.rpartition(".")[2] for path in content))


def _components(union: Any) -> list[tuple[str, str]]:
    """Name and first sentence of each member of a union of specs."""
    union = get_args(union)[0] if get_args(union) else union
    members = get_args(union) or (union,)
    return [(member.model_fields["name"].default, (member.__doc__ or "").partition("\n")[0]) for member in members]


_CONTENTS = {
    "studies": lambda: _files("studies"),
    "spaces": lambda: _files("search_spaces"),
    "samplers": lambda: _components(Sampler),
    "methods": lambda: _components(AnyMethod),
    "models": lambda: _components(AnyArchitecture),
    "datasets": lambda: _components(AnyDataset),
}
