"""Tables in a temporary file: the cells of a table in memory, wherever blocks and types change."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asserts import assert_bit_equal
from softclass.data import table_spill
from softclass.data.blocks import rows_of_block
from softclass.data.column import Column, Schema
from softclass.data.column_spill import encode_to_disk, text_blocks
from softclass.data.conform import encode_columns
from softclass.data.preprocessing import row_keys
from softclass.data.table import ReadOptions, read_table
from softclass.data.table_spill import TableSpill, take_in_order
from softclass.errors import Notes, TableError, TooLargeError


@pytest.fixture(autouse=True)
def _blocks_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softclass.data.blocks.MOST_ROWS", 7)
    monkeypatch.setattr("softclass.data.blocks.FEWEST_ROWS", 7)


def both(source: Any, **options: Any) -> tuple[Any, Any]:
    read = ReadOptions(**options)
    whole, spilled = read_table(source, read, Notes()), read_table(source, read, Notes(), limit=1)
    assert spilled.on_disk
    assert not whole.on_disk
    return whole, spilled


def assert_same_cells(whole: Any, spilled: Any) -> None:
    assert {name: (str(column.type), column.to_pylist()) for name, column in whole.columns.items()} == {
        name: (str(column.type), column.to_pylist()) for name, column in spilled.columns.items()
    }
    assert [whole.place(row) for row in range(whole.n_rows)] == [spilled.place(row) for row in range(whole.n_rows)]


def test_a_text_file_keeps_its_cells_and_the_lines_they_stood_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f'{i},"x\ny {i % 3}"\n' for i in range(50)), encoding="utf-8")

    whole, spilled = both(path)

    assert_same_cells(whole, spilled)
    assert spilled.place(49) == "line 100"


def test_files_whose_types_differ_get_the_type_that_holds_both(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2, None], "b": ["x", "y", "z"]}), tmp_path / "1.parquet")
    pq.write_table(
        pa.table({"b": pa.array(["z"] * 20).dictionary_encode(), "a": np.arange(20) / 3}), tmp_path / "2.parquet"
    )

    whole, spilled = both([tmp_path / "1.parquet", tmp_path / "2.parquet"])

    assert_same_cells(whole, spilled)
    assert str(spilled.columns["a"].type) == "double"
    assert spilled.place(5) == "2.parquet, row 3"


@pytest.mark.parametrize("limit", [1, 1e9])
def test_files_of_types_that_nothing_holds_are_refused(tmp_path: Path, limit: float) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x", "y"]}), tmp_path / "2.parquet")

    with pytest.raises(TableError, match=r"\[SC332\] 1\.parquet and 1 more: a column must be of one type in all files"):
        read_table([tmp_path / "1.parquet", tmp_path / "2.parquet"], ReadOptions(), Notes(), limit=limit)


def test_what_is_in_memory_already_stays_there() -> None:
    assert not read_table({"a": [1, 2]}, ReadOptions(), Notes(), limit=1).on_disk


def test_rows_that_were_left_out_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3\n" + "5,6\n" * 30, encoding="utf-8")

    whole, spilled = both(path, bad_rows="skip")

    assert spilled.rejected == whole.rejected == ((3, "3"),)
    assert spilled.n_rows == 31


@pytest.mark.parametrize("rows", [[], [0], [3, 6, 7, 8, 20], list(range(40))])
def test_some_rows_are_those_rows(tmp_path: Path, rows: list[int]) -> None:
    pq.write_table(pa.table({"a": np.arange(40), "b": [f"t{i}" for i in range(40)]}), tmp_path / "a.parquet")
    whole, spilled = both(tmp_path / "a.parquet")

    assert_same_cells(whole.take(np.array(rows, dtype=np.int64)), spilled.take(np.array(rows, dtype=np.int64)))
    assert take_in_order(pa.table(dict(whole.columns)), np.array(rows)).num_rows == len(rows)


def test_the_file_has_no_name_and_lives_as_long_as_the_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spill = TableSpill()
    spill.append(pa.table({"a": [1.5, 2.5]}))
    column = spill.finished().column("a")
    del spill
    gc.collect()

    assert list(tmp_path.iterdir()) == []
    assert column.to_pylist() == [1.5, 2.5]


class FullDisk:
    """Takes the first bytes, then there is no room."""

    def write_table(self, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_with_what_to_do() -> None:
    spill = TableSpill()
    spill.append(pa.table({"a": [1]}))
    spill._writer = FullDisk()

    with pytest.raises(TooLargeError, match=r"\[SC606\].*the disk has no room.*Set TMPDIR"):
        spill.append(pa.table({"a": [2]}))
    assert isinstance(table_spill.without_room(OSError(errno.EIO, "x")), OSError)


SCHEMA = Schema(
    "y",
    (),
    (
        Column("a", "a", "number", 0),
        Column("b", "b", "category", 0),
        Column("c", "column/c", "boolean", 0, true="yes", false="no"),
        Column("d", "d", "datetime", 0, date_format="iso"),
    ),
)


def cells() -> dict[str, list[str]]:
    return {
        "a": [str(i / 7) if i % 5 else "" for i in range(30)],
        "b": [f"t{i % 4}" if i % 6 else "" for i in range(30)],
        "c": ["yes" if i % 2 else "NO" for i in range(30)],
        "d": [f"2024-01-{1 + i % 28:02d}" for i in range(30)],
    }


def test_encoded_columns_on_disk_have_the_bits_of_those_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    columns = cells()
    rows = zip(*columns.values(), strict=True)
    path.write_text(",".join(columns) + "\n" + "".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    whole, spilled = both(path)

    expected, found = encode_columns(whole, SCHEMA, Notes()), encode_to_disk(spilled, SCHEMA, Notes())

    assert list(found) == list(expected)
    some = np.array([29, 3, 3, 11])
    for name, column in expected.items():
        assert found[name].dtype == column.dtype
        for chosen in (slice(None), slice(5, 9), some):
            if column.dtype == object:
                assert found[name][chosen].tolist() == column[chosen].tolist()
            else:
                assert_bit_equal(found[name][chosen], column[chosen])
        assert found[name].of(some)[1:].tolist() == column[some][1:].tolist()  # type: ignore[attr-defined]
    assert_bit_equal(row_keys(found), row_keys(expected))
    assert b"".join(text_blocks(found["b"])) == "\x1f".join(expected["b"].tolist()).encode()


def test_a_bad_cell_is_named_by_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "1\n" * 25 + "x\n" + "1\n" * 5, encoding="utf-8")
    _, spilled = both(path)

    with pytest.raises(TableError, match=r'a\.csv, line 27, column "a"'):
        encode_to_disk(spilled, Schema("y", (), (Column("a", "a", "number", 0),)), Notes())


def test_blocks_of_wide_tables_have_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert rows_of_block(10) > rows_of_block(1000) > rows_of_block(10**6) == 256
