"""The tables of a report by section: what makes them from a run's findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.analysis.curse import winners_curse_summary
from harness.report.findings import Findings
from harness.report.table import Table, by_data_set
from harness.report.tables.confirmed import confirmed_tables
from harness.report.tables.cost import cost_table, forecast_table, stopped_table, teacher_table
from harness.report.tables.differences import difference_table
from harness.report.tables.failures import failure_table
from harness.report.tables.noise import curse_table, noise_table, pairwise_table
from harness.report.tables.provenance import provenance_table

TABLES: Mapping[str, Callable[[Findings], Sequence[Table]]] = {
    "confirmed": lambda found: confirmed_tables(found.certain, found.front),
    "differences": lambda found: [by_data_set(difference_table(found.every_difference))],
    "pairwise": lambda found: [by_data_set(pairwise_table(found.pairwise))],
    "noise": lambda found: [by_data_set(noise_table(found.floors))],
    "selection": lambda found: [by_data_set(curse_table(winners_curse_summary(found.curse)))],
    "teachers": lambda found: [teacher_table(found.teachers)],
    "cost": lambda found: [cost_table(found.trials)],
    "forecast": lambda found: [forecast_table(found.run.trials, found.run.forecast)],
    "stopped": lambda found: [stopped_table(found.stopped)],
    "failures": lambda found: [failure_table(found.trials)],
    "provenance": lambda found: [provenance_table(found.trials, found.run.study)],
}
"""Every section that has tables → what makes them; a table without rows is not shown."""
