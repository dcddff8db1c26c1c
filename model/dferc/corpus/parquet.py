"""Vectors in Parquet: as lists of any length, for Arrow cannot read fixed-size lists with nulls from it."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WIDTH = b"dferc.width"


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table, its fixed-size lists as plain lists."""
    write_tables([table], path)


def write_tables(tables: Iterable[pa.Table], path: Path) -> None:
    """Write tables of one schema into one file, one at a time; there is at least one."""
    with ExitStack() as closing:
        writer: pq.ParquetWriter | None = None
        for table in map(_with_lists, tables):
            writer = writer or closing.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
            writer.write_table(table)


def _with_lists(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_fixed_size_list(field.type):
            column = _as_lists(table[field.name].combine_chunks())
            written = field.with_type(column.type).with_metadata({WIDTH: str(field.type.list_size)})
            table = table.set_column(index, written, column)
    return table


def read_table(path: Path) -> pa.Table:
    """Read a table, its lists as fixed-size lists wherever all of a column have one length."""
    table = pq.read_table(path)
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            width = int((field.metadata or {}).get(WIDTH, 0))
            column = _as_vectors(table[field.name].combine_chunks(), width)
            table = table.set_column(index, field.with_type(column.type).remove_metadata(), column)
    return table


def _as_lists(vectors: pa.FixedSizeListArray) -> pa.ListArray:
    present = vectors.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(present)]) * vectors.type.list_size
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pc.list_flatten(vectors), mask=None if present.all() else pa.array(~present)
    )


def _as_vectors(lists: pa.ListArray, width: int) -> pa.Array:
    """``width`` is that of a column without any vector, 0 where it is unknown."""
    widths = pc.unique(pc.list_value_length(lists)).drop_null().to_pylist() or [width]
    if len(widths) != 1 or widths[0] == 0:
        return lists
    present = lists.is_valid().to_numpy(zero_copy_only=False)
    found = pc.list_flatten(lists)
    if not lists.null_count:
        return pa.FixedSizeListArray.from_arrays(found, widths[0])
    if found.null_count:
        return lists
    values = np.zeros((len(lists), widths[0]), dtype=found.type.to_pandas_dtype())
    values[present] = found.to_numpy(zero_copy_only=False).reshape(-1, widths[0])
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), widths[0], mask=pa.array(~present))
