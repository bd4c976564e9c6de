"""What this repository publishes is whole: CI verifies `reports/` at level 0 wherever the tests run."""

from __future__ import annotations

from pathlib import Path

from harness.report.integrity import faults

REPORTS = Path(__file__).parent.parent / "reports"


def test_the_published_record_of_this_repository_has_no_fault() -> None:
    assert [str(fault) for fault in faults(REPORTS)] == []


def test_there_is_a_log_of_findings_beside_it() -> None:
    assert (REPORTS / "LOG.md").read_text(encoding="utf-8").startswith("# Log of findings")
