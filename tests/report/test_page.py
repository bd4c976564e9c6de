"""The page says what the records say, for a full run and for one that has nothing to say yet."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.report.page import write_report
from harness.store.query import RunFolderError
from tests.records import STUDY, confirmations, diverged, failed, trial, write_run

EVIL = "<script>alert(1)</script>"


@cache
def page(folder: Path) -> str:
    """What the report says before any script runs: without Plotly, our own scripts and the register."""
    text = write_report(folder).read_text(encoding="utf-8")
    return text[: text.index('<script type="application/json" id="register">')]


def test_the_page_begins_with_the_question_and_the_answer(sample_folder: Path) -> None:
    text = page(sample_folder)
    assert (
        text.index(STUDY["question"])
        < text.index("kd on digits, mean of 3 students – better than scratch")
        < text.index('id="front"')
    )


def test_every_confirmed_row_stands_with_interval_seeds_and_command(sample_folder: Path) -> None:
    text = page(sample_folder)
    assert len(set(re.findall(r"harness reproduce [0-9a-f]{16}", text))) == 13  # 12 rows and the teacher
    assert len(re.findall(r"\d\d\.\d\d ± \d\.\d\d</td>", text)) == 12


def test_what_early_stopping_saved_is_told(sample_folder: Path, tmp_path: Path) -> None:
    text = page(sample_folder)
    assert "1 stopped early; 2 failed or diverged" in text
    assert "The search gave up 1 config of 72 early, which left 15 epochs untrained; it trained" in text
    assert "gave up" not in page(write_run(tmp_path, [trial(), *confirmations({100: 0.9})]))


def test_failures_cost_and_provenance_are_told(sample_folder: Path) -> None:
    text = page(sample_folder)
    assert "RuntimeError: out of memory (traceback ab12cd34ef56)" in text
    assert "its loss was no longer a number" in text
    assert "0123456789ab" in text
    assert "100, 101, 102, 103, 104" in text


def test_the_page_asks_the_network_for_nothing(sample_folder: Path) -> None:
    text = page(sample_folder)
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


def test_equal_records_make_an_equal_page(sample_folder: Path, tmp_path: Path) -> None:
    one, two = (write_report(sample_folder, tmp_path / name) for name in ("one.html", "new/two.html"))
    assert one.read_bytes() == two.read_bytes()


def test_the_report_lies_in_the_run_folder_by_default(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [trial()])
    assert write_report(folder) == folder / "report.html"
    assert not list(folder.glob(".*tmp"))


def test_a_run_without_trials_says_so(tmp_path: Path) -> None:
    text = page(write_run(tmp_path, []))
    for sentence in (
        "There is no answer yet",
        "No trial has finished yet.",
        "No student has completed its whole schedule yet.",
        "No config has been confirmed",
        "The search has no config yet",
        "No search trial has completed its whole schedule yet.",
        "This run trained no teacher.",
        "Nothing has been spent yet.",
    ):
        assert sentence in text


def test_a_run_without_confirmations_shows_its_search_and_ranks_nothing(tmp_path: Path) -> None:
    text = page(write_run(tmp_path, [trial(proposal=n, validation=0.9 + n / 100) for n in range(3)]))
    assert "No config has been confirmed on the test split yet" in text
    assert "3 search trials; 0 failed or diverged" in text
    assert "No trial failed or diverged." in text


def test_a_run_of_failures_alone_names_them(tmp_path: Path) -> None:
    lost = replace(failed(trial(seed=0)), provenance=None)
    text = page(write_run(tmp_path, [lost, diverged(trial(seed=1)), failed(confirmations({100: 0.9})[0])]))
    assert "There is no answer yet" in text
    assert "failed search" in text
    assert re.findall(r'<div class="plot" id="([^"]+)"', text) == ["plot-usage"]  # no figure without a point
    assert "failed confirmation" in text
    assert "diverged search" in text


def test_a_run_with_one_confirmation_seed_claims_no_interval(tmp_path: Path) -> None:
    trials = [*confirmations({100: 0.9}, arm="scratch", teacher=None), *confirmations({100: 0.95})]
    text = page(write_run(tmp_path, trials))
    assert "95.00 no interval" in text
    assert "no test" in text


def test_two_teachers_and_two_data_sets_have_panels_of_their_own(tmp_path: Path) -> None:
    trials = [*confirmations({1: 0.9, 2: 0.91}, teacher="big"), *confirmations({1: 0.8, 2: 0.9}, teacher="small")]
    trials += [replace(one, dataset="cifar10") for one in confirmations({1: 0.7, 2: 0.8}, config="other")]
    text = page(write_run(tmp_path, trials))
    for title in ("digits, teacher big", "digits, teacher small", "cifar10, teacher resnet20-w16"):
        assert f"<h3>{title}</h3>" in text
    assert "Seeds alone move a test accuracy on cifar10 by" in text
    assert "Seeds alone move a test accuracy on digits by" in text
    assert len(re.findall(r"<th[^>]*>\s*(?:<button[^>]*>)?data set", text)) >= 2  # of what is told by data set


def test_a_study_against_macs_is_drawn_against_macs(tmp_path: Path) -> None:
    study = STUDY | {"objectives": {"accuracy": "max", "macs": "min"}}
    text = page(write_run(tmp_path, [*confirmations({1: 0.9, 2: 0.91})], study))
    assert "multiply-adds an image" in text


def test_texts_of_strangers_are_shown_as_text(tmp_path: Path) -> None:
    trials = [
        replace(one, arm=f"b{EVIL}", student=f"s{EVIL}", teacher=f"t{EVIL}", dataset=f"d{EVIL}")
        for one in [trial(), *confirmations({1: 0.9, 2: 0.91})]
    ]
    trials.append(failed(trial(seed=9), error=EVIL, message=EVIL))
    text = page(write_run(tmp_path, trials, STUDY | {"name": EVIL, "question": EVIL, "id": EVIL}))
    assert "<script>alert" not in text
    assert f"<title>{EVIL.replace('<', '&lt;').replace('>', '&gt;')}</title>" in text
    drawn = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, flags=re.DOTALL)
    assert len(drawn) > 4
    assert not any("\\u003cscript" in figure for figure in drawn)  # Plotly would read it as a tag
    assert any("\\u0026lt;script" in figure for figure in drawn)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"study\.json is missing"):
        write_report(tmp_path)


def test_a_report_needs_neither_torch_nor_ray_nor_optuna() -> None:
    imports = "import sys, harness.report.page, harness.report.leaderboard"
    heavy = "print({'torch', 'numba', 'ray', 'optuna'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{imports}; {heavy}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_report_is_written_where_torch_and_ray_cannot_be_imported(sample_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'torchvision', 'ray', 'sklearn'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from harness.cli import main\n"
        "sys.argv[1:] = ['report', '--study', sys.argv[1], '--runs', sys.argv[2], '--to', sys.argv[3]]\n"
        "main()\n"
    )
    place = [sample_folder.name, str(sample_folder.parent), str(tmp_path / "report.html")]
    done = subprocess.run([sys.executable, "-c", code, *place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Does squeezed-knowledge distillation" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_register_knows_every_config_its_trials_and_their_curves(sample_folder: Path) -> None:
    text = write_report(sample_folder).read_text(encoding="utf-8")
    found = json.loads(re.findall(r'id="register">(.*?)</script>', text, flags=re.DOTALL)[0])
    configs = {config["id"]: config for config in found["configs"]}
    assert len(configs) == 72
    confirmed = [config for config in configs.values() if config["cells"][3][0] == "confirmed"]
    assert len(confirmed) == 12
    assert all(len(config["trials"]) == 7 for config in confirmed)
    states = {config["cells"][3][0] for config in configs.values()}
    assert states == {"confirmed", "searched", "failed", "stopped"}  # the one that diverged was confirmed all the same
    epochs, values = confirmed[0]["curves"][0]
    assert epochs == list(range(1, 21))
    assert values[-1] == pytest.approx(confirmed[0]["cells"][4][1], abs=3)  # one seed's end, and the mean over seeds
