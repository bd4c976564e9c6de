"""What the documents show is what the package takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.study.study import Resources, Search, load_study
from harness.study.tracking import Tracking

README = Path(__file__).parent.parent / "README.md"


def blocks(document: Path) -> list[str]:
    """The YAML of a document."""
    return re.findall(r"```yaml\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_study_of_the_readme_is_good_and_so_is_what_it_may_say_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, more = blocks(README)
    monkeypatch.chdir(README.parent)
    for content in (study, yaml.safe_dump({**yaml.safe_load(study), **yaml.safe_load(more)})):
        (tmp_path / "readme.yaml").write_text(content, encoding="utf-8")
        assert load_study(str(tmp_path / "readme.yaml")).spec.search.trials == 16


def test_the_space_of_the_documents_is_good(tmp_path: Path) -> None:
    study, _ = blocks(README)
    (space,) = blocks(README.parent / "docs" / "spaces.md")
    arm = {"method": {"name": "ksan"}, "space": yaml.safe_load(space)}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({**yaml.safe_load(study), "arms": [arm]}), encoding="utf-8")
    assert load_study(str(tmp_path / "space.yaml")).spec.arms[0].space


def test_the_search_blocks_of_the_documents_are_good() -> None:
    contents = [yaml.safe_load(block) for block in blocks(README.parent / "docs" / "search.md")]
    for content in contents:
        if "tracking" in content:
            Tracking.model_validate(content["tracking"])
        else:
            Search.model_validate(content.get("search", content))
    whole, written_out = (Search.model_validate(content.get("search", content)) for content in contents[:2])
    assert whole.stopping and written_out.stopping
    assert whole.stopping.model_dump() | {"rungs": written_out.stopping.rungs} == written_out.stopping.model_dump()


def test_the_resources_of_the_documents_are_good() -> None:
    (content,) = (yaml.safe_load(block) for block in blocks(README.parent / "docs" / "speed.md"))
    assert Resources.model_validate(content["resources"]) == Resources()
