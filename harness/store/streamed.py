"""Reading one large file of records, such as a published study's, in batches and with the checks of `read_records`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.record import EpochRecord
from harness.store.parquet import refuse_impossible, refuse_others

BATCH = 20_000
"""Trials at a time: of their specs some 30 MB."""


def batches(path: Path, kind: type) -> Iterator[pa.Table]:
    """The rows of a file, so many at a time; raises as `read_records` does."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        refuse_others(path, file.schema_arrow, kind)
        rows = 0
        for batch in file.iter_batches(BATCH):
            table = pa.Table.from_batches([batch])
            refuse_impossible(table)
            rows += len(table)
            yield table
        if rows != file.metadata.num_rows:
            raise ValueError("it holds another number of rows than it says")


def epochs_of_some(path: Path, trials: int, wanted: int) -> pa.Table:
    """The epochs of about so many of a file's trials, all where it has no more: those of evenly spaced row groups.

    Trials lie by their ids, which are hashes: a row group is a random sample. The first and the last trial of a group
    may go on in the next and are left out.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        refuse_others(path, file.schema_arrow, EpochRecord)
        groups = file.num_row_groups
        few = groups if trials <= wanted else max(1, round(groups * wanted / trials))
        if few >= groups:
            table = file.read()
        else:
            places = np.linspace(0, groups - 1, few).round().astype(int)
            table = pa.concat_tables([_whole(file.read_row_group(int(place))) for place in dict.fromkeys(places)])
    refuse_impossible(table)
    return table


def _whole(group: pa.Table) -> pa.Table:
    ids = group["trial_id"]
    is_cut = pc.is_in(ids, value_set=pa.array([ids[0].as_py(), ids[-1].as_py()]))
    return group.filter(pc.invert(is_cut))
