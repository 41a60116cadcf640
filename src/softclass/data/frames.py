"""Tables in memory to Arrow columns: data frames, mappings, rows, arrays; their libraries are looked for only."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from softclass.data.arrow_files import from_batches
from softclass.data.blocks import Block, Reader
from softclass.data.names import clean_names
from softclass.errors import Notes, TableError, shown

# What Arrow raises for values that have no common type.
_NO_COMMON_TYPE = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError)


def is_frame(source: Any) -> bool:
    """
    Return whether an object in memory is a table.

    Examples
    --------
    >>> is_frame({"x": [1]}), is_frame([{"x": 1}]), is_frame(np.zeros((2, 3))), is_frame(np.zeros((2, 3, 3)))
    (True, True, True, False)
    """
    if isinstance(source, np.ndarray):
        return source.ndim == 2 or source.dtype.names is not None
    if isinstance(source, str | bytes):
        return False
    if isinstance(source, Mapping) or hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        return True
    if isinstance(source, Sequence):
        return any(isinstance(row, Mapping) for row in source) or not source
    return isinstance(nw.from_native(source, pass_through=True), nw.DataFrame | nw.LazyFrame)


def open_frame(source: Any, notes: Notes) -> Reader:
    """
    Open a table in memory.

    Parameters
    ----------
    source : object
        Anything for which `is_frame` holds.
    notes : Notes
        SC801 for an index with a name; SC818.

    Returns
    -------
    Reader
        Columns whose values have no common type are text and named in `mixed`.

    Raises
    ------
    TableError
        SC301: no columns; SC302: columns of different lengths; SC303: names; SC331: no table.

    Examples
    --------
    >>> reader = open_frame({"x": [1, "a", None]}, Notes())
    >>> [block.cells.to_pydict() for block in reader.blocks], sorted(reader.mixed)
    ([{'x': ['1', 'a', None]}], ['x'])
    """
    name = type(source).__name__
    if isinstance(source, pa.RecordBatchReader):
        return from_batches(source.schema, source, name, notes, damage="Arrow", close=source.close)
    if isinstance(source, pa.Table | pa.RecordBatch):
        batches = source.to_batches() if isinstance(source, pa.Table) else [source]
        return from_batches(source.schema, iter(batches), name, notes, damage="Arrow")
    if isinstance(source, np.ndarray):
        return _from_columns(_array_columns(source), name, notes)
    if isinstance(source, Mapping):
        return _from_columns(list(source.items()), name, notes)
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return _from_columns(_row_columns(source), name, notes)
    if nw.dependencies.is_pandas_dataframe(source):
        # By position: narwhals wants names that are text and differ; ours are made so afterwards.
        _note_index(source, notes)
        return _from_columns([(column, source.iloc[:, k]) for k, column in enumerate(source.columns)], name, notes)
    frame = nw.from_native(source, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.DataFrame):
        return _from_columns([(column, _native_column(frame, column)) for column in frame.columns], name, notes)
    try:
        if hasattr(source, "__arrow_c_stream__"):
            stream = pa.RecordBatchReader.from_stream(source)
            return from_batches(stream.schema, stream, name, notes, damage="Arrow", close=stream.close)
        if hasattr(source, "__arrow_c_array__"):
            batch = pa.record_batch(source)
            return from_batches(batch.schema, iter([batch]), name, notes, damage="Arrow")
    except (pa.ArrowException, TypeError) as cause:  # one column, not several
        raise not_a_table(source) from cause
    raise not_a_table(source)


def not_a_table(source: Any) -> TableError:
    """Return SC331 for an object that is no table."""
    what = (
        f"an array with {source.ndim} axes" if isinstance(source, np.ndarray) else f"the type {type(source).__name__}"
    )
    rule = "a table must be a path, a data frame, an Arrow table, a mapping of columns, rows or an array (n, d)"
    message = f"{rule}; got {what}"
    return TableError("SC331", message)


def _from_columns(columns: list[tuple[Any, Any]], name: str, notes: Notes) -> Reader:
    """Return a reader of columns that are all in memory."""
    names = clean_names([str(column) for column, _ in columns], notes, name)
    if not names:
        raise TableError("SC301", "the table has no columns", where=name)
    arrays, mixed = [], []
    for column, (_, values) in zip(names, columns, strict=True):
        array, is_mixed = _to_arrow(values, column, name)
        arrays.append(array)
        if is_mixed:
            mixed.append(column)
    for column, array in zip(names, arrays, strict=True):
        if len(array) != len(arrays[0]):
            message = (
                f'columns must have equally many rows; "{shown(names[0])}" has {len(arrays[0])} '
                f'and "{shown(column)}" has {len(array)}'
            )
            raise TableError("SC302", message, where=name)
    cells = pa.table(arrays, names=names)
    return Reader(name, cells.slice(0, 0), iter([Block(cells)]), mixed=frozenset(mixed))


def _to_arrow(values: Any, column: str, name: str) -> tuple[pa.Array | pa.ChunkedArray, bool]:
    """Return the values of a column, and whether numbers and text are mixed in it."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values, False
    if not isinstance(values, list):
        is_column = hasattr(values, "__len__") and hasattr(values, "__getitem__")
        if not is_column or isinstance(values, str | bytes | Mapping) or getattr(values, "ndim", 1) != 1:
            message = f"every column must have one axis; got the type {type(values).__name__}"
            raise TableError("SC331", message, where=f'{name}, column "{shown(column)}"')
        if isinstance(values, np.ndarray) and not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        if isinstance(values, np.ndarray) and values.dtype.kind == "U":
            values = values.tolist()  # Arrow would cut the text of an array at a NUL
    try:
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "iloc"):  # pandas: NaN is missing there
            return pa.chunked_array(values), False
        return pa.array(values, from_pandas=True), False
    except _NO_COMMON_TYPE:
        return _by_value(list(values), f'{name}, {{}}, column "{shown(column)}"')


def _by_value(values: list[Any], place: str) -> tuple[pa.Array, bool]:
    """Write every value as text; values that have no text make a column that no model can use."""
    texts = [_text_of(value) for value in values]
    for row, text in enumerate(texts, start=1):
        if isinstance(text, str) and not text.isascii() and any("\ud800" <= mark <= "\udfff" for mark in text):
            message = f'a text must be Unicode; "{shown(text)}" holds half a surrogate pair'
            hint = "It was decoded with errors ignored: read it with the right encoding"
            raise TableError("SC304", message, where=place.format(f"row {row:,}"), hint=hint)
    strange = next((value for value, text in zip(values, texts, strict=True) if text is NotImplemented), None)
    if strange is None:
        return pa.array(texts, pa.string()), True
    type_ = pa.opaque(pa.null(), shown(type(strange).__name__), "Python")
    return pa.ExtensionArray.from_storage(type_, pa.nulls(len(values))), False


def _text_of(value: Any) -> Any:
    """Return the text of one value, None if it is missing, NotImplemented if it has none."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return None if value != value else repr(float(value))
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else str(value)
    if isinstance(value, datetime.date):  # and datetime
        return value.isoformat()
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    return NotImplemented


def _array_columns(array: np.ndarray[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the columns of an array: its fields, or x0, x1 and so on."""
    if array.dtype.names is not None and array.ndim == 1:
        return [(field, array[field]) for field in array.dtype.names]
    if array.ndim != 2:
        raise not_a_table(array)
    columns = (array[:, k] for k in range(array.shape[1]))
    plain = array.dtype.kind in "fiubM" and not isinstance(array, np.ma.MaskedArray)
    return [(f"x{k}", np.ascontiguousarray(column) if plain else column.tolist()) for k, column in enumerate(columns)]


def _row_columns(rows: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return the columns of rows that are mappings, in order of first appearance; what a row lacks is missing."""
    if not all(isinstance(row, Mapping) for row in rows):
        strange = next(row for row in rows if not isinstance(row, Mapping))
        message = f"every row must be a mapping of column names to values; got the type {type(strange).__name__}"
        raise TableError("SC331", message, where=type(rows).__name__)
    names = dict.fromkeys(key for row in rows for key in row)
    return [(key, [row.get(key) for row in rows]) for key in names]


def _native_column(frame: nw.DataFrame[Any], column: str) -> Any:
    series = frame.get_column(column)
    if series.dtype == nw.Object:  # polars would hand out addresses
        return series.to_list()
    try:
        return series.to_arrow()
    except _NO_COMMON_TYPE:
        return series.to_list()


def _note_index(source: Any, notes: Notes) -> None:
    """Note an index with a name: it may be meant as a column."""
    for name in source.index.names:
        if name is not None:
            notes.add(
                "SC801",
                "an index of a data frame is no column and was left unread",
                column=str(name),
                hint="reset_index() makes it one",
            )
