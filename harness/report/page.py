"""The report: one self-contained HTML file, made from a run's records alone.

The page works offline: Plotly is inside it once, and its content policy forbids every request. Equal records
make an equal page: nothing here asks for the time.
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.analysis.comparison import answer, gap, gap_in_words
from harness.files import write_text_whole
from harness.report import content
from harness.report.findings import Findings
from harness.report.pages import embedded, page
from harness.report.panels import SECTIONS, choices, panels
from harness.report.register import COLUMNS, register_json
from harness.report.tables.noise import noise_in_words
from harness.report.tables.sections import TABLES
from harness.source import UserError
from harness.store.query import Run, read_run


def write_report(run_folder: Path, to: Path | None = None) -> Path:
    """Writes a run's report, whole or not at all, and returns its path (default `RUN/report.html`).

    Raises `store.query.RunFolderError` for a folder that is no readable run, `UserError` where `to` is a folder.
    """
    path = to or run_folder / "report.html"
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file, such as {path / 'report.html'}")
    text = report_html(read_run(run_folder))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, text)
    return path


def report_html(run: Run, found: Findings | None = None) -> str:
    """The whole page as text; `found` is what is known of the run already."""
    found = found or Findings(run)
    figures = {section: panels(section, found) for section in SECTIONS}
    return page(
        "report.html.j2",
        plotly=Markup(get_plotlyjs()),
        name=found.name,
        question=str(run.study.get("question", "")),
        standing=content.standing(found.trials),
        answer=answer(found.confirmed, found.compared, found.means),
        gap=gap_in_words(gap(found.confirmed)) if len(found.confirmed) else "",
        arms=found.look,
        size=content.SIZE_WORDS[found.size],
        figures=figures,
        choices={section: choices(of) for section, of in figures.items()},
        json=lambda figure: embedded(str(figure.to_json())),
        tables={name: make(found) for name, make in TABLES.items()},
        any_stopped=bool((found.trials["status"] == "stopped").any()),
        usage=content.use(found.trials),
        checks=found.checks,
        noise=noise_in_words(found.floors),
        has_reference=found.reference is not None,
        saving=content.saving(found.together, found.stopped),
        register=embedded(register_json(found)),
        register_columns=COLUMNS,
    )
