"""Small tables for tests, made without reading a file."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from softclass.data.dialect import Dialect
from softclass.data.table import Table
from softclass.errors import Notes


def text_table(columns: dict[str, list[str]], *, name: str = "t.csv", dialect: Dialect | None = None) -> Table:
    """A table as a CSV file gives it: every cell is text."""
    arrays = {key: pa.chunked_array([pa.array(cells, pa.string())]) for key, cells in columns.items()}
    n_rows = len(next(iter(columns.values()), []))
    return Table(name, arrays, n_rows, True, dialect or Dialect())


def typed_table(columns: dict[str, Any], *, name: str = "DataFrame") -> Table:
    """A table as a frame gives it: each column has a type."""
    arrays = {key: pa.chunked_array([pa.array(cells)]) for key, cells in columns.items()}
    n_rows = len(next(iter(arrays.values()), []))
    return Table(name, arrays, n_rows, False, None)


def messages(notes: Notes) -> list[str]:
    """Code and sentence of each note."""
    return [f"{note.code} {note.message}" for note in notes]
