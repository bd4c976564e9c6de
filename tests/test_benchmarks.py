"""What the benchmarks make up is what the harness would have written."""

from __future__ import annotations

from pathlib import Path

from benchmarks.large_run import write_large_run
from harness.analysis.pareto import pareto_front
from harness.report.findings import Findings
from harness.store.query import read_run


def test_a_made_up_run_of_many_trials_is_read_like_any_other(tmp_path: Path) -> None:
    write_large_run(tmp_path / "large", 600)
    findings = Findings(read_run(tmp_path / "large"))
    assert len(findings.run.trials) > 500
    assert len(pareto_front(findings.certain, findings.objectives))
