"""A table that does not fit into memory: its cells in a temporary file without a name, mapped and not held."""

from __future__ import annotations

import errno
import mmap
import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from softclass.data.blocks import rows_of_block
from softclass.errors import TooLargeError

Rows = npt.NDArray[np.integer[Any]]


class TableSpill:
    """
    Takes blocks of a table and becomes a table whose cells lie in a file.

    The pages of the file belong to the system, which drops them when memory is short. The file has no name: it is gone
    with the last column, or with the process, however that ends.

    Examples
    --------
    >>> spill = TableSpill()
    >>> spill.append(pa.table({"a": [1, 2]}))
    >>> spill.append(pa.table({"a": [3]}))
    >>> spill.finished().column("a").to_pylist()
    [1, 2, 3]
    """

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def append(self, cells: pa.Table) -> None:
        """
        Write some rows.

        Parameters
        ----------
        cells : pyarrow.Table
            Of the same columns every time; types may differ.

        Raises
        ------
        TooLargeError
            SC606, if the disk is full.
        """
        if self._file is None or cells.schema != self._schema:
            self._close_part()
            # Not closed here: the file lives as long as the columns that are mapped from it.
            self._file = tempfile.TemporaryFile(prefix="softclass-")  # noqa: SIM115
            self._schema = cells.schema
            self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), cells.schema)
        try:
            self._writer.write_table(cells, max_chunksize=rows_of_block(cells.num_columns))
        except OSError as error:
            self._file.close()
            raise without_room(error) from error

    def finished(self) -> pa.Table:
        """Return all rows; a column whose type differs between blocks gets the type that holds all of it."""
        self._close_part()
        if len(self._parts) == 1:
            return self._parts[0]
        # Two Parquet files may store one column with different types: integers there, floats here.
        whole = pa.unify_schemas([part.schema for part in self._parts], promote_options="permissive")
        alike = TableSpill()
        for part in self._parts:
            size = rows_of_block(part.num_columns)
            for first in range(0, part.num_rows, size):
                block = part.slice(first, size)
                alike.append(pa.concat_tables([whole.empty_table(), block], promote_options="permissive"))
        return alike.finished()

    def _close_part(self) -> None:
        if self._writer is None or self._file is None:
            return
        try:
            self._writer.close()
            self._file.flush()
        except OSError as error:
            self._file.close()
            raise without_room(error) from error
        self._parts.append(pa.ipc.open_file(pa.py_buffer(mapped(self._file))).read_all())
        self._file.close()
        self._writer = self._file = None


def mapped(file: IO[bytes]) -> mmap.mmap:
    """Return a file as memory that is read from it when it is looked at; it outlives the file object."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def without_room(error: OSError) -> OSError | TooLargeError:
    """Return what a failed write means: SC606 if the disk is full, else the error itself."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return TooLargeError(
        "SC606",
        "the table takes more than --memory-limit, and the disk has no room for a temporary copy of it",
        where=tempfile.gettempdir(),
        hint="Set TMPDIR to a folder on a larger disk, or use --rows",
    )


def take_in_order(cells: pa.Table, rows: Rows) -> pa.Table:
    """
    Return some rows of a table that lies in a file, in a file of their own if they are many.

    Parameters
    ----------
    cells : pyarrow.Table
        Of any length.
    rows : int array
        Row numbers, ascending.

    Returns
    -------
    pyarrow.Table
        As many rows.

    Examples
    --------
    >>> take_in_order(pa.table({"a": [1, 2, 3]}), np.array([0, 2])).column("a").to_pylist()
    [1, 3]
    """
    spill, held, size = TableSpill(), [], rows_of_block(cells.num_columns)
    for first in range(0, cells.num_rows, size):
        start, stop = np.searchsorted(rows, (first, first + size))
        if start == stop:
            continue
        # One chunk a column: a selection from a chunked column would join all its chunks first.
        block = cells.slice(first, size).combine_chunks()
        taken = block.take(pa.array(np.asarray(rows[start:stop], dtype=np.int64) - first))
        if len(rows) <= size:
            held.append(taken)
        else:
            spill.append(taken)
    if len(rows) <= size:
        return pa.concat_tables([cells.schema.empty_table(), *held])
    return spill.finished()
