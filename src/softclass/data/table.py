"""A table in memory, whatever it came from: named Arrow columns that remember where each row stood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from softclass.data.dialect import Dialect, ReadOptions
from softclass.errors import Notes

__all__ = ["Dialect", "ReadOptions", "Source", "Table", "is_table_source", "read_batches", "read_table"]

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
        """Return some of the rows, in the order given."""
        origin = self.origin or Origin(np.arange(self.first_row + 1, self.first_row + self.n_rows + 1))
        taken = pa.table(dict(self.columns)).take(pa.array(rows)) if self.columns else pa.table({})
        columns = {name: taken.column(name) for name in self.columns}
        return replace(self, columns=columns, n_rows=len(rows), origin=origin.take(rows), first_row=0)

    def rename(self, mapping: Mapping[str, str]) -> Table:
        """Return the table with some columns called otherwise."""
        columns = {mapping.get(name, name): column for name, column in self.columns.items()}
        return replace(self, columns=columns, mixed=frozenset(mapping.get(name, name) for name in self.mixed))


def read_table(source: Source, options: ReadOptions, notes: Notes) -> Table:
    """Read a whole table."""
    raise NotImplementedError


def read_batches(source: Source, options: ReadOptions, notes: Notes, *, batch_rows: int = 8192) -> Iterator[Table]:
    """Read a table in blocks of rows."""
    raise NotImplementedError


def is_table_source(source: Source) -> bool:
    """Return whether a source is a table (and not a set of images)."""
    raise NotImplementedError
