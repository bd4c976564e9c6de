"""Where the numbers come from: versions, commit, machine, data, seeds and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.analysis.cost import origins, seeds_by_purpose
from harness.analysis.wording import counted, duration
from harness.report.table import Row, Table, text


def provenance_table(trials: pd.DataFrame, study: Mapping[str, object]) -> Table:
    """A field with several values lists each with its number of trials."""
    facts = [("study", str(study.get("id", "unknown")))]
    for name, counts in origins(trials).items():
        told = [value if len(counts) == 1 else f"{value} ({counted(n, 'trial')})" for value, n in counts.items()]
        facts.append((name.replace("_", " "), "; ".join(told)))
    facts += [(f"seeds of {purpose}", _seeds(seeds)) for purpose, seeds in seeds_by_purpose(trials).items()]
    if len(trials):
        facts.append(("training time", duration(float(trials["train_seconds"].sum()))))
        first, last = trials["started_at"].min(), trials["finished_at"].max()
        facts.append(("from, to", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"))
    rows = [Row([text(what), text(value)]) for what, value in facts]
    frame = pd.DataFrame(facts, columns=["what", "value"])
    return Table("provenance", "", [("what", "name"), ("value", "text")], rows, frame)


def _seeds(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:20])) + (f" and {len(seeds) - 20} more" if len(seeds) > 20 else "")
