"""Tables from files, standard input and several files; whole or in blocks, with the same cells and places."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import softclass
from softclass.data.dialect import Dialect, ReadOptions
from softclass.data.table import Table, is_table_source, read_batches, read_table
from softclass.errors import Notes, SoftclassError

TYPED = pa.table({"n": [1, None, 3], "s": pa.array(["a", "NA", None]).dictionary_encode(), "x": [0.5, 1.5, None]})
CELLS = {"n": [1, None, 3], "s": ["a", "NA", None], "x": [0.5, 1.5, None]}

TESTS = Path(__file__).parents[1]


def read(source: Any, notes: Notes | None = None, **options: Any) -> Table:
    return read_table(source, ReadOptions(**options), Notes() if notes is None else notes)


def plain(table: Table) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in table.columns.items()}


def places(table: Table) -> list[str]:
    return [table.place(row) for row in range(table.n_rows)]


def stream_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def ipc_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def parquet_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, row_group_size=2, write_page_checksum=True)
    return sink.getvalue()


def joined(parts: Iterable[list[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(parts))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, content: bytes | str) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


# ----------------------------------------------------------------------------------------------------------- formats
@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lambda data: pa.compress(data, "zstd", asbytes=True)]
)
def test_text_is_read_however_it_is_packed(pack: Callable[[bytes], bytes]) -> None:
    table = read(put("a.parquet", pack(b"a,b\n1,x\n2,\n")))  # the content counts, not the name

    assert (plain(table), table.name, table.is_text) == ({"a": ["1", "2"], "b": ["x", ""]}, "a.parquet", True)
    assert (table.dialect, places(table)) == (Dialect(), ["line 2", "line 3"])


@pytest.mark.parametrize("encode", [stream_of, ipc_of, parquet_of])
@pytest.mark.parametrize("input_format", [None, "right"])
def test_typed_files_are_read(encode: Callable[[pa.Table], bytes], input_format: str | None) -> None:
    right = "parquet" if encode is parquet_of else "arrow"

    table = read(put("a.csv", encode(TYPED)), input_format=input_format and right)

    assert (plain(table), table.is_text, table.dialect) == (CELLS, False, None)
    assert (str(table.columns["s"].type), places(table)) == ("string", ["row 1", "row 2", "row 3"])


@pytest.mark.parametrize("encode", [stream_of, ipc_of, parquet_of])
@pytest.mark.parametrize("batch_rows", [1, 2, 3, 50])
def test_typed_files_are_read_in_blocks(encode: Callable[[pa.Table], bytes], batch_rows: int) -> None:
    batches = list(read_batches(put("a", encode(TYPED)), ReadOptions(), Notes(), batch_rows=batch_rows))

    assert {name: joined(plain(table)[name] for table in batches) for name in CELLS} == CELLS
    assert joined(places(table) for table in batches) == ["row 1", "row 2", "row 3"]


@pytest.mark.parametrize("encode", [stream_of, ipc_of, parquet_of])
def test_typed_files_without_rows_have_columns(encode: Callable[[pa.Table], bytes]) -> None:
    path = put("a", encode(TYPED.slice(0, 0)))

    assert (plain(read(path)), len(list(read_batches(path, ReadOptions(), Notes())))) == (
        {"n": [], "s": [], "x": []},
        1,
    )


def test_a_column_that_no_model_can_use_does_not_stop_reading() -> None:
    table = read(put("a", parquet_of(pa.table({"x": [1], "l": [[1]], "d": pa.array([1], pa.decimal128(3, 1))}))))

    assert [str(column.type) for column in table.columns.values()] == ["int64", "list<element: int64>", "double"]


DAMAGED = "data are damaged or cut short. Write or fetch the file again"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "[SC301] a.csv: the file is empty. Write it again; a table has a header and rows"),
        (gzip.compress(b""), {}, "[SC301] a.csv: the file is empty. Write it again; a table has a header and rows"),
        (parquet_of(TYPED)[:-9], {}, f"[SC331] a.csv: the Parquet {DAMAGED}"),
        (b"PAR1", {}, f"[SC331] a.csv: the Parquet {DAMAGED}"),
        (b"PAR1" + b"x" * 50 + b"\xff\xff\xff\x7fPAR1", {}, f"[SC331] a.csv: the Parquet {DAMAGED}"),
        (ipc_of(TYPED)[:-9], {}, f"[SC331] a.csv: the Arrow {DAMAGED}"),
        (stream_of(TYPED)[:100], {}, f"[SC331] a.csv: the Arrow {DAMAGED}"),
        (stream_of(TYPED)[:-60], {}, f"[SC331] a.csv: the Arrow {DAMAGED}"),
        (b"a,b\n1,2\n", {"input_format": "parquet"}, f"[SC331] a.csv: the Parquet {DAMAGED}"),
        (b"a,b\n1,2\n", {"input_format": "arrow"}, f"[SC331] a.csv: the Arrow {DAMAGED}"),
        (
            b"a,b\n1,2\n",
            {"input_format": "xlsx"},
            '[SC207] --input-format must be csv, arrow or parquet; got "xlsx"',
        ),
        (
            gzip.compress(parquet_of(TYPED)),
            {},
            "[SC331] a.csv: Parquet can only be read from a file that is not compressed. "
            "Save it, or use CSV or an Arrow stream",
        ),
        (
            gzip.compress(ipc_of(TYPED)),
            {},
            "[SC331] a.csv: an Arrow file can only be read from a file that is not compressed. "
            "Save it, or use CSV or an Arrow stream",
        ),
        (
            b"PK\x03\x04",
            {},
            "[SC331] a.csv: must be CSV, Parquet or Arrow; it looks like an Excel workbook or a zip archive. "
            "Save it as CSV",
        ),
        (
            b"\x80\x04\x95",
            {},
            "[SC331] a.csv: must be CSV, Parquet or Arrow; it looks like a Python pickle, which is never read. "
            "Save the table as Parquet",
        ),
        (
            b"<!doctype html>",
            {},
            "[SC331] a.csv: must be CSV, Parquet or Arrow; it looks like a web page. "
            "Was a log-in page saved instead of the file?",
        ),
        (
            b'{"a": 1}',
            {},
            "[SC331] a.csv: must be CSV, Parquet or Arrow; it looks like JSON. Save the table as CSV or Parquet",
        ),
        (b"FEA1", {}, "[SC331] a.csv: must be CSV, Parquet or Arrow; it looks like Feather version 1. "
         "Write it again as Feather version 2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_blocks", [False, True])
def test_files_are_refused(content: bytes, options: dict[str, Any], message: str, in_blocks: bool) -> None:
    path = put("a.csv", content)

    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        _ = list(read_batches(path, ReadOptions(**options), Notes())) if in_blocks else read(path, **options)


@pytest.mark.parametrize("encode", [stream_of, ipc_of, parquet_of])
def test_no_flipped_byte_ends_in_anything_but_an_error_of_ours(encode: Callable[[pa.Table], bytes]) -> None:
    content = encode(TYPED)
    outcomes = []
    for at in range(0, len(content), 7):
        path = put("a", content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            outcomes.append(read(path).n_rows)
        except SoftclassError as error:
            outcomes.append(error.code)

    assert set(outcomes) - set(range(100)) <= {"SC301", "SC302", "SC303", "SC304", "SC305", "SC306", "SC331"}


def test_places_of_text_are_lines_of_the_file() -> None:
    table = read(put("a.csv", 'a,b\n\n"x\ny",1\n2,3\n'))

    assert places(table) == ["line 3", "line 5"]
    assert places(table.take(np.array([1, 0, 1]))) == ["line 5", "line 3", "line 5"]


def test_taking_and_renaming() -> None:
    table = read({"a": [1, 2, 3], "m": [1, "x", None]})

    taken = table.rename({"m": "b"}).take(np.array([2, 0]))

    assert (plain(taken), taken.n_rows, taken.mixed) == ({"a": [3, 1], "b": [None, "1"]}, 2, {"b"})
    assert places(taken) == ["row 3", "row 1"]


def test_renaming_never_makes_one_column_of_two() -> None:
    message = '[SC303] dict: column names must differ; "b" is column 1 and column 2. Rename one of them'

    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        read({"a": [1], "b": [2]}).rename({"a": "b"})


def test_a_dialect_survives_json() -> None:
    dialect = Dialect(";", ",", ".", "gb18030", False)

    assert Dialect.from_dict(dialect.to_dict()) == dialect


# ------------------------------------------------------------------------------------------------------------ blocks
TEXT = "a,b\n" + "".join(f'{k},"x{k}\n"\n' if k % 5 == 0 else f"{k},y\n" for k in range(40))


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 39, 40, 41, 8192])
def test_blocks_of_text_have_the_same_cells_and_places(batch_rows: int) -> None:
    path = put("a.csv", TEXT)

    whole = read(path)
    batches = list(read_batches(path, ReadOptions(), Notes(), batch_rows=batch_rows))

    assert {name: joined(plain(table)[name] for table in batches) for name in ("a", "b")} == plain(whole)
    assert joined(places(table) for table in batches) == places(whole)
    assert {table.n_rows for table in batches[:-1]} <= {batch_rows}
    assert [table.first_row for table in batches] == list(range(0, 40, batch_rows))


def test_a_header_alone_is_one_block_without_rows() -> None:
    batches = list(read_batches(put("a.csv", "a,b\n"), ReadOptions(), Notes()))

    assert [plain(table) for table in batches] == [{"a": [], "b": []}]


def test_rows_set_aside_stay_with_their_block() -> None:
    notes = Notes()
    path = put("a.csv", "a,b\n1\n1,2\n3,4\n5\n6,7,8\n")

    batches = list(read_batches(path, ReadOptions(bad_rows="skip"), notes, batch_rows=1))
    whole = read(path, bad_rows="skip")

    assert joined(list(table.rejected) for table in batches) == list(whole.rejected)
    assert whole.rejected == ((2, "1"), (5, "5"), (6, "6,7,8"))
    assert [note.message for note in notes] == ["3 rows with too many or too few fields left out"]


def test_a_fault_far_down_comes_when_it_is_reached() -> None:
    path = put("a.csv", b"a,b\n" + b"1,2\n" * 3_000_000 + b"1\n")
    batches = read_batches(path, ReadOptions(), Notes())

    assert next(batches).n_rows == 8192
    with pytest.raises(SoftclassError, match=re.escape("[SC302] a.csv, line 3000002: a row must have 2 fields")):
        list(batches)


def test_memory_is_bounded_by_the_blocks() -> None:
    """A child reads 60 MB of text in blocks; its peak must stay far below the 400 MB the whole table takes."""
    put("a.csv", b"a,b,c,d,e,f\n" + b"1,2,3,4,5,6\n" * 5_000_000)
    script = """
from peak_memory import peak_bytes
from softclass.data.table import ReadOptions, read_batches
from softclass.errors import Notes
tables = read_batches("a.csv", ReadOptions(), Notes())
n_rows, before = next(tables).n_rows, peak_bytes()  # the first block brings in the libraries
n_rows += sum(table.n_rows for table in tables)
print(n_rows, (peak_bytes() - before) // 2**20)
"""

    environment = {**os.environ, "PYTHONPATH": f"{Path(softclass.__file__).parents[1]}{os.pathsep}{TESTS}"}

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)

    n_rows, grown_mib = map(int, done.stdout.split())
    assert n_rows == 5_000_000
    assert grown_mib < 150  # 63 for these 60 MB, and 63 for twice as many


def test_a_block_of_no_rows_is_refused() -> None:
    with pytest.raises(SoftclassError, match=re.escape("[SC207] --batch-size must be at least 1; got 0")):
        next(read_batches({"x": [1]}, ReadOptions(), Notes(), batch_rows=0))


# ---------------------------------------------------------------------------------------------------- standard input
@pytest.mark.parametrize(
    ("content", "cells"),
    [(b"a,b\n1,2\n", {"a": ["1"], "b": ["2"]}), (gzip.compress(b"a\n1\n"), {"a": ["1"]}), (stream_of(TYPED), CELLS)],
)
def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, content: bytes, cells: dict[str, list[Any]]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    table = read("-")

    assert (plain(table), table.name) == (cells, "standard input")


@pytest.mark.parametrize(("encode", "what"), [(parquet_of, "Parquet"), (ipc_of, "an Arrow file")])
def test_files_read_in_any_order_are_refused_on_standard_input(
    monkeypatch: pytest.MonkeyPatch, encode: Callable[[pa.Table], bytes], what: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(encode(TYPED))))
    message = f"[SC331] standard input: {what} can only be read from a file that is not compressed. "

    with pytest.raises(SoftclassError, match=re.escape(message + "Save it, or use CSV or an Arrow stream")):
        read("-")


# ----------------------------------------------------------------------------------------------------- several files
def test_several_files_are_one_table() -> None:
    paths = [put("one.csv", "a,b\n1,x\n"), Path(put("two.csv", "b;a\ny;2\nz;3\n"))]

    table = read(paths)

    assert (table.name, plain(table)) == ("one.csv and 1 more", {"a": ["1", "2", "3"], "b": ["x", "y", "z"]})
    assert places(table) == ["one.csv, line 2", "two.csv, line 2", "two.csv, line 3"]


def test_several_files_are_read_in_blocks() -> None:
    paths = [put("one.csv", "a\n1\n2\n"), put("two.csv", "a\n3\n")]

    batches = list(read_batches(paths, ReadOptions(), Notes(), batch_rows=2))

    assert [(plain(table)["a"], places(table)) for table in batches] == [
        (["1", "2"], ["one.csv, line 2", "one.csv, line 3"]),
        (["3"], ["two.csv, line 2"]),
    ]


def test_several_typed_files_may_store_numbers_differently() -> None:
    paths = [put("one", parquet_of(pa.table({"n": [1]}))), put("two", ipc_of(pa.table({"n": [0.5]})))]

    table = read(paths)

    assert (plain(table), places(table)) == ({"n": [1.0, 0.5]}, ["one, row 1", "two, row 1"])


def test_one_path_in_a_list_is_that_path() -> None:
    assert (read([put("a.csv", "a\n1\n")]).name, places(read(["a.csv"]))) == ("a.csv", ["line 2"])


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (b"a,c\n1,2\n", '[SC321] b.csv: must have the columns of a.csv; it lacks "b" and has "c" besides'),
        (b"a,b,c,d,e,f\n1,2,3,4,5,6\n",
         '[SC321] b.csv: must have the columns of a.csv; it has "c", "d", "e" and 1 more besides'),
        (b"a;b\n0,5;2\n", '[SC309] b.csv: numbers must be written as in a.csv; the decimal mark is not ".". '
         "Pass --decimal if it is the same in all files"),
        (parquet_of(pa.table({"a": [1], "b": [2]})),
         "[SC331] b.csv: must be of the same format as a.csv: text, or Parquet and Arrow"),
        (b"", "[SC301] b.csv: the file is empty. Write it again; a table has a header and rows"),
    ],
)  # fmt: skip
def test_files_that_are_no_parts_of_one_table_are_refused(second: bytes, message: str) -> None:
    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        read([put("a.csv", "a,b\n1,2\n"), put("b.csv", second)])


def test_standard_input_is_read_only_once() -> None:
    with pytest.raises(SoftclassError, match=re.escape("[SC203] standard input can be read only once")):
        read(["-", "-"])


# ---------------------------------------------------------------------------------------------------- what is a table
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.csv", True), (Path("a.csv"), True), ("-", True), (["a.csv", "absent.csv"], True), ("absent.csv", True),
        (".", False), ("a.png", False), ("t10k-labels.gz", False), ("a.zip", False), (["a.csv", "a.png"], False),
        ({"x": [1]}, True), ([{"x": 1}], True), (np.zeros((2, 2)), True), (np.zeros((2, 2, 2), np.uint8), False),
        (7, False),
    ],
)  # fmt: skip
def test_tables_are_told_from_images(source: Any, expected: bool) -> None:
    put("a.csv", "a,b\n1,2\n")
    put("a.png", b"\x89PNG\r\n\x1a\n")
    put("a.zip", b"PK\x03\x04")
    put("t10k-labels.gz", gzip.compress(b"\0\0\x08\x01\0\0\0\x01\x07"))

    assert is_table_source(source) == expected


def test_a_large_real_table_is_read_whole(shared_data: Path) -> None:
    table = read(shared_data / "kddcup99_10" / "kddcup.data_10_percent.gz", header=False)

    assert (table.n_rows, len(table.columns), table.place(494_020)) == (494_021, 42, "line 494021")
    assert sum(column.nbytes for column in table.columns.values()) < 2**28


def test_every_cell_of_a_real_table_is_that_of_the_standard_library(shared_data: Path) -> None:
    import csv

    path = shared_data / "penguins" / "penguins-raw.csv"
    with path.open(newline="") as file:
        expected = list(csv.reader(file))

    table = read(path)

    assert [list(row) for row in zip(*plain(table).values(), strict=True)] == expected[1:]


@pytest.mark.parametrize("n_rows", [2, 40])
def test_a_nul_in_memory_is_refused_where_it_stands(n_rows: int) -> None:
    columns = {"n": [1.0] * n_rows, "a": ["x"] * n_rows, "b": [None, *["x\0y"] * (n_rows - 1)]}

    with pytest.raises(SoftclassError, match=re.escape('[SC306] dict, row 2, column "b": a text must not hold a NUL')):
        read_table(columns, ReadOptions(), Notes())
