"""What every data set keeps to, with its files and without them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from pydantic import TypeAdapter

from harness.data import download
from harness.data.catalog import AnyDataset
from harness.data.dataset import Dataset
from harness.data.splits import Warrant, cut, open_test
from harness.source import MissingError
from tests.contract.unions import DATASETS, smallest
from tests.data.own import as_folders, as_parquet

WRITTEN: dict[str, Callable[[Path], Path]] = {"parquet": as_parquet, "folder": as_folders}
"""How a tiny set of a user's own is written for those that read one."""


@pytest.fixture(params=DATASETS, ids=lambda kind: kind.model_fields["name"].default)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    kind = request.param
    name = kind.model_fields["name"].default
    if name not in WRITTEN:
        return smallest(kind)
    return kind(path=str(WRITTEN[name](tmp_path / "own")), validation=3).pinned(None)


def _refused(*_: object) -> NoReturn:
    raise OSError("no network in this test")


@pytest.fixture(autouse=True)
def _without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of this file downloads nothing, wherever it runs."""

    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(socket.socket, "connect", _refused)
    monkeypatch.setattr(socket, "getaddrinfo", _refused)


def test_what_it_says_of_itself_is_sane(data: Dataset) -> None:
    channels, height, width = data.shape
    assert channels in (1, 3)
    assert min(height, width) > 2 * data.shift
    assert data.classes >= 2
    assert data.shortage is None
    assert data.train_count == data.pool - data.validation >= data.classes


def test_its_images_are_what_it_says_or_missing_with_a_remedy(data: Dataset, tmp_path: Path) -> None:
    try:
        splits, test = cut(data, tmp_path), open_test(data, tmp_path, Warrant("t", "confirmation"))
    except MissingError as error:
        assert error.exit_code == 3
        assert data.name in str(error)
        assert str(tmp_path) in str(error)
        assert "--data-root" in str(error)
        with pytest.raises(MissingError):
            open_test(data, tmp_path, Warrant("t", "confirmation"))
        return
    assert (len(splits.train), len(splits.validation)) == (data.train_count, data.validation)
    for images in (splits.train, splits.validation, test):
        assert images.pixels.shape[1:] == data.shape
        assert images.labels.dtype == np.int64
        assert (images.labels.min(), images.labels.max()) == (0, data.classes - 1)


def test_json_keeps_the_id(data: Dataset) -> None:
    assert TypeAdapter(AnyDataset).validate_json(data.model_dump_json()).id == data.id


def test_a_file_that_is_there_but_torn_is_missing_too(tmp_path: Path) -> None:
    cifar = TypeAdapter(AnyDataset).validate_python({"name": "cifar10"})
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"torn")
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(MissingError, match="cifar10 is neither in"):
        cut(cifar, tmp_path)


def test_a_download_is_tried_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: tried.append(1) or _refused())
    with pytest.raises(MissingError, match="no network in this test"):
        cut(TypeAdapter(AnyDataset).validate_python({"name": "svhn"}), tmp_path)
    assert len(tried) == 3
