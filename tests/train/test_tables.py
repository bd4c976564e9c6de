"""A table on disk gives back what was written and nothing else, whoever writes, whenever they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from harness.train.tables import CHECK, Layout, Table, taken

LAYOUT = Layout(rows=50, shape=(3, 2))
EVERY = torch.arange(50)


def values(rows: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.randn(3, 2, generator=torch.Generator().manual_seed(int(row))) for row in rows])


def test_what_was_written_is_read_by_every_process_and_the_rest_is_absent(tmp_path: Path) -> None:
    writer, reader = Table(tmp_path / "a.rows", LAYOUT), Table(tmp_path / "a.rows", LAYOUT)
    some = torch.tensor([7, 3, 49])
    writer.write(some, values(some))
    found, there = reader.read(EVERY)
    assert there.nonzero()[:, 0].tolist() == [3, 7, 49]
    assert torch.equal(found[some], values(some))


@pytest.mark.parametrize("shape", [(3, 2), (3, 3)])
def test_numbers_of_sixteen_bits_take_half_the_room_and_others_are_not_taken(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    layout = Layout(rows=8, shape=shape, is_half=True)
    assert layout.row_bytes == CHECK + (12 if shape == (3, 2) else 20)
    table, rows = Table(tmp_path / "a.rows", layout), torch.arange(8)
    written = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    written[5, 2, 1] = 0.1
    table.write(rows, written)
    found, there = table.read(rows)
    assert there.tolist() == [row != 5 for row in range(8)]
    assert torch.equal(found[there], written[there])


def test_a_row_of_zeros_is_a_row(tmp_path: Path) -> None:
    table = Table(tmp_path / "a.rows", LAYOUT)
    table.write(torch.tensor([5]), torch.zeros(1, 3, 2))
    assert table.read(torch.tensor([5, 6]))[1].tolist() == [True, False]


def test_every_flipped_bit_of_a_row_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    Table(path, LAYOUT).write(EVERY, values(EVERY))
    whole = path.read_bytes()
    for bit in range(8 * LAYOUT.row_bytes):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        there = Table(path, LAYOUT).read(torch.tensor([0, 1]))[1]
        assert there.tolist() == [False, True], bit


def test_a_half_written_row_is_absent(tmp_path: Path) -> None:
    table = Table(tmp_path / "a.rows", LAYOUT)
    table.write(torch.tensor([2]), values(torch.tensor([2])))
    with (tmp_path / "a.rows").open("r+b") as file:
        file.seek(2 * LAYOUT.row_bytes + LAYOUT.row_bytes - CHECK)
        file.write(bytes(CHECK))
    assert not table.read(torch.tensor([2]))[1].any()


def test_a_file_of_another_size_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    path.write_bytes(b"something else")
    assert not Table(path, LAYOUT).read(EVERY)[1].any()
    assert taken(tmp_path) == LAYOUT.bytes


WRITER = """
import sys, torch
from pathlib import Path
from tests.train.test_tables import EVERY, LAYOUT, values
from harness.train.tables import Table
table = Table(Path(sys.argv[1]), LAYOUT)
print("ready", flush=True)
while True:
    table.write(EVERY, values(EVERY))
"""


def test_writers_that_are_killed_leave_whole_rows_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    line = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen(line, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        table, deadline = Table(path, LAYOUT), time.monotonic() + 60
        while not table.read(EVERY)[1].any():
            assert time.monotonic() < deadline
        found, there = table.read(EVERY)
        assert torch.equal(found[there], values(EVERY[there]))
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()
    found, there = Table(path, LAYOUT).read(EVERY)
    assert there.any()
    assert torch.equal(found[there], values(EVERY[there]))


def test_a_table_has_its_room_before_anything_is_written(tmp_path: Path) -> None:
    large = Layout(rows=10_000, shape=(100,))
    Table(tmp_path / "a.rows", large)
    assert (tmp_path / "a.rows").stat().st_blocks * 512 >= large.bytes
