"""Single figures and tables as files: whole, named, unrounded, and refused with a remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.report.export import write_exhibits
from harness.report.pictures import write_pictures
from harness.source import MissingError, UserError
from tests.report.browser import BROWSER

PNG = b"\x89PNG\r\n\x1a\n"


def test_tables_are_unrounded_in_the_units_of_the_records(sample_folder: Path, tmp_path: Path) -> None:
    paths = [write_exhibits(sample_folder, form, ["confirmed"], tmp_path)[0] for form in ("csv", "parquet")]
    csv, parquet = pd.read_csv(paths[0]), pd.read_parquet(paths[1])
    assert len(csv) == len(parquet) == 12
    assert csv["accuracy"].tolist() == parquet["accuracy"].tolist()
    assert 0.9 < csv["accuracy"].max() < 1
    assert csv["seeds"].iloc[0] == "100 101 102 103 104"


def test_json_holds_rows_and_figures_that_plotly_reads(sample_folder: Path, tmp_path: Path) -> None:
    [rows] = write_exhibits(sample_folder, "json", ["confirmed-table"], tmp_path)
    assert len(json.loads(rows.read_text(encoding="utf-8"))) == 12
    [figure] = write_exhibits(sample_folder, "json", ["front-macs"], tmp_path / "macs.json")
    assert figure == tmp_path / "macs.json"
    read = plotly.io.from_json(figure.read_text(encoding="utf-8"))
    assert read.layout.xaxis.title.text == "multiply-adds an image"


def test_the_beginning_of_a_name_names_all_that_begin_so(sample_folder: Path, tmp_path: Path) -> None:
    found = write_exhibits(sample_folder, "json", ["front"], tmp_path)
    assert [path.name for path in found] == ["front-parameters.json", "front-macs.json", "front-training-time.json"]


def test_an_unknown_name_is_answered_with_the_known(sample_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"confirmd is no name .* did you mean confirmed\? There are .*provenance"):
        write_exhibits(sample_folder, "csv", ["confirmd"], tmp_path)


def test_one_file_holds_one_table(sample_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is one file"):
        write_exhibits(sample_folder, "csv", [], tmp_path / "all.csv")


def test_the_command_writes_where_it_says(sample_folder: Path, tmp_path: Path) -> None:
    where = ["--study", sample_folder.name, "--runs", str(sample_folder.parent), "--to", str(tmp_path)]
    done = CliRunner().invoke(app, ["report", *where, "--format", "csv", "--only", "cost"])
    assert (done.exit_code, (tmp_path / "cost.csv").is_file()) == (0, True)
    assert "cost.csv" in done.output
    assert CliRunner().invoke(app, ["report", *where, "--only", "cost"]).exit_code == 2


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="needs a browser")
def test_pictures_are_written_whole(tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    figure = go.Figure(layout={"height": 300}).add_scatter(x=[1, 2], y=[3, 4])
    write_pictures([(figure, tmp_path / "a.png"), (figure, tmp_path / "b.svg")])
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert "<svg" in (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert figure.layout.paper_bgcolor is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.svg"]


def test_without_a_browser_pictures_are_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kaleido")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(MissingError, match=r"need a browser that Kaleido can start.*apt install chromium"):
        write_pictures([(go.Figure(), tmp_path / "a.png")])
    assert list(tmp_path.iterdir()) == []


def test_without_kaleido_pictures_are_refused_with_a_remedy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['kaleido'] = None\n"
        "import plotly.graph_objects as go\nfrom pathlib import Path\n"
        "from harness.report.pictures import write_pictures\nfrom harness.source import MissingError\n"
        "try:\n    write_pictures([(go.Figure(), Path('a.png'))])\n"
        "except MissingError as error:\n    print(error.exit_code, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith(
        "3 pictures need Kaleido, which is not installed; pip install 'ksan-harness[figures]'"
    )
