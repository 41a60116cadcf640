"""Tables in memory: frames, mappings, rows, arrays."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from softclass.data.dialect import ReadOptions
from softclass.data.frames import is_frame
from softclass.data.table import Table, read_batches, read_table
from softclass.errors import Notes, TableError

ROWS = {"x": [1.5, None, 3.0], "n": [1, None, 3], "s": ["a", "NA", None], "b": [True, False, None]}


def read(source: Any, notes: Notes | None = None) -> Table:
    return read_table(source, ReadOptions(), Notes() if notes is None else notes)


def plain(table: Table) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in table.columns.items()}


class Stream:
    """An object that only knows Arrow's C interface."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class OneBatch:
    """An object that is one record batch by Arrow's C interface."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return pa.record_batch(ROWS).__arrow_c_array__(requested_schema)


def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame({
        "x": pd.Series(ROWS["x"]), "n": pd.Series(ROWS["n"], dtype="Int64"),
        "s": pd.Series(ROWS["s"], dtype=object), "b": pd.Series(ROWS["b"], dtype="boolean"),
    })  # fmt: skip


SOURCES = {
    "mapping": lambda: ROWS,
    "rows": lambda: [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)],
    "pandas": pandas_frame,
    "pandas with Arrow": lambda: pandas_frame().convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: pl.DataFrame(ROWS),
    "lazy polars": lambda: pl.DataFrame(ROWS).lazy(),
    "Arrow table": lambda: pa.table(ROWS),
    "Arrow batch": lambda: pa.record_batch(ROWS),
    "Arrow reader": lambda: pa.table(ROWS).to_reader(),
    "Arrow stream": lambda: Stream(pa.table(ROWS)),
    "Arrow C array": OneBatch,
    "series": lambda: {name: pl.Series(values) for name, values in ROWS.items()},
    "pandas series": lambda: {name: pandas_frame()[name] for name in ROWS},
    "Arrow columns": lambda: {name: pa.chunked_array([values]) for name, values in ROWS.items()},
}


@pytest.mark.parametrize("kind", list(SOURCES))
def test_every_kind_of_table_has_the_same_cells(kind: str) -> None:
    table = read(SOURCES[kind]())

    assert plain(table) == ROWS
    assert (table.n_rows, table.is_text, table.dialect, table.mixed) == (3, False, None, frozenset())


@pytest.mark.parametrize("kind", list(SOURCES))
@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_batches_have_the_same_cells(kind: str, batch_rows: int) -> None:
    batches = list(read_batches(SOURCES[kind](), ReadOptions(), Notes(), batch_rows=batch_rows))

    assert [table.n_rows for table in batches] == {1: [1, 1, 1], 2: [2, 1]}.get(batch_rows, [3])
    parts = [plain(table) for table in batches]
    assert {name: [value for part in parts for value in part[name]] for name in ROWS} == ROWS
    assert [table.place(0) for table in batches] == [f"row {k * batch_rows + 1}" for k in range(len(batches))]


@pytest.mark.parametrize("kind", list(SOURCES))
def test_they_are_tables(kind: str) -> None:
    assert is_frame(SOURCES[kind]())


@pytest.mark.parametrize(
    "source", [7, None, "text", b"bytes", ["a"], np.zeros(3), np.zeros((2, 2, 2)), {1, 2}, object()]
)
def test_other_things_are_none(source: Any) -> None:
    assert not is_frame(source)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[1, 2], [3, 4]], dtype=np.uint8), {"x0": [1, 3], "x1": [2, 4]}),
        (np.asfortranarray([[1.5, np.nan]]), {"x0": [1.5], "x1": [None]}),
        (np.array([[1, "a"], [2, None]], dtype=object), {"x0": [1, 2], "x1": ["a", None]}),
        (np.array([["a", "b"]]), {"x0": ["a"], "x1": ["b"]}),
        (np.array([[True]]), {"x0": [True]}),
        (np.ma.masked_array([[1, 2]], mask=[[False, True]]), {"x0": [1], "x1": [None]}),
        (np.array([(1, "a")], dtype=[("n", "i4"), ("s", "U1")]), {"n": [1], "s": ["a"]}),
        (np.zeros((0, 1)), {"x0": []}),
        (np.array([[np.float16(1.5)]]), {"x0": [1.5]}),
        (np.array([[1.5]], dtype=">f8"), {"x0": [1.5]}),
    ],
)
def test_arrays_have_columns(array: Any, expected: dict[str, list[Any]]) -> None:
    assert plain(read(array)) == expected


# ------------------------------------------------------------------------------------------------------------- T41
@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, "a", None], ["1", "a", None]),
        ([5.1, "x", np.nan, pd.NaT, pd.NA], ["5.1", "x", None, None, None]),
        ([True, "x"], ["True", "x"]),
        ([True, 1], ["True", "1"]),
        ([2**70, "x"], [str(2**70), "x"]),
        ([decimal.Decimal("1.10"), decimal.Decimal("NaN"), "x"], ["1.10", None, "x"]),
        ([datetime.date(2024, 2, 29), "x"], ["2024-02-29", "x"]),
        ([np.float32(0.5), np.int8(3), np.str_("x"), np.bool_(False)], ["0.5", "3", "x", "False"]),
        ([np.datetime64("2024-01-01"), np.datetime64("NaT"), "x"], ["2024-01-01", None, "x"]),
    ],
)
@pytest.mark.parametrize(
    "wrap", [lambda values: {"m": values}, lambda values: pd.DataFrame({"m": pd.Series(values, dtype=object)})]
)
def test_mixed_columns_are_text_by_value(wrap: Any, values: list[Any], texts: list[str | None]) -> None:
    table = read(wrap(values))

    assert (plain(table), table.mixed, table.is_text_column("m")) == ({"m": texts}, {"m"}, True)


def test_mixed_columns_of_polars_are_text_by_value() -> None:
    table = read(pl.DataFrame({"m": pl.Series([1, "a", None], dtype=pl.Object)}))

    assert (plain(table), table.mixed) == ({"m": ["1", "a", None]}, {"m"})


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        ([object(), 1], "extension<arrow.opaque[storage_type=null, type_name=object, vendor_name=Python]>"),
        ([1j, 2], "extension<arrow.opaque[storage_type=null, type_name=complex, vendor_name=Python]>"),
        ([[1], [2]], "list<item: int64>"),
        ([b"a", b"b"], "binary"),
        (pd.Series(pd.period_range("2024", periods=2, freq="D")), "extension<pandas.period<ArrowPeriodType>>"),
        (pd.Series(pd.to_timedelta([1, 2])), "duration[ns]"),
    ],
)
def test_columns_that_no_model_can_use_keep_their_type(column: Any, type_: str) -> None:
    table = read(pd.DataFrame({"c": column}))

    assert (str(table.columns["c"].type), table.mixed) == (type_, frozenset())


def test_categories_are_text_and_dates_are_dates() -> None:
    frame = pd.DataFrame({
        "c": pd.Categorical(["u", None]), "k": pd.Categorical([7, 8]), "d": pd.to_datetime(["2024-01-01", None]),
        "z": pd.to_datetime(["2024-01-01 01:00+01:00", None]),
    })  # fmt: skip

    table = read(frame)

    assert [str(column.type)[:9] for column in table.columns.values()] == ["string", "string", "timestamp", "timestamp"]
    assert (plain(table)["c"], plain(table)["k"]) == (["u", None], ["7", "8"])


@pytest.mark.parametrize("names", [["id"], ["a", "b"]])
def test_an_index_with_a_name_is_noted(names: list[str]) -> None:
    notes = Notes()
    index = pd.MultiIndex.from_tuples([tuple(range(len(names)))], names=names)

    table = read(pd.DataFrame({"x": [1]}, index=index), notes)

    assert plain(table) == {"x": [1]}
    assert [(note.code, note.message) for note in notes] == [
        ("SC801", f'column "{name}": an index of a data frame is no column and was left unread') for name in names
    ]


def test_a_plain_index_is_not_noted() -> None:
    notes = Notes()

    read(pd.DataFrame({"x": [1, 2]}, index=["r1", "r2"]), notes)

    assert len(notes) == 0


def test_an_index_that_was_saved_is_no_column() -> None:
    assert list(read(pa.table({"x": [1], "__index_level_0__": [7]})).columns) == ["x"]


def test_names_that_are_no_text_become_text() -> None:
    notes = Notes()

    table = read(pd.DataFrame([[1, 2, 3]], columns=[0, ("a", 1), " b "]), notes)

    assert list(table.columns) == ["0", "('a', 1)", "b"]
    assert [note.code for note in notes] == ["SC818"]


RULE = "a table must be a path, a data frame, an Arrow table, a mapping of columns, rows or an array (n, d)"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, f"[SC331] {RULE}; got the type int"),
        (["a", 1], f"[SC331] {RULE}; got the type list"),
        (np.zeros(3), f"[SC331] {RULE}; got an array with 1 axes"),
        (pd.Series([1]), f"[SC331] {RULE}; got the type Series"),
        (pl.Series([1]), f"[SC331] {RULE}; got the type Series"),
        ([{"a": 1}, 3], "[SC331] list: every row must be a mapping of column names to values; got the type int"),
        ({"x": 1.5}, '[SC331] dict, column "x": every column must have one axis; got the type float'),
        ({"x": "abc"}, '[SC331] dict, column "x": every column must have one axis; got the type str'),
        ({"x": np.zeros((2, 2))}, '[SC331] dict, column "x": every column must have one axis; got the type ndarray'),
        ({"x": [1], "y": [1, 2]}, '[SC302] dict: columns must have equally many rows; "x" has 1 and "y" has 2'),
        ({}, "[SC301] dict: the table has no columns"),
        ([], "[SC301] list: the table has no columns"),
        (pd.DataFrame(), "[SC301] DataFrame: the table has no columns"),
        (np.zeros((2, 0)), "[SC301] ndarray: the table has no columns"),
        (pa.table({}), "[SC301] Table: the table has no columns"),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            '[SC303] DataFrame: column names must differ; "a" is column 1 and column 2. Rename one of them',
        ),
        (
            pa.table([[1], [2]], names=["a", " a"]),
            '[SC303] Table: column names must differ; "a" is column 1 and column 2. Rename one of them',
        ),
    ],
)
def test_what_is_no_table_is_refused(source: Any, message: str) -> None:
    with pytest.raises(TableError, match="^" + re.escape(message) + "$"):
        read(source)
