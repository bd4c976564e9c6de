"""`export`: a confirmed student for other people's programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from harness.commands.places import DATA, REPORTS, RUNS, DataRoot, Reports, RunsOrUrl, here
from harness.commands.told import told


def export(
    context: typer.Context,
    trial_id: Annotated[str, typer.Argument(help="A confirmed trial's id, or its first digits.", show_default=False)],
    to: Annotated[Path | None, typer.Option(help="A folder; exports/TRIAL by default.", show_default=False)] = None,
    runs: RunsOrUrl = str(RUNS),
    reports: Reports = REPORTS,
    data_root: DataRoot = DATA,
) -> None:
    """Export a student with its model card, as safetensors and as ONNX that is checked against torch on real images."""
    with told(context):
        from harness.search.reproduce import find_trial
        from harness.train.export import export as exported
        from harness.train.students import weights_of

        places = [here(runs), reports]
        record = find_trial(places, trial_id)
        folder = to or Path("exports") / record.trial_id
        agreement = exported(record, weights_of(record, places), folder, data_root)
        console = Console()
        console.print(Text(f"exported: {folder}, with its model card in README.md"), soft_wrap=True)
        said = f"{agreement.same_class} of {agreement.images} validation images get torch's class"
        console.print(Text(f"onnxruntime: {said}; logits within {agreement.farthest:.1e} of their spread", "green"))
