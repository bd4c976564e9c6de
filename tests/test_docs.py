"""What the documents show is what the package takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.study.study import Search, load_study

README = Path(__file__).parent.parent / "README.md"


def test_the_study_of_the_readme_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "readme.yaml").write_text(block, encoding="utf-8")
    monkeypatch.chdir(README.parent)
    assert load_study(str(tmp_path / "readme.yaml")).spec.search.trials == 16


def test_the_search_blocks_of_the_documents_are_good() -> None:
    text = (README.parent / "docs" / "search.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)]
    for block in blocks:
        Search.model_validate(block.get("search", block))
    whole, written_out = (Search.model_validate(block.get("search", block)) for block in blocks[:2])
    assert whole.stopping and written_out.stopping
    assert whole.stopping.model_dump() | {"rungs": written_out.stopping.rungs} == written_out.stopping.model_dump()
