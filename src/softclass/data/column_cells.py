"""The cells of one column while its kind is being judged: the distinct ones, how often, and where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from softclass.data import cells
from softclass.data.column import shell_word
from softclass.data.conform import read_numbers
from softclass.data.table import Table
from softclass.errors import TableError, shown

MAX_DISTINCT = 100_000
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one column and how to read them.

    Attributes
    ----------
    table : Table
        Where the column stands.
    name : str
        Its name.
    tokens : frozenset of str
        Texts that the user calls missing, and the empty one.
    values : pyarrow.ChunkedArray of string
        Distinct cells in order of first appearance, or all of them where there are more than `MAX_DISTINCT`.
    counts : int64 array
        How often each of `values` occurs.
    date_format : str or None
        How dates are written, if the user says so.
    """

    table: Table
    name: str
    tokens: frozenset[str]
    values: pa.ChunkedArray
    counts: Int64
    date_format: str | None

    @property
    def all_tokens(self) -> frozenset[str]:
        """What is missing in a column of numbers, truth values or dates."""
        return self.tokens | cells.MISSING_TOKENS

    @property
    def decimal(self) -> str:
        """The decimal mark of the file."""
        return self.table.dialect.decimal if self.table.dialect else "."

    @property
    def thousands(self) -> str | None:
        """The mark between groups of digits."""
        return self.table.dialect.thousands if self.table.dialect else None

    def texts(self, chosen: npt.NDArray[np.bool_], limit: int | None = None) -> list[str]:
        """Return some of the cells, the first first."""
        rows = np.flatnonzero(chosen)[:limit]
        return [str(text) for text in self.values.take(pa.array(rows)).to_pylist()]

    def where(self, text: str | None = None) -> str:
        """Return table and column, and the line of the first cell with this text."""
        place = ""
        if text is not None:
            row = pc.index(self.table.columns[self.name], pa.scalar(text, self.table.columns[self.name].type)).as_py()
            place = f" {self.table.place(row)}," if row >= 0 else ""
        return f'{shown(self.table.name)},{place} column "{shown(self.name)}"'

    def numbers(self) -> cells.Judged:
        """Read the cells as numbers."""
        return read_numbers(self.values, self.table.dialect, self.tokens)


def distinct_cells(table: Table, name: str, tokens: frozenset[str], date_format: str | None) -> Cells:
    """
    Return the distinct cells of a column as text, or all of them where there are too many.

    Parameters
    ----------
    table : Table
        Holds the column, of any usable type.
    name : str
        Its name.
    tokens : frozenset of str
        Texts that the user calls missing, and the empty one.
    date_format : str or None
        How dates are written, if the user says so.

    Returns
    -------
    Cells
        Null counts as the empty cell.

    Examples
    --------
    >>> table = Table("t", {"a": pa.chunked_array([["x", None, "x"]])}, 3, True, None)
    >>> found = distinct_cells(table, "a", frozenset({""}), None)
    >>> found.values.to_pylist(), found.counts.tolist()
    (['x', ''], [2, 1])
    """
    column = table.columns[name]
    texts = column if cells.type_kind(column.type) == "text" else cells.typed_to_text(column)
    found = cells.distinct(texts, MAX_DISTINCT)
    if found is None:
        return Cells(table, name, tokens, texts.fill_null(""), np.ones(len(texts), dtype=np.int64), date_format)
    empty = [""] if texts.null_count else []  # distinct cells are without null
    values = pa.chunked_array([pa.array([*found[0], *empty], pa.string())])
    counts = np.append(found[1], texts.null_count) if empty else found[1]
    return Cells(table, name, tokens, values, counts, date_format)


def number_error(judged: Cells, bad: npt.NDArray[np.bool_], n_bad: int, n_present: int) -> TableError:
    """
    Return the error about cells that are no numbers, with the line of the first.

    Parameters
    ----------
    judged : Cells
        The column.
    bad : bool array
        Which of its values are no numbers.
    n_bad, n_present : int
        Number of such cells, and of all that are not missing.

    Returns
    -------
    TableError
        SC308 if the first is a number that is not finite, else SC307.

    Examples
    --------
    >>> table = Table("t.csv", {"a": pa.chunked_array([["1", "x"]])}, 2, True, None)
    >>> judged = Cells(table, "a", frozenset({""}), table.columns["a"], np.array([1, 1]), None)
    >>> print(number_error(judged, np.array([False, True]), 1, 2).message)
    must be a number; got "x" (1 of 2 cells; the others are numbers)
    """
    first = judged.texts(bad, 1)[0]
    code, name = fault_of(judged, first), shell_word(judged.name)
    rest = "; the others are numbers" if n_bad < n_present else ""
    counted = f"({n_bad:,} of {n_present:,} cells{rest})"
    rule = "must be a finite number" if code == "SC308" else "must be a number"
    missing = f"--na-values {shell_word(f'{judged.name}={first.strip()}')} to call it missing"
    hint = f"{_comma_hint(judged, first.strip())}{missing}, or --category {name}"
    return TableError(code, f'{rule}; got "{shown(first)}" {counted}', where=judged.where(first), hint=hint)


def _comma_hint(judged: Cells, text: str) -> str:
    """Return what to do about 5,1 or 1,234 among numbers, if reading them otherwise would not spoil the others."""
    if judged.decimal != "." or judged.thousands is not None:
        return ""
    fractions = bool(pc.any(pc.match_substring(judged.values, ".")).as_py())
    thousands = "--thousands , for marks between thousands, " if _THOUSANDS.fullmatch(text) else ""
    decimal = "--decimal , for decimal commas, " if _DECIMAL_COMMA.fullmatch(text) and not fractions else ""
    return thousands + decimal


def fault_of(judged: Cells, text: str) -> str:
    """
    Return the code for a cell that is no number.

    Parameters
    ----------
    judged : Cells
        The column.
    text : str
        The cell.

    Returns
    -------
    str
        SC308 for a number that is not finite, else SC307.

    Examples
    --------
    >>> table = Table("t.csv", {"a": pa.chunked_array([["1", "x"]])}, 2, True, None)
    >>> fault_of(distinct_cells(table, "a", frozenset({""}), None), "inf")
    'SC308'
    """
    return cells.number_fault(text, decimal=judged.decimal, thousands=judged.thousands)
