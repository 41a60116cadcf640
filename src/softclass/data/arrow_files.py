"""Parquet and Arrow files and streams to blocks of typed columns."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet

from softclass.data.blocks import Block, Reader, rows_of_block
from softclass.data.files import opened
from softclass.data.names import clean_names
from softclass.errors import Notes, TableError, shown

PAGES = 2**16  # read at once of a column of a row group, which may be large
MAX_FOOTER_BYTES = 16 * 2**20
_INDEX = re.compile(r"__index_level_\d+__")  # the unnamed index of a data frame, which is no column

# What Arrow raises for bytes that it cannot read.
_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError)


def open_parquet(path: Path, name: str, notes: Notes) -> Reader:
    """Open a Parquet file."""

    def batches(file: BinaryIO) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        _check_footer(file, name)
        parquet = pyarrow.parquet.ParquetFile(
            file, pre_buffer=False, buffer_size=PAGES, page_checksum_verification=True
        )
        rows = rows_of_block(len(parquet.schema_arrow))
        return parquet.schema_arrow, parquet.iter_batches(batch_size=rows, use_threads=False)

    return _from_file(path, name, "Parquet", batches, notes)


def open_arrow_file(path: Path, name: str, notes: Notes) -> Reader:
    """Open an Arrow IPC file, which is also Feather version 2."""

    def batches(file: BinaryIO) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        arrow = pa.ipc.open_file(file)
        return arrow.schema, (arrow.get_batch(k) for k in range(arrow.num_record_batches))

    return _from_file(path, name, "Arrow", batches, notes)


def open_arrow_stream(file: BinaryIO, name: str, notes: Notes) -> Reader:
    """Open an Arrow IPC stream."""
    with _damage_is("Arrow", name):
        arrow = pa.ipc.open_stream(pa.PythonFile(file))
        schema = arrow.schema
    return from_batches(schema, arrow, name, notes, damage="Arrow", close=file.close)


def from_batches(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    name: str,
    notes: Notes,
    *,
    damage: str,
    close: Callable[[], object] = lambda: None,
) -> Reader:
    """Return a reader of record batches, with names that are clean and values that are checked."""
    kept = [k for k, field in enumerate(schema) if not _INDEX.fullmatch(field.name)]
    names = clean_names([schema.field(k).name for k in kept], notes, name)
    if not names:
        raise TableError("SC301", "the table has no columns", where=name)

    def table(batch: pa.RecordBatch | pa.Table) -> pa.Table:
        return pa.table([batch.column(k) for k in kept], names=names)

    def blocks() -> Iterator[Block]:
        iterator = iter(batches)
        while True:
            with _damage_is(damage, name):
                batch = next(iterator, None)
                if batch is None:
                    return
                cells = table(batch)
                cells.validate(full=True)
            yield Block(cells)

    return Reader(name, table(schema.empty_table()), blocks(), close=close)


def _from_file(
    path: Path,
    name: str,
    damage: str,
    open_batches: Callable[[BinaryIO], tuple[pa.Schema, Iterator[pa.RecordBatch]]],
    notes: Notes,
) -> Reader:
    """Open a file that is read in any order; whether it changed is known at the end."""
    with contextlib.ExitStack() as opening:
        file = opening.enter_context(opened(path))
        with _damage_is(damage, name):
            schema, batches = open_batches(file)
        reader = from_batches(schema, batches, name, notes, damage=damage)
        stack = opening.pop_all()  # nothing went wrong: the file stays open for the blocks

    def blocks() -> Iterator[Block]:
        with stack:
            yield from reader.blocks

    return Reader(name, reader.empty, blocks(), close=stack.close)


def _check_footer(file: BinaryIO, name: str) -> None:
    """Refuse a footer of absurd size before anything is allocated for it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    file.seek(0)
    if size < 12 or tail[4:] != b"PAR1" or int.from_bytes(tail[:4], "little") > MAX_FOOTER_BYTES:
        raise _damaged("Parquet", name)


@contextlib.contextmanager
def _damage_is(kind: str, name: str) -> Iterator[None]:
    """Turn what Arrow says about bytes that it cannot read into SC331."""
    try:
        yield
    except TableError:
        raise
    except _DAMAGE as cause:
        if hasattr(cause, "code"):  # an error of ours from the file below
            raise
        raise _damaged(kind, name) from cause


def _damaged(kind: str, name: str) -> TableError:
    hint = "Write or fetch the file again"
    return TableError("SC331", f"the {kind} data are damaged or cut short", where=shown(name), hint=hint)
