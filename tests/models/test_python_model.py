"""A callable of the user's becomes a network like any other, known by its settings and its source."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from harness.models.python_model import Python
from harness.models.taps import Tapped, anatomy

SMALL = "tests.contract.foreign:small"


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of networks that can be imported as `nets`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    return tmp_path / "nets.py"


@pytest.fixture
def own_interrupts() -> Iterator[None]:
    """Ctrl-C as the command line handles it, by which an interrupt of others can be told from a person's."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


NETS = """
from torch import nn

COUNT = 3

def flat(channels, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, classes))

def odd(channels, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 49, classes))

def wrong_classes(channels, classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes + 1))

def no_module(channels, classes):
    return 3

class Pair(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.head = nn.Linear(channels, classes)

    def forward(self, images):
        return self.head(images.mean((2, 3))), images

def exits(channels, classes):
    import sys
    sys.exit(7)

def interrupts(channels, classes):
    raise KeyboardInterrupt

class Ending(nn.Module):
    def forward(self, images):
        raise SystemExit

def exits_when_run(channels, classes):
    return Ending()

def lazy(channels, classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))

BUILT = []

def changing(channels, classes):
    BUILT.append(0)
    hidden = len(BUILT)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, hidden), nn.Linear(hidden, classes))

class Keyword(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.body = nn.Conv2d(channels, 5, 3, padding=1)
        self.aside = nn.Conv2d(5, 5, 3, padding=1)
        self.head = nn.Linear(5, classes)

    def forward(self, images):
        maps = self.body(images)
        if not self.training:
            self.aside(maps)
        return self.head(input=maps.mean((2, 3)))

def reads_weights(channels, classes):
    return nn.Linear(channels, int(nn.Linear(1, 1).weight.item()))
"""


def test_it_is_built_with_channels_classes_and_settings() -> None:
    spec = Python(callable=SMALL, settings={"width": 3})
    assert spec.label == "small(width=3)"
    assert (spec.taps, spec.classifier) == (("1", "4"), "7")
    assert spec.build(1, 5)(torch.randn(2, 1, 8, 8)).shape == (2, 5)
    assert spec.id != Python(callable=SMALL).id


def test_a_relu_in_place_right_after_the_tapped_module_leaves_the_tap_as_it_was() -> None:
    spec = Python(callable=SMALL, stages=("0", "3"))
    network, images = spec.build(3, 5), torch.randn(2, 3, 16, 16)
    tapped = Tapped(network, {tap: tap for tap in spec.taps}, spec.classifier)
    for _ in range(2):
        maps = tapped(images).maps
        assert torch.equal(maps["0"], network[0](images))
        assert torch.equal(maps["3"], network[:4](images))


def test_a_classifier_may_be_called_by_keyword(nets: Path) -> None:
    nets.write_text(NETS)
    spec = Python(callable="nets:Keyword")
    assert anatomy(spec, (1, 8, 8), 4).maps["embedding"] == (5, 1, 1)
    network, images = spec.build(1, 4), torch.randn(2, 1, 8, 8)
    embedding = Tapped(network, {"embedding": "embedding"}, spec.classifier)(images).maps["embedding"]
    assert torch.equal(embedding[:, :, 0, 0], network.body(images).mean((2, 3)))


def test_what_runs_in_one_mode_alone_is_no_tap(nets: Path) -> None:
    """A student is read in training, a teacher after it."""
    nets.write_text(NETS)
    spec = Python(callable="nets:Keyword")
    assert spec.taps == ("body",)
    with pytest.raises(ValueError, match="Keyword has no tap aside"):
        anatomy(spec, (1, 8, 8), 4).shape("aside")


def test_stages_are_named_once() -> None:
    with pytest.raises(ValidationError, match="a stage stands twice; keep one"):
        Python(callable=SMALL, stages=("1", "1"))


def test_other_code_has_another_id(nets: Path) -> None:
    nets.write_text(NETS)
    first = Python(callable="nets:flat")
    assert first.source_sha256 is not None
    nets.write_text(NETS + "\n# changed\n")
    second = Python(callable="nets:flat")
    assert first.id != second.id
    with pytest.raises(ValidationError, match="nets:flat has changed: its file's digest is"):
        Python.model_validate_json(first.model_dump_json())
    nets.write_text(NETS)
    assert Python.model_validate_json(first.model_dump_json()) == first


def test_a_network_for_one_size_of_image_is_found_out(nets: Path) -> None:
    nets.write_text(NETS)
    spec = Python(callable="nets:flat", stages=("0",))
    assert spec.classifier == "1"
    with pytest.raises(ValidationError, match=r"odd takes colour images of none of .* 224 \(.*; 8 \("):
        Python(callable="nets:odd")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nets", "write package.module:name"),
        (":small", "write package.module:name"),
        ("netz:flat", "there is no module netz here; install it, or run with its folder in PYTHONPATH"),
        ("nets:flatt", "nets has no flatt; did you mean flat?"),
        ("nets:COUNT", "COUNT of nets is a int and cannot be called"),
        ("nets:no_module", "no_module is a int and no torch.nn.Module; return one"),
        ("nets:wrong_classes", r"it gives \(2, 8\) for 2 images and 7 classes, not \(2, 7\)"),
        ("nets:Pair", "it gives a tuple and no tensor of logits"),
        ("nets:reads_weights", "reads_weights cannot be built without memory"),
        ("nets:exits", "exits cannot be built without memory: it ends the program: SystemExit 7"),
        ("nets:interrupts", "interrupts cannot be built without memory: it ends the program: KeyboardInterrupt"),
        ("nets:exits_when_run", r"takes colour images of none .* 224 \(it ends the program: SystemExit\)"),
        ("nets:lazy", "lazy has a layer without a size at 1; give it one instead of a Lazy layer"),
        ("nets:changing", "changing is another network each time that it is built; let channels, classes and settings"),
        ("builtins:len", "builtins has no file whose digest could be taken; write the callable into one"),
    ],
)
def test_what_is_no_network_is_refused(nets: Path, path: str, message: str, own_interrupts: None) -> None:
    nets.write_text(NETS)
    with pytest.raises(ValidationError, match=message):
        Python(callable=path)


@pytest.mark.parametrize(
    "code", ["raise RuntimeError('no')", "import sys; sys.exit(3)", "def f(:", "raise KeyboardInterrupt"]
)
def test_a_module_that_cannot_be_imported_is_told(nets: Path, code: str, own_interrupts: None) -> None:
    nets.write_text(code)
    with pytest.raises(ValidationError, match="importing nets ends in"):
        Python(callable="nets:flat")


@pytest.mark.parametrize("wrong", [{"settings": {"widht": 3}}, {"settings": {"width": "wide"}}])
def test_settings_that_the_callable_does_not_take_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"small.* cannot be built"):
        Python.model_validate({"callable": SMALL, **wrong})
