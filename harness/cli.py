"""The command line. Heavy rooms are imported inside the commands, so that `--help` is instant.

Exit codes: 0 done · 1 not reproduced, verified or comparable · 2 a wrong spec or command line · 3 something missing
on this machine · 4 too many failed trials · 130 interrupted · 141 nobody reads the output any more.
"""

from __future__ import annotations

import atexit
import io
import math
import os
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from harness.commands.comparing import compare, diff
from harness.commands.exporting import export
from harness.commands.piloting import fly_pilot
from harness.commands.places import DATA, RUNS, DataRoot, Runs, RunsOrUrl, StudyName, here, run_folder
from harness.commands.record import publish, verify
from harness.commands.told import told
from harness.source import MissingError, UserError

if TYPE_CHECKING:
    from harness.search.ray_tune import Cluster
    from harness.search.runner import Runner
    from harness.store.parquet import Store
    from harness.study.plan import Plan

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Search and benchmark the compression of image classifiers with KSAN and its rivals.",
)

RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed",  # a thousand characters, of what is mended anyway
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray runs workers at nice 15 otherwise
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files a trial
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own waits for a long epoch
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "5",  # seconds within which an existing cluster must answer
}
"""Read by Ray when it is imported, so it is set here, before anything imports it."""
RAY_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""On every system, whatever its name says: Ray takes 127.0.0.1 for the machine's address, and listens nowhere else."""


class Device(StrEnum):
    """Where trials run; `auto` follows the study's `resources.gpus_per_trial`."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class RunnerName(StrEnum):
    """Who runs the trials."""

    RAY = "ray"
    INLINE = "inline"


class ReportFormat(StrEnum):
    """What a report is written as."""

    HTML = "html"
    PNG = "png"
    SVG = "svg"
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


class Shelf(StrEnum):
    """What `list` can list."""

    STUDIES = "studies"
    SPACES = "spaces"
    SAMPLERS = "samplers"
    METHODS = "methods"
    MODELS = "models"
    DATASETS = "datasets"


DeviceOption = Annotated[Device, typer.Option(help="Where trials run.")]

LOOKS = 2.0
"""Seconds between two looks of `status --watch`."""


@app.callback()
def common(
    context: typer.Context, debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False
) -> None:
    """Search and benchmark the compression of image classifiers with KSAN and its rivals."""
    context.obj = debug
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what repeatable products on a GPU ask for


@app.command()
def search(
    context: typer.Context,
    study: StudyName,
    runs: Runs = RUNS,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials at a time; as many as fit by default.")] = None,
    runner: Annotated[RunnerName, typer.Option(help="Ray's processes, or this process alone.")] = RunnerName.RAY,
    device: DeviceOption = Device.AUTO,
    data_root: DataRoot = DATA,
    storage: Annotated[
        str | None, typer.Option(help="URL that the run is kept at (s3://BUCKET/PREFIX).", show_default=False)
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster: auto, or HOST:PORT.", show_default=False)
    ] = None,
    node_folder: Annotated[
        Path | None,
        typer.Option(
            help="With --address: where nodes keep data and teachers, apart from the driver's.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a study: teachers, search, confirmation, report. The same command again continues."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # Ray's sockets break whenever a worker dies
    with told(context):
        from harness.report.leaderboard import print_front, print_leaderboard
        from harness.report.page import write_report
        from harness.search.carry_out import carry_out, fetch_data, refuse_nothing_confirmed
        from harness.search.display import Display
        from harness.store.parquet import Store
        from harness.store.remote import Remote
        from harness.study.plan import plan
        from harness.study.study import load_study

        console = Console()
        planned = plan(load_study(study))
        remote = Remote(f"{storage.rstrip('/')}/{planned.study.name}") if storage else None
        store = Store(runs / planned.study.name, remote)
        cluster = _cluster(address, node_folder, runner)
        if cluster is None:
            _refuse_more_threads(planned)
        settled = _device(device, planned, is_here=cluster is None)
        planned = replace(planned, device=settled)
        if settled == "cuda" and planned.study.spec.resources.gpus_per_trial == "auto":
            planned = _packed(planned, data_root, cluster)
        count = workers or (1 if cluster else _workers(settled, planned))
        runs_trials = _runner(runner, planned, store, settled, workers if cluster else count, data_root, cluster)
        console.print(Text(f"{planned.study.name}: {planned.study.spec.question}", style="bold"))
        display = Display(planned, console, count)
        failed = carry_out(planned, store, runs_trials, display, settled, lambda: fetch_data(planned, data_root))
        for path in store.damaged:
            console.print(Text(f"{path} could not be read; it was set aside and its trial was run again", "yellow"))
        console.print()
        print_front([store.root], console)
        print_leaderboard([store.root], console)
        page = write_report(store.root)  # last: a full disk must not hide what was found
        console.print(Text(f"report: {page}", style="bold"), soft_wrap=True)
        if failed:
            console.print(Text(f"{len(failed)} trials failed; the same command tries them again", style="red"))
        refuse_nothing_confirmed(store)


@app.command()
def show(
    context: typer.Context,
    study: StudyName,
    latency: Annotated[bool, typer.Option("--latency", help="Measure how long an image takes on --device.")] = False,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Train a few steps of each cell's corner configs, and predict from them.")
    ] = False,
    price: Annotated[
        float | None, typer.Option(min=0, help="What an hour of a GPU or a core costs, with --pilot.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    data_root: DataRoot = DATA,
    runs: Annotated[Path, typer.Option(help="Where the run will be; its report shows the pilot's forecast.")] = RUNS,
) -> None:
    """Show what a study comes to: pairs, arms, trials, sizes and predicted cost. Trains nothing, or a few steps."""
    with told(context):
        from harness.study.plan import plan
        from harness.study.study import load_study
        from harness.study.telling import print_latency, print_plan

        if price is not None and not pilot:
            raise UserError("--price is an hour's, and only --pilot knows the hours; add it")
        planned = plan(load_study(study))
        print_plan(planned, Console(), _workers("cpu", planned))
        if latency or pilot:
            import torch

            torch.set_num_threads(planned.study.spec.resources.cpus_per_trial)
            settled = _device(device, planned)
            if latency:
                print_latency(planned, Console(), torch.device(settled))
            if pilot:
                from harness.store.parquet import Store

                on_device = replace(planned, device=settled)
                if settled == "cuda" and planned.study.spec.resources.gpus_per_trial == "auto":
                    on_device = _packed(on_device, data_root, None)
                store = Store(runs / planned.study.name)
                fly_pilot(on_device, data_root, store, _workers(settled, on_device), price)


@app.command()
def check(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Argument(help="YAML files; all that a name can mean by default.")] = None,
) -> None:
    """Validate studies and search spaces; every error with its file, line and remedy."""
    with told(context):
        from harness.study.checking import check_files, everything_here

        checked = check_files(files or everything_here())
        console = Console()
        for path, problems in checked.items():
            if problems:
                for problem in problems:
                    console.print(Text(str(problem)), soft_wrap=True)
            else:
                console.print(Text(f"{path}: good"), soft_wrap=True)
        if any(checked.values()):
            raise typer.Exit(2)


@app.command(name="list")
def list_shelves(
    context: typer.Context,
    what: Annotated[list[Shelf] | None, typer.Argument(help="What to list; everything by default.")] = None,
) -> None:
    """List studies, search spaces, methods, models and data sets."""
    with told(context):
        from harness.study.telling import print_shelf

        console = Console()
        for shelf in what or list(Shelf):
            print_shelf(shelf.value, console)


@app.command()
def status(
    context: typer.Context,
    study: StudyName,
    runs: RunsOrUrl = str(RUNS),
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every two seconds, while it runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Show how a run stands, from another terminal: what runs, what ended, the front so far, the time left."""
    with told(context):
        import json
        import time

        from rich.live import Live

        from harness.report import status as standing
        from harness.store.parquet import Store

        console, store = Console(), Store(run_folder(here(runs), study))
        in_place = Live(console=console, auto_refresh=False) if watch and console.is_terminal and not as_json else None
        with in_place or nullcontext():
            while True:
                found = standing.read_status(store)
                if in_place:
                    in_place.update(standing.shown(found), refresh=True)
                elif as_json:
                    console.out(json.dumps(standing.as_json(found)), highlight=False)
                else:
                    console.print(standing.shown(found))
                if not watch or found.state != "running":
                    break
                try:
                    time.sleep(LOOKS)
                except KeyboardInterrupt:
                    raise typer.Exit(130) from None


@app.command()
def report(
    context: typer.Context,
    study: StudyName,
    runs: RunsOrUrl = str(RUNS),
    form: Annotated[ReportFormat, typer.Option("--format", help="One page; or single figures or tables.")] = (
        ReportFormat.HTML
    ),
    only: Annotated[
        list[str] | None, typer.Option(help="A figure or table by name; all by default.", show_default=False)
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The file or folder to write.", show_default=False)] = None,
) -> None:
    """Write a run's report: one HTML file that needs nothing else, or its figures and tables as files."""
    with told(context):
        folder = run_folder(here(runs), study)
        if form is ReportFormat.HTML:
            if only:
                raise UserError("--only names figures and tables; add --format png, svg, csv, parquet or json")
            from harness.report.page import write_report

            written = [write_report(folder, to)]
        else:
            from harness.report.export import write_exhibits

            written = write_exhibits(folder, form.value, only or (), to)
        for path in written:
            Console().print(Text(f"report: {path}"), soft_wrap=True)


@app.command()
def leaderboard(
    context: typer.Context,
    study: Annotated[list[str] | None, typer.Option("--study", "-s", help="Studies; all runs by default.")] = None,
    runs: RunsOrUrl = str(RUNS),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print the confirmed rows of one or all runs, ranked, each with the command that reproduces it."""
    with told(context):
        from harness.report.leaderboard import leaderboard_markdown, print_leaderboard

        place = here(runs)
        if study:
            folders = [run_folder(place, name) for name in study]
        else:
            folders = sorted(path.parent for path in place.glob("*/study.json"))
        if not folders:
            raise MissingError(f"no runs in {runs}; run `harness search --study digits_resnet` first, or give --runs")
        if markdown:
            sys.stdout.write(leaderboard_markdown(folders))
        else:
            print_leaderboard(folders, Console())


@app.command()
def reproduce(
    context: typer.Context,
    trial_id: Annotated[str, typer.Argument(help="A trial's id, or its first digits.", show_default=False)],
    runs: RunsOrUrl = str(RUNS),
    data_root: DataRoot = DATA,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train the teacher again too.")] = False,
) -> None:
    """Train a recorded trial again, as it was, and compare its numbers with the record's."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a process that reads images may die
    with told(context):
        from harness.search.reproduce import compare, find_trial, note_look, train_again
        from harness.store.parquet import Store
        from harness.store.remote import Remote

        console = Console()
        place = here(runs)
        record = find_trial([place, Path("reports")], trial_id)
        console.print(Text(f"{record.trial_id}: {record.arm} on {record.student}, seed {record.seed}", style="bold"))
        again = train_again(record, place / "cache", data_root, fresh)
        remote = Remote(f"{runs.rstrip('/')}/{record.study}") if "://" in runs else None
        note_look(again, Store(place / record.study, remote))
        if not compare(record, again, console):
            raise typer.Exit(1)


def _device(wanted: Device, plan: Plan, is_here: bool = True) -> str:
    """`cpu` or `cuda`; raises `MissingError` where the study asks for a GPU and there is none."""
    import torch

    resources = plan.study.spec.resources
    device = ("cuda" if resources.asks_for_gpu else "cpu") if wanted is Device.AUTO else wanted.value
    if is_here and device == "cuda" and not torch.cuda.is_available():
        raise MissingError(
            f"{plan.study.name} asks for {resources.gpus_per_trial} GPU a trial, and torch sees none "
            f"here; run it where there is one, or add `--device cpu` (`harness show` predicts how long that takes)"
        )
    return device


def _packed(plan: Plan, data_root: Path, cluster: Cluster | None) -> Plan:
    """The plan with the share of a GPU that a pilot measures."""
    import torch
    from joblib import cpu_count

    from harness.study.forecast import corners
    from harness.train.packing import most_in_a_pack
    from harness.train.pilot import PilotError, busy_share, fly, hungriest, rehearsal, trials_a_device

    if cluster:
        raise UserError("gpus_per_trial: auto measures on this machine; with --address give it as a number")
    device, resources = torch.device("cuda"), plan.study.spec.resources
    hungry = hungriest(corner for cell in plan.cells for corner in corners(cell))
    try:
        with rehearsal(data_root, device) as workshop:
            pilot = fly(hungry, workshop, min(resources.pack, most_in_a_pack(hungry, device.type)))
            busy = busy_share(hungry, pilot, workshop)
    except PilotError as error:
        raise PilotError(f"{error}, or give `resources.gpus_per_trial` as a number") from error
    memory = torch.cuda.get_device_properties(device).total_memory
    cores = int(cpu_count()) // (resources.cpus_per_trial * torch.cuda.device_count())
    together = trials_a_device(memory, pilot.peak_bytes, cores, busy)
    took = f"{pilot.peak_bytes / 2**20:,.0f} MiB, {pilot.step_seconds * 1e3:.3g} ms a step, {busy:.0%} of it at work"
    what = f"packs of {pilot.together}" if pilot.together > 1 else "trials"
    Console().print(Text(f"pilot: {took}; {together} {what} share a GPU"))
    share = {"gpus_per_trial": math.floor(1e4 / together) / 1e4}  # Ray counts in ten-thousandths
    spec = plan.study.spec.model_copy(update={"resources": resources.model_copy(update=share)})
    return replace(plan, study=replace(plan.study, spec=spec))


def _workers(device: str, plan: Plan) -> int:
    """As many trials as fit on the machine at a time."""
    from joblib import cpu_count  # knows affinity and the quotas of containers, on every system

    resources = plan.study.spec.resources
    of_cpus = int(cpu_count()) // resources.cpus_per_trial
    if device == "cuda":
        import torch

        of_cpus = min(of_cpus, int(torch.cuda.device_count() / resources.share))
    return max(1, of_cpus)


def _refuse_more_threads(plan: Plan) -> None:
    """Raises `MissingError` for a study whose trials have more threads each than there are cores."""
    from joblib import cpu_count

    asked, here = plan.study.spec.resources.cpus_per_trial, int(cpu_count())
    if asked > here:
        raise MissingError(
            f"{plan.study.name} asks for {asked} threads a trial (resources.cpus_per_trial), and there are {here} "
            f"cores here; run it where there are more, or ask for fewer"
        )


def _runner(
    name: RunnerName, plan: Plan, store: Store, device: str, workers: int | None, data_root: Path, at: Cluster | None
) -> Runner:
    import torch

    from harness.search.runner import InlineRunner
    from harness.train.account import Places
    from harness.train.memory import keep_freed_memory
    from harness.train.seeds import make_repeatable
    from harness.train.workshop import Workshop

    resources = plan.study.spec.resources
    cache = store.root.absolute().parent / "cache"
    budget = int(resources.answers_gigabytes * 1e9)
    places = Places(checkpoints=store.checkpoints.absolute(), students=store.students.absolute())
    data_root = data_root.absolute()
    if name is RunnerName.INLINE:
        make_repeatable(resources.cpus_per_trial)
        keep_freed_memory()
        return InlineRunner(Workshop(data_root, cache, torch.device(device), answers_budget=budget), places)
    from harness.search.ray_tune import RayRunner
    from harness.search.workbench import WorkerSettings

    settings = WorkerSettings(data_root, cache, places, device, resources.cpus_per_trial, budget)
    return RayRunner(settings, workers, resources.share if device == "cuda" else 0.0, at)


def _cluster(address: str | None, folder: Path | None, runner: RunnerName) -> Cluster | None:
    """The cluster that a search runs on, or None for this machine; Ray's variables are set for either."""
    if runner is RunnerName.INLINE and address:
        raise UserError("--runner inline runs in this process alone; leave out --address")
    if folder and not address:
        raise UserError("--node-folder is for the nodes of a cluster; add --address, or leave it out")
    if runner is RunnerName.INLINE:
        return None
    os.environ.update({key: os.environ.get(key, value) for key, value in RAY_ENVIRONMENT.items()})
    if address is None:
        os.environ.update(RAY_ON_LOOPBACK)
        return None
    from harness.search.ray_tune import Cluster

    passed_on = ("CUBLAS_WORKSPACE_CONFIG", "RAY_CHDIR_TO_TRIAL_DIR")
    return Cluster(address, folder, {name: os.environ[name] for name in passed_on})


for _command in (publish, verify, compare, diff, export):
    app.command()(_command)


def main() -> None:
    """The console script."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `harness list | head` ends as other programs do
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no ± shows a ? instead
    try:
        app()
    except SystemExit as end:
        if end.code == 130:
            _leave_at_once(130)
        raise


def _leave_at_once(code: int) -> None:
    """Ends the program in order, but without freeing every object, over which torch and Ray take up to two seconds."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
