"""What the documents show is what the package takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.study.study import load_study

README = Path(__file__).parent.parent / "README.md"


def test_the_study_of_the_readme_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "readme.yaml").write_text(block, encoding="utf-8")
    monkeypatch.chdir(README.parent)
    assert load_study(str(tmp_path / "readme.yaml")).spec.search.trials == 16
