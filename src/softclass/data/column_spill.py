"""Encoded columns that do not fit into memory: mapped from a temporary file, texts as numbers of distinct texts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns
from softclass.data.blocks import MOST_ROWS, rows_of_block
from softclass.data.conform import encode_columns
from softclass.data.schema import Schema
from softclass.data.table import Table
from softclass.data.table_spill import mapped, without_room
from softclass.errors import Notes

NUMBER_BYTES = 8
Rows = npt.NDArray[np.integer[Any]]


class DistantColumn:
    """
    A column elsewhere, which becomes an array where it is indexed.

    Parameters
    ----------
    length : int
        Cells.
    dtype : dtype
        Of the cells.
    cells_at : callable
        From an int array of row numbers, or a slice, to the cells.

    Examples
    --------
    >>> column = DistantColumn(3, np.dtype(object), lambda rows: np.array(["a", "b", "a"], dtype=object)[rows])
    >>> len(column), column[1:].tolist(), column.of(np.array([2, 1]))[:].tolist()
    (3, ['b', 'a'], ['a', 'b'])
    """

    def __init__(self, length: int, dtype: np.dtype[Any], cells_at: Callable[[Any], npt.NDArray[Any]]) -> None:
        self._length, self.dtype, self._cells_at = length, dtype, cells_at

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]:
        return self._cells_at(rows)

    def of(self, rows: Rows) -> DistantColumn:
        """Return the column of some of the rows, which is elsewhere too."""
        return DistantColumn(len(rows), self.dtype, lambda chosen: self._cells_at(rows[chosen]))


def encode_to_disk(table: Table, schema: Schema, notes: Notes) -> Columns:
    """
    Read the columns of a schema as `encode_columns` does, block by block, into a file without a name.

    Parameters
    ----------
    table : Table
        Columns in any order.
    schema : Schema
        What they are.
    notes : Notes
        As in `encode_columns`.

    Returns
    -------
    dict of str to DistantColumn
        By name in the graph, with the cells that `encode_columns` gives.

    Raises
    ------
    TableError
        As `encode_columns`.
    TooLargeError
        SC606, if the disk is full.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from softclass.data.column import Column
    >>> schema = Schema("y", (), (Column("width", "width", "number", 0),))
    >>> table = Table("t", {"width": pa.chunked_array([["1.5", ""]])}, 2, True, None)
    >>> encode_to_disk(table, schema, Notes())["width"][:]
    array([1.5, nan])
    """
    numbers: dict[str, dict[str, int]] = {column.input: {} for column in schema.columns if column.kind == "category"}
    with tempfile.TemporaryFile(prefix="softclass-") as file:
        size = rows_of_block(len(schema.columns))
        for first in range(0, table.n_rows, size):
            block = encode_columns(table.block(first, size), schema, notes)
            for place, (name, cells) in enumerate(block.items()):
                found = _numbered(cells, numbers[name]) if name in numbers else cells
                file.seek(NUMBER_BYTES * (place * table.n_rows + first))
                try:
                    file.write(np.ascontiguousarray(found, dtype=np.float64).data)
                except OSError as error:
                    raise without_room(error) from error
        file.flush()
        whole = np.frombuffer(mapped(file), np.float64).reshape(len(schema.columns), table.n_rows)
    columns: dict[str, Any] = {}
    for column, cells in zip(schema.columns, whole, strict=True):
        if column.kind == "category":
            texts = np.array(list(numbers[column.input]), dtype=object)
            columns[column.input] = _texts(cells, texts)
        else:
            columns[column.input] = DistantColumn(table.n_rows, cells.dtype, cells.__getitem__)
    return columns


def _numbered(cells: npt.NDArray[Any], numbers: dict[str, int]) -> npt.NDArray[np.float64]:
    """Return the number of each text, in order of first appearance; new ones are added."""
    return np.array([numbers.setdefault(text, len(numbers)) for text in cells.tolist()], dtype=np.float64)


def _texts(cells: npt.NDArray[np.float64], texts: npt.NDArray[np.object_]) -> DistantColumn:
    return DistantColumn(len(cells), texts.dtype, lambda rows: texts[cells[rows].astype(np.int64)])


def text_blocks(cells: Any) -> Iterator[bytes]:
    """
    Yield all texts of a column as one stretch of bytes, cut anywhere: what a hash of it takes.

    Parameters
    ----------
    cells : object array of str or DistantColumn
        The column.

    Yields
    ------
    bytes
        UTF-8, with U+001F between the texts.

    Examples
    --------
    >>> b"".join(text_blocks(np.array(["a", "b"], dtype=object)))
    b'a\\x1fb'
    """
    for first in range(0, len(cells), MOST_ROWS):
        ahead = "\x1f" if first else ""
        yield (ahead + "\x1f".join(cells[first : first + MOST_ROWS].tolist())).encode("utf-8", "surrogatepass")
