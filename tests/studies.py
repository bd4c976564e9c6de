"""The tiny study of the tests: real digits and real training, a second from end to end.

Its question and one of its labels carry what a terminal or a page could take for markup.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from harness.study.study import Study, StudySpec

QUESTION = "Does <script>alert(1)</script> [red]squeezing[/red] help?"
LABEL = "[red]</script>ksan"
TRIALS = 13
"""One teacher, and for each of two arms two configs on two seeds and one finalist on two."""

TINY: dict[str, Any] = {
    "question": QUESTION,
    "data": {"name": "digits", "train": 64, "validation": 64},
    "pairs": [
        {
            "teacher": {"name": "resnet", "depth": 8, "width": 4},
            "students": [{"name": "resnet", "depth": 8, "width": 2}],
        }
    ],
    "training": {"epochs": 2, "batch_size": 32},
    "arms": [
        {"method": {"name": "scratch"}, "space": {"training.learning_rate": {"float": [0.03, 0.5], "log": True}}},
        {
            "label": LABEL,
            "method": {"name": "ksan", "attention": {"pretraining": {"steps": 5}}},
            "space": {
                "training.learning_rate": {"float": [0.03, 0.5], "log": True},
                "method.weights.cross_entropy": {"choice": [0, 0.1, 1]},
                "method.attention.taps": {"choice": [["stage3"], ["stage2", "stage3"], "all"]},
            },
        },
    ],
    "search": {"trials": 2, "replicates": 2, "batch": 2, "sampler": "random"},
    "confirm": {"best": 1, "seeds": [0, 1]},
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The tiny study with other values at some dotted paths, with `__` for the dot."""
    content = copy.deepcopy(TINY)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    return content


def study(content: dict[str, Any] | None = None, name: str = "tiny") -> Study:
    """A study as if read from a file."""
    return Study(name, StudySpec.model_validate(content or TINY), "", Path(f"{name}.yaml"))


def written(folder: Path, content: dict[str, Any] | None = None, name: str = "tiny") -> Path:
    """A study as a file."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content or TINY, sort_keys=False), encoding="utf-8")
    return path
