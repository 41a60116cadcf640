"""A table in memory, whatever it came from: named Arrow columns that remember where each row stood."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from softclass.data.blocks import Block, Reader
from softclass.data.cells import FEW_CELLS, is_plain_type, plain_type, type_kind
from softclass.data.dialect import Dialect, ReadOptions
from softclass.data.names import clean_names
from softclass.data.sources import is_in_memory, is_table_source, open_source
from softclass.data.table_spill import TableSpill, take_in_order
from softclass.errors import Notes, TableError, UsageError, shown

__all__ = ["Dialect", "ReadOptions", "Source", "Table", "is_table_source", "read_batches", "read_table"]

ENCODED_BYTES = 8  # of a cell once it is read as a number, or as the place of its text

# A path, "-", several paths, or anything in memory that is a table: frames, Arrow, mappings, rows, arrays.
Source: TypeAlias = str | Path | Sequence[Any] | Mapping[str, Any] | Any


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the rows of a table stood: their line or row numbers, and in which file if there were several."""

    numbers: npt.NDArray[np.int64]  # (n_rows,), counted from 1
    file: npt.NDArray[np.int32] | None = None  # (n_rows,), index into names
    names: tuple[str, ...] = ()

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Origin:
        """Return the origin of some of the rows."""
        return Origin(self.numbers[rows], None if self.file is None else self.file[rows], self.names)


@dataclass(frozen=True, eq=False)
class Table:
    """A table in memory.

    Attributes
    ----------
    name : str
        What messages call it: ``"penguins.csv"``, ``"standard input"``, ``"DataFrame"``.
    columns : mapping of str to pyarrow.ChunkedArray
        In the order of the file. Types are string, bool, integers, floats, date, timestamp, null; anything else is
        a type that no column of a model can have (see `softclass.data.cells.type_kind`).
    n_rows : int
        Number of rows.
    is_text : bool
        Whether every cell is the file's own text, whose kind must be judged.
    dialect : Dialect or None
        How the text was written.
    rejected : tuple of (int, str)
        Line and text of the rows that were left out.
    first_row : int
        Number of rows before this batch in its source.
    mixed : frozenset of str
        Columns of a frame that held numbers and text: their cells are text and must be judged, too.
    origin : Origin or None
        Where the rows stood, if that is not simply row 1, row 2 and so on.
    on_disk : bool
        Whether the cells lie in a temporary file, since they would take too much memory.
    """

    name: str
    columns: Mapping[str, pa.ChunkedArray]
    n_rows: int
    is_text: bool
    dialect: Dialect | None
    rejected: tuple[tuple[int, str], ...] = ()
    first_row: int = 0
    mixed: frozenset[str] = frozenset()
    origin: Origin | None = None
    on_disk: bool = False

    def is_text_column(self, column: str) -> bool:
        """Return whether the kind of a column must be judged by its cells, not by its type."""
        return self.is_text or column in self.mixed

    def place(self, row: int) -> str:
        """Return where a row (counted from 0) stood: ``"line 812"`` of the file, or ``"row 811"`` counted from 1."""
        word = "line" if self.is_text else "row"
        if self.origin is None:
            return f"{word} {self.first_row + row + 1}"
        place = f"{word} {int(self.origin.numbers[row])}"
        return place if self.origin.file is None else f"{self.origin.names[self.origin.file[row]]}, {place}"

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Table:
        """Return some of the rows, in the order given; from disk in ascending order only."""
        origin = self.origin or Origin(np.arange(self.first_row + 1, self.first_row + self.n_rows + 1))
        whole = pa.table(dict(self.columns))
        taken = take_in_order(whole, rows) if self.on_disk else whole.take(pa.array(rows)) if self.columns else whole
        columns = {name: taken.column(name) for name in self.columns}
        return replace(self, columns=columns, n_rows=len(rows), origin=origin.take(rows), first_row=0)

    def block(self, first: int, n_rows: int) -> Table:
        """Return some rows that follow each other, without a copy."""
        columns = {name: column.slice(first, n_rows) for name, column in self.columns.items()}
        rows = np.arange(first, min(first + n_rows, self.n_rows))
        origin = None if self.origin is None else self.origin.take(rows)
        return replace(self, columns=columns, n_rows=len(rows), origin=origin, first_row=self.first_row + first)

    @property
    def nbytes(self) -> int:
        """Memory that the cells take, and 8 bytes a cell more once they are encoded."""
        raw = sum(int(column.nbytes) for column in self.columns.values())
        return raw + ENCODED_BYTES * self.n_rows * len(self.columns)

    def rename(self, mapping: Mapping[str, str]) -> Table:
        """Return the table with some columns called otherwise; SC303 if two would bear one name."""
        names = clean_names([mapping.get(name, name) for name in self.columns], Notes(), self.name)
        columns = dict(zip(names, self.columns.values(), strict=True))
        return replace(self, columns=columns, mixed=frozenset(mapping.get(name, name) for name in self.mixed))


def read_table(source: Source, options: ReadOptions, notes: Notes, *, limit: float = math.inf) -> Table:
    """
    Read a whole table.

    Parameters
    ----------
    source : path, "-", sequence of paths, or a table in memory
        CSV (plain, gzip, bzip2, zstd), Parquet, Arrow; standard input; data frames, Arrow tables and readers, a mapping
        of columns, a sequence of rows that are mappings, an array of shape (n_rows, n_columns).
    options : ReadOptions
        What the user said about it.
    notes : Notes
        SC801, SC811, SC816, SC817, SC818.
    limit : float, optional
        Bytes of cells, raw and encoded together, beyond which what comes from files or standard input goes to a
        temporary file instead of into memory.

    Returns
    -------
    Table
        Possibly without rows.

    Raises
    ------
    UsageError, PathError, TableError
        SC2xx: options; SC603, SC605: paths; SC301-SC306, SC309, SC321, SC331, SC333: content.

    Examples
    --------
    >>> table = read_table({"x": [1, 2], "y": ["a", "b"]}, ReadOptions(), Notes())
    >>> table.n_rows, list(table.columns), table.place(1)
    (2, ['x', 'y'], 'row 2')
    """
    reader = open_source(source, options, notes)
    with contextlib.closing(reader):
        blocks, size = [], 0
        for block in reader.blocks:
            blocks.append(block)
            size += block.cells.nbytes + ENCODED_BYTES * block.n_rows * block.cells.num_columns
            if size > limit and not is_in_memory(source):
                return _on_disk(reader, blocks)
        return _table_of(reader, blocks, 0)


def read_batches(source: Source, options: ReadOptions, notes: Notes, *, batch_rows: int = 8192) -> Iterator[Table]:
    """
    Read a table in blocks of rows; memory does not grow with the number of rows.

    Parameters
    ----------
    source, options, notes
        As for `read_table`.
    batch_rows : int, default 8192
        Number of rows of each block but the last.

    Yields
    ------
    Table
        The same cells as `read_table` has; one without rows if there are none.

    Raises
    ------
    UsageError, PathError, TableError
        As `read_table`, some of them only when the rows in question are reached.

    Examples
    --------
    >>> batches = read_batches({"x": [1, 2, 3]}, ReadOptions(), Notes(), batch_rows=2)
    >>> [(table.n_rows, table.place(0)) for table in batches]
    [(2, 'row 1'), (1, 'row 3')]
    """
    if batch_rows < 1:
        raise UsageError("SC207", f"--batch-size must be at least 1; got {batch_rows}")
    reader = open_source(source, options, notes)
    with contextlib.closing(reader):
        first_row = 0
        for blocks in _of_equal_size(reader.blocks, batch_rows):
            table = _table_of(reader, blocks, first_row)
            yield table
            first_row += table.n_rows


def _of_equal_size(blocks: Iterator[Block], n_rows: int) -> Iterator[list[Block]]:
    """Cut and join blocks so that each group but the last has so many rows; there is at least one group."""
    group: list[Block] = []
    missing, is_first = n_rows, True
    for block in blocks:
        rest = block
        while rest.n_rows >= missing:
            front, rest = rest.split(missing)
            yield [*group, front]
            group, missing, is_first = [], n_rows, False
        if rest.n_rows or rest.rejected:
            group.append(rest)
            missing -= rest.n_rows
    if group or is_first:
        yield group


def _table_of(reader: Reader, blocks: list[Block], first_row: int) -> Table:
    """Join blocks."""
    if len(blocks) == 1 and blocks[0].cells.schema == reader.empty.schema:
        return _named(reader, _plain(reader, blocks[0].cells), blocks, first_row, on_disk=False)
    parts = [_plain(reader, cells) for cells in (reader.empty, *(block.cells for block in blocks))]
    with _types_agree(reader):
        # Two Parquet files may store one column with different types: integers there, floats here.
        cells = pa.concat_tables(parts, promote_options="permissive")
    return _named(reader, cells, blocks, first_row, on_disk=False)


@contextlib.contextmanager
def _types_agree(reader: Reader) -> Iterator[None]:
    """SC332 if no type holds all cells of a column, as text in one file and numbers in another."""
    try:
        yield
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        message = f"a column must be of one type in all files; {shown(error)}"
        raise TableError("SC332", message, where=reader.name, hint="Store it with one type, or pass CSV") from error


def _on_disk(reader: Reader, begun: list[Block]) -> Table:
    """Move the blocks that were read to disk, and those that follow; where each row stood stays in memory."""
    spill, blocks = TableSpill(), []
    while begun:
        block = begun.pop(0)
        spill.append(_plain(reader, block.cells))
        blocks.append(replace(block, cells=reader.empty))
    for block in reader.blocks:
        if block.n_rows:
            spill.append(_plain(reader, block.cells))
        blocks.append(replace(block, cells=reader.empty))
    with _types_agree(reader):
        cells = spill.finished()
    return _named(reader, cells, blocks, 0, on_disk=True)


def _plain(reader: Reader, cells: pa.Table) -> pa.Table:
    """Give typed columns one of the few types that columns of a table have."""
    if reader.is_text or all(map(is_plain_type, cells.schema.types)):
        return cells
    return pa.table({name: plain_type(cells.column(k)) for k, name in enumerate(cells.column_names)})


def _named(reader: Reader, cells: pa.Table, blocks: list[Block], first_row: int, *, on_disk: bool) -> Table:
    columns = {name: cells.column(k) for k, name in enumerate(cells.column_names)}
    table = Table(
        reader.name, columns, cells.num_rows, reader.is_text, reader.dialect,
        tuple(line for block in blocks for line in block.rejected), first_row, reader.mixed, _origin(reader, blocks),
        on_disk,
    )  # fmt: skip
    if not reader.is_text:
        _refuse_nul(table)
    return table


def _refuse_nul(table: Table) -> None:
    """Refuse what a file cannot hold either: the runtime of the graph would cut a text at a NUL."""
    texts = {name: column for name, column in table.columns.items() if type_kind(column.type) == "text"}
    if table.n_rows <= FEW_CELLS and not any("\0" in (text or "") for c in texts.values() for text in c.to_pylist()):
        return
    for name, column in texts.items():
        row = pc.index(pc.match_substring(column, "\0"), True).as_py()
        if row >= 0:
            place = f'{shown(table.name)}, {table.place(row)}, column "{shown(name)}"'
            raise TableError("SC306", "a text must not hold a NUL character", where=place, hint="Replace it")


def _origin(reader: Reader, blocks: list[Block]) -> Origin | None:
    numbers = [block.numbers for block in blocks if block.numbers is not None]
    if not numbers:
        return None
    file = None
    if len(reader.files) > 1:
        sizes = [len(block.numbers) for block in blocks if block.numbers is not None]
        of_blocks = [block.file for block in blocks if block.numbers is not None]
        file = np.repeat(np.array(of_blocks, dtype=np.int32), sizes)
    return Origin(np.concatenate(numbers), file, reader.files)
