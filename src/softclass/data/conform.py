"""A table to the columns that a model takes: matched by name, read as the kind they had in training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from softclass._typing import Columns
from softclass.data import cells
from softclass.data.column import Column, Schema, shell_word
from softclass.data.dialect import Dialect
from softclass.data.table import Table
from softclass.errors import Notes, TableError, first_few, first_quoted, nearest, shown

# Read in a boolean column beside the pair of training: what frames and other programs make of truth values.
_FURTHER_PAIRS = (("true", "false"), ("1", "0"))

Texts = npt.NDArray[np.object_]


def encode_columns(table: Table, schema: Schema, notes: Notes) -> Columns:
    """
    Read the columns of a schema: the one step that file, frame and standard input share.

    Parameters
    ----------
    table : Table
        Columns in any order.
    schema : Schema
        What they were in training.
    notes : Notes
        Told of columns that are not used (SC801).

    Returns
    -------
    dict of str to array of shape (n_rows,)
        By name in the graph: float64, NaN where missing, truth values as 0 and 1, dates as seconds since 1970 in UTC;
        or object of str, "" where missing.

    Raises
    ------
    TableError
        SC321, if a column is missing; SC307, SC308, SC322, if its cells are not of its kind.

    Examples
    --------
    >>> schema = Schema("y", (), (Column("width", "width", "number", 0),))
    >>> encode_columns(Table("t", {"width": pa.chunked_array([["1.5", ""]])}, 2, True, None), schema, Notes())
    {'width': array([1.5, nan])}
    """
    _check_names(table, schema, notes)
    return {column.input: _encode(table, column) for column in schema.columns}


def read_numbers(texts: pa.ChunkedArray, dialect: Dialect | None, tokens: frozenset[str]) -> cells.Judged:
    """
    Read text as numbers, whatever else the user calls missing.

    Parameters
    ----------
    texts : pyarrow.ChunkedArray of string
        The cells.
    dialect : Dialect or None
        Knows the decimal mark.
    tokens : frozenset of str
        What the user calls missing; the usual words are missing anyway.

    Returns
    -------
    values, missing, bad : arrays of shape (n_cells,)
        float64 with NaN where missing or bad; two of bool.

    Examples
    --------
    >>> read_numbers(pa.chunked_array([["1", "-999", "NA"]]), None, frozenset({"-999"}))[0]
    array([ 1., nan, nan])
    """
    decimal, thousands = (dialect.decimal, dialect.thousands) if dialect else (".", None)
    missing_words = cells.MISSING_TOKENS | tokens
    values, missing, bad = cells.text_to_numbers(texts, decimal=decimal, thousands=thousands, missing=missing_words)
    if tokens - cells.MISSING_TOKENS:
        # A word for missing may be a number itself, such as -999.
        absent = cells.is_missing(texts, tokens)
        values, missing, bad = np.where(absent, np.nan, values), missing | absent, bad & ~absent
    return values, missing, bad


def _check_names(table: Table, schema: Schema, notes: Notes) -> None:
    """Refuse a table without some column, and tell of columns that are not used."""
    used = {column.name for column in schema.columns}
    extra = [name for name in table.columns if name not in used]
    missing = [column.name for column in schema.columns if column.name not in table.columns]
    if missing:
        close: dict[str, str] = {}
        for name in missing:
            if found := nearest(name, [other for other in extra if other not in close.values()], 1):
                close[name] = found[0]
        hint = "The model needs it; it matches columns by name, in any order"
        if close:
            renamed = " ".join(f'"{shown(found)}"' for found in list(close.values())[:1])
            pairs = ",".join(f"{found}={name}" for name, found in close.items())
            hint = f"Rename {renamed}, or pass --rename {shell_word(pairs)}"
        listed = first_quoted(missing)
        word = f"column {listed} is" if len(missing) == 1 else f"columns {listed} are"
        raise TableError("SC321", f"{word} missing; found {_listed(table)}", where=shown(table.name), hint=hint)
    known = {schema.target, *schema.ids, *(dropped.name for dropped in schema.dropped)}
    unknown = [name for name in extra if name not in known]
    if unknown:
        listed = first_quoted(unknown)
        word = "column is" if len(unknown) == 1 else "columns are"
        # The number stands in the text, since batches of one table would add it up.
        notes.add("SC801", f"{len(unknown):,} {word} not used: {listed}")


def _listed(table: Table) -> str:
    """Name the columns of a table."""
    return first_few([shown(name) for name in table.columns]) or "no column"


def _encode(table: Table, column: Column) -> npt.NDArray[Any]:
    """Read one column as its kind."""
    found = table.columns[column.name]
    type_kind = "text" if table.is_text_column(column.name) else cells.type_kind(found.type)
    if type_kind == "other":
        message = f"columns of type {shown(found.type)} cannot be used"
        raise TableError("SC332", message, where=f'{shown(table.name)}, column "{shown(column.name)}"')
    if column.kind == "category":
        return _texts(found, column, type_kind)
    if type_kind == "null":
        return np.full(table.n_rows, np.nan)
    if type_kind == "text":
        return _from_text(table, column)
    return _from_typed(table, column, type_kind)


def _texts(found: pa.ChunkedArray, column: Column, type_kind: str) -> Texts:
    """Read a category column: the text of the file, or numbers in digits; of many, equal texts share one object."""
    texts = found if type_kind == "text" else cells.typed_to_text(found)
    tokens = frozenset({"", *column.na_values})
    result = np.empty(len(texts), dtype=object)
    first = 0
    for chunk in (chunk for chunk in texts.chunks if len(chunk)):
        known = chunk.fill_null("") if chunk.null_count else chunk
        encoded = None if len(chunk) <= cells.FEW_CELLS else known.dictionary_encode()
        values = pa.chunked_array([known if encoded is None else encoded.dictionary])
        shared = values.to_numpy().astype(object)
        if column.integer:
            shared = _in_digits(values, shared)
        shared[cells.is_missing(values, tokens)] = ""
        result[first : first + len(chunk)] = shared if encoded is None else shared[encoded.indices.to_numpy()]
        first += len(chunk)
    return result


def _in_digits(values: pa.ChunkedArray, texts: Texts) -> Texts:
    """Write texts that are numbers in digits, so that 4.0 in a file is the category 4 of a frame."""
    numbers, missing, bad = cells.text_to_numbers(values, missing=frozenset({""}))
    plain = ~missing & ~bad & (np.abs(numbers) <= 2.0**53)
    texts[plain] = cells.typed_to_text(pa.chunked_array([pa.array(numbers[plain])])).to_numpy()
    return texts


def _from_text(table: Table, column: Column) -> npt.NDArray[np.float64]:
    """Read text as numbers, truth values or dates."""
    tokens = cells.MISSING_TOKENS | set(column.na_values)
    read: Callable[[pa.ChunkedArray], cells.Judged]
    if column.kind == "number":
        read = partial(read_numbers, dialect=table.dialect, tokens=tokens)
    else:
        read = partial(_booleans if column.kind == "boolean" else _seconds, column=column, tokens=tokens)
    values, missing, bad = _by_distinct(table.columns[column.name], read)
    if bad.any():
        raise _bad_cell(table, column, bad, int((~missing).sum()))
    return values


def _by_distinct(found: pa.ChunkedArray, read: Callable[[pa.ChunkedArray], cells.Judged]) -> cells.Judged:
    """Read each distinct text of a chunk once."""
    results = [(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))]
    for chunk in (chunk for chunk in found.chunks if len(chunk)):
        encoded = chunk.fill_null("").dictionary_encode()
        judged = read(pa.chunked_array([encoded.dictionary]))
        indices = encoded.indices.to_numpy()
        results.append((judged[0][indices], judged[1][indices], judged[2][indices]))
    values, missing, bad = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
    return values, missing, bad


def _booleans(texts: pa.ChunkedArray, column: Column, tokens: frozenset[str]) -> cells.Judged:
    """Read truth values, in the pair of training or in one that other programs write."""
    values, missing, bad = cells.text_to_booleans(
        texts, true=column.true or "", false=column.false or "", missing=tokens
    )
    for true, false in _FURTHER_PAIRS if bad.any() else ():
        others, _, still_bad = cells.text_to_booleans(texts, true=true, false=false, missing=tokens)
        values, bad = np.where(bad, others, values), bad & still_bad
    return values, missing, bad


def _seconds(texts: pa.ChunkedArray, column: Column, tokens: frozenset[str]) -> cells.Judged:
    """Read dates as they were written in training, or in ISO 8601."""
    date_format = column.date_format or "iso"
    values, missing, bad = cells.text_to_seconds(texts, date_format=date_format, missing=tokens)
    if bad.any() and date_format != "iso":
        others, _, still_bad = cells.text_to_seconds(texts, date_format="iso", missing=tokens)
        values, bad = np.where(bad, others, values), bad & still_bad
    return values, missing, bad


def _bad_cell(table: Table, column: Column, bad: npt.NDArray[np.bool_], n_present: int) -> TableError:
    """Return the error about the first cell that is not of the column's kind."""
    row, n_bad = int(np.argmax(bad)), int(bad.sum())
    text = str(table.columns[column.name][row].as_py())
    where = f'{shown(table.name)}, {table.place(row)}, column "{shown(column.name)}"'
    code, rule = "SC322", f"held {_plural(column)} in training"
    if column.kind == "number":
        decimal, thousands = (table.dialect.decimal, table.dialect.thousands) if table.dialect else (".", None)
        code = cells.number_fault(text, decimal=decimal, thousands=thousands)
        rule = "must be a finite number" if code == "SC308" else "must be a number"
        if code == "SC307" and 2 * n_bad > n_present:
            code, rule = "SC322", "held numbers in training"
    rest = "" if n_bad == n_present else f"; the others are {_plural(column)}"
    message = f'{rule}; got "{shown(text)}" ({n_bad:,} of {n_present:,} cells{rest})'
    hint = "Mend the cell, or empty it if it means missing"
    return TableError(code, message, where=where, hint=hint)


def _plural(column: Column) -> str:
    """Name what a column of this kind holds."""
    if column.kind == "boolean":
        return f'"{shown(column.true)}" and "{shown(column.false)}"'
    return "dates" if column.kind == "datetime" else "numbers"


def _from_typed(table: Table, column: Column, type_kind: str) -> npt.NDArray[np.float64]:
    """Read a column whose type is given: numbers, truth values or dates."""
    found = table.columns[column.name]
    if (column.kind == "datetime") != (type_kind == "datetime"):
        message = f"held {_plural(column)} in training; its type is {shown(found.type)} now"
        where = f'{shown(table.name)}, column "{shown(column.name)}"'
        raise TableError("SC322", message, where=where, hint="Give it the type that it had in training")
    values, missing = cells.typed_to_seconds(found) if type_kind == "datetime" else cells.typed_to_numbers(found)
    wrong = np.isinf(values)
    code, rule = "SC308", "must be a finite number"
    if column.kind == "boolean":
        wrong = ~missing & (values != 0.0) & (values != 1.0)
        code, rule = "SC322", f"held {_plural(column)} in training"
    if wrong.any():
        row = int(np.argmax(wrong))
        message = f"{rule}; got {values[row]} ({int(wrong.sum()):,} of {int((~missing).sum()):,} cells)"
        place = f'{shown(table.name)}, {table.place(row)}, column "{shown(column.name)}"'
        raise TableError(code, message, where=place, hint="Mend the cell, or make it missing")
    return values
