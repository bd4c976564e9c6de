"""`harness show --pilot`: a few real steps of a study, what they predict, and the forecast kept beside its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from harness.store.parquet import Store
    from harness.study.plan import Plan


def fly_pilot(plan: Plan, data_root: Path, store: Store, workers: int, price: float | None) -> None:
    """Measures what a study's trials take, prints it and keeps it beside its records."""
    import torch
    from rich.progress import track

    from harness.search.carry_out import fetch_data
    from harness.spec import content_id
    from harness.study.forecast import forecast
    from harness.study.telling import print_forecast
    from harness.train.account import machine
    from harness.train.memory import keep_freed_memory
    from harness.train.pilot import rehearsal
    from harness.train.seeds import make_repeatable

    make_repeatable(plan.study.spec.resources.cpus_per_trial)
    keep_freed_memory()
    fetch_data(plan, data_root)
    with rehearsal(data_root, torch.device(plan.device)) as workshop:
        flown = forecast(plan, workshop, workers)
        found = list(track(flown, "pilot", len(plan.teachers) + len(plan.cells), transient=True))
    share = (
        plan.study.spec.resources.share if plan.device == "cuda" else float(plan.study.spec.resources.cpus_per_trial)
    )
    print_forecast(found, Console(), workers, share, price)
    store.note_forecast(
        {
            "study": content_id(plan.study.resolved),
            "device": plan.device,
            "machine": machine(),
            "workers": workers,
            "cells": [one.as_json() for one in found],
        }
    )
