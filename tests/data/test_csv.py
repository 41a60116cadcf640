"""Delimited text: the catalogue of bad input, and equality with a reader that goes character by character."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from softclass.data import csv
from softclass.data.csv import CsvReader
from softclass.data.dialect import Dialect, ReadOptions
from softclass.errors import Notes, SoftclassError


class Read(NamedTuple):
    """What a reader gives, as plain values."""

    names: list[str]
    rows: list[tuple[str, ...]]
    lines: list[int]
    rejected: list[tuple[int, str]]


def read(text: bytes | str, notes: Notes | None = None, *, block_bytes: int = 2**22, **options: Any) -> Read:
    data = text if isinstance(text, bytes) else text.encode()
    notes = notes if notes is not None else Notes()
    reader = CsvReader(io.BytesIO(data), ReadOptions(**options), notes, "a.csv", block_bytes=block_bytes)
    rows, lines, rejected = [], [], []
    for block in reader.blocks():
        rows += list(zip(*(column.to_pylist() for column in block.cells.columns), strict=True))
        lines += [] if block.numbers is None else block.numbers.tolist()
        rejected += list(block.rejected)
    return Read(reader.names, rows, lines, rejected)


def dialect_of(text: str, **options: Any) -> Dialect:
    return CsvReader(io.BytesIO(text.encode()), ReadOptions(**options), Notes(), "a.csv").dialect


HEADERLESS = Dialect(header=False)


# ------------------------------------------------------------------------------------------------ against the truth
def reference(text: str) -> list[tuple[int, list[str], bool]] | int:
    """Line, cells and blankness of each record; or the line of the first broken quote."""
    records, row, cell, line, start, at_front, is_blank = [], [], "", 1, 1, True, True
    i = 0
    while i < len(text):
        c = text[i]
        if at_front and c == '"':
            opened, closed = line, False
            i += 1
            while i < len(text) and not closed:
                if text[i] == '"' and text[i + 1 : i + 2] == '"':
                    cell, i = cell + '"', i + 2
                elif text[i] == '"':
                    closed, i = True, i + 1
                else:
                    line += text[i] == "\n" or (text[i] == "\r" and text[i + 1 : i + 2] != "\n")
                    cell, i = cell + text[i], i + 1
            if not closed:
                return opened
            if i < len(text) and text[i] not in ",\r\n":
                return line
            at_front, is_blank = False, False
        elif c in "\r\n":
            i += 2 if text[i : i + 2] == "\r\n" else 1
            records.append((start, [*row, cell], is_blank))
            row, cell, at_front, is_blank = [], "", True, True
            line += 1
            start = line
        else:
            is_blank, at_front = False, c == ","
            row, cell = ([*row, cell], "") if c == "," else (row, cell + c)
            i += 1
    return records if is_blank else [*records, (start, [*row, cell], False)]


def expected(text: str, n_columns: int) -> tuple[list[tuple[str, ...]], list[int], list[int]] | int:
    """Rows, their lines, and the lines left out, of a text with such a header."""
    records = reference(text)
    if isinstance(records, int):
        return records
    kept = [record for record in records if not record[2]]
    if n_columns == 1:  # a blank line is a missing cell, unless only blank lines follow
        last = max((index for index, record in enumerate(records) if not record[2]), default=-1)
        kept = records[: last + 1]
    good = [(tuple(cells), line) for line, cells, _ in kept if len(cells) == n_columns]
    return [row for row, _ in good], [line for _, line in good], [line for line, c, _ in kept if len(c) != n_columns]


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 200))])
def test_cells_and_lines_are_those_of_a_slow_reader(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_SAMPLE_BYTES", 4)
    generator = random.Random(seed)
    found, wanted = [], []
    for _ in range(100):
        body = "".join(generator.choice('ab,,"""\n\r\n é') for _ in range(generator.randrange(16)))
        n_columns = generator.choice([1, 2, 2, 3])
        text = ",".join("abc"[:n_columns]) + "\n" + body
        wanted.append((text, expected(text, n_columns)))
        found.append((text, _outcome(text, generator.choice([1, 2, 3, 5, 8, 1000]))))

    assert found == [(text, _without_header(outcome)) for text, outcome in wanted]


def _without_header(outcome: Any) -> Any:
    return outcome if isinstance(outcome, int) else (outcome[0][1:], outcome[1][1:], outcome[2])


def _outcome(text: str, block_bytes: int) -> Any:
    try:
        found = read(text, block_bytes=block_bytes, delimiter=",", decimal=".", bad_rows="skip")
    except SoftclassError as error:
        return int(str(re.fullmatch(r"a\.csv, line (\d+)", error.where)[1]))  # type: ignore[index]
    return found.rows, found.lines, [line for line, _ in found.rejected]


# ------------------------------------------------------------------------------------------------- what is read (T)
@pytest.mark.parametrize(
    ("text", "options", "names", "rows", "lines"),
    [
        ("a,b\n", {}, ["a", "b"], [], []),  # T02
        ("a,b", {}, ["a", "b"], [], []),
        ("\n\na,b\n1,2", {}, ["a", "b"], [("1", "2")], [4]),
        ("\ufeffa,b\n1,2\n", {}, ["a", "b"], [("1", "2")], [2]),  # T07
        ("a,b\r1,2\r\n3,4\n\r5,6", {}, ["a", "b"], [("1", "2"), ("3", "4"), ("5", "6")], [2, 3, 5]),  # T13
        ('a,b\n"x\ny",1\n2,3\n', {}, ["a", "b"], [("x\ny", "1"), ("2", "3")], [2, 4]),
        ('"a ","b"",c"\n1,2\n', {}, ["a", 'b",c'], [("1", "2")], [2]),
        ("1,2\n3,4\n", {"header": False}, ["column_1", "column_2"], [("1", "2"), ("3", "4")], [1, 2]),  # T15
        ("a\n1\n\n 3\n\n\n", {}, ["a"], [("1",), ("",), (" 3",)], [2, 3, 4]),  # T40
        ("a,b\n1,2\n\n3,4\n\n\n", {}, ["a", "b"], [("1", "2"), ("3", "4")], [2, 4]),
        ("a,b\nNA,nan\nNone,\n", {}, ["a", "b"], [("NA", "nan"), ("None", "")], [2, 3]),  # nothing is judged here
        ("a,b\n 1 ,\u202e2\n", {}, ["a", "b"], [(" 1 ", "\u202e2")], [2]),  # T34
        ("sep=;\r\na;b\r\n1;2\r\n", {}, ["a", "b"], [("1", "2")], [3]),
        ("SEP=|\na,b|c\n1,2|3\n", {}, ["a,b", "c"], [("1,2", "3")], [3]),
        ("sep=;\na,b\n1,2\n", {"delimiter": ","}, ["a", "b"], [("1", "2")], [3]),
        ("a b\n1 2\n", {"delimiter": " "}, ["a", "b"], [("1", "2")], [2]),
        ("a\tb\n1\t2\n", {"delimiter": "tab"}, ["a", "b"], [("1", "2")], [2]),
        ("column_1,column_2\n1,2\n", {"tie_break": HEADERLESS}, ["column_1", "column_2"], [("1", "2")], [2]),
        (
            "x,y\n1,2\n",
            {"tie_break": HEADERLESS},
            ["column_1", "column_2"],
            [("x", "y"), ("1", "2")],
            [1, 2],
        ),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 7, 2**20])
def test_text_is_read(
    text: str, options: dict[str, Any], names: list[str], rows: list[Any], lines: list[int], block_bytes: int
) -> None:
    assert read(text, block_bytes=block_bytes, **options) == Read(names, rows, lines, [])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "[SC301] a.csv: the file is empty. Write it again; a table has a header and rows"),  # T01
        ("\n\r\n\r", {}, "[SC301] a.csv: the file is empty. Write it again; a table has a header and rows"),
        ("\ufeff", {}, "[SC301] a.csv: the file is empty. Write it again; a table has a header and rows"),
        (
            'sep=;\n\na;b\n1;"2\n',
            {},
            "[SC306] a.csv, line 4: a quote opens here and is never closed",
        ),
        ("sep=;\n\n", {}, "[SC301] a.csv: the file is empty. Write it again; a table has a header and rows"),
        (
            'a,b,c\n1,2,3\n\n"x\ny",2,3,4\n',
            {},
            '[SC302] a.csv, line 4: a row must have 3 fields like the header; got 4: ""x\\u000ay",2,3,4". '
            "Mend the row, or pass --bad-rows skip",
        ),  # T03
        (
            "1,2,3\n1,2\n5,6,7\n",
            {"header": False},
            '[SC302] a.csv, line 2: a row must have 3 fields like the first row; got 2: "1,2". '
            "Mend the row, or pass --bad-rows skip",
        ),  # T04
        (
            "a\n" + "1,2" * 60 + "\n3\n4\n",
            {"delimiter": ","},
            "[SC302] a.csv, line 2: a row must have 1 field like the header; got 61: "
            f'"{("1,2" * 60)[:79]}…". Mend the row, or pass --bad-rows skip',
        ),
        (
            "a,b,a \n1,2,3\n",
            {},
            '[SC303] a.csv: column names must differ; "a" is column 1 and column 3. Rename one of them',
        ),  # T05
        ("a,b\n1,2\n3,\x004\n", {}, "[SC306] a.csv, line 3: the text must not hold a NUL byte"),  # T13
        (
            "5.1,-2e3\n4,5\n",
            {},
            '[SC305] a.csv, line 1: the first line must be the header; it holds only numbers: "5.1,-2e3". '
            "Pass --no-header if it is a row",
        ),  # T15
        (
            'a, "b"\n1, "2"\n',
            {},
            "[SC306] a.csv, line 1: a quote must be the first character of its cell; got ' \"b\"'. "
            "Remove the blanks between the delimiter and the quote",
        ),
        (
            "a;b\n1,234;x\n2,345;y\n",
            {},
            '[SC309] a.csv, column "a": "1,234" may be a fraction or thousands: all commas stand before 3 digits. '
            "Pass --decimal , or --thousands ,",
        ),
        ("a,b\n1,2\n", {"bad_rows": "fix"}, '[SC207] --bad-rows must be fail or skip; got "fix"'),
        ("a,b\n1,2\n", {"decimal": ";"}, '[SC207] --decimal must be . or ,; got ";"'),
        (
            "a,b\n1,2\n",
            {"thousands": "x"},
            '[SC207] --thousands must be one of . , \' _ or a blank; got "x"',
        ),
        (
            "a,b\n1,2\n",
            {"thousands": ",", "decimal": ","},
            '[SC203] --decimal and --thousands must differ; both are ","',
        ),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_text_is_refused(text: str, options: dict[str, Any], message: str, block_bytes: int) -> None:
    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        read(text, block_bytes=block_bytes, **options)


@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_bad_rows_are_set_aside(block_bytes: int) -> None:
    notes = Notes()

    found = read("a,b\n1,2\n1,2,3\n\n4\n5,6\n", notes, block_bytes=block_bytes, bad_rows="skip")

    assert (found.rows, found.lines) == ([("1", "2"), ("5", "6")], [2, 6])
    assert found.rejected == [(3, "1,2,3"), (5, "4")]
    assert [(note.code, note.message) for note in notes] == [
        ("SC811", "2 rows with too many or too few fields left out")
    ]


@pytest.mark.parametrize(
    ("text", "options", "delimiter", "decimal", "thousands"),
    [
        ("a,b\n1.5,2\n", {}, ",", ".", None),
        ("a;b\n5,1;x\n2,25;y\n", {}, ";", ",", None),  # T11
        ("a;b\n5,1;x\n2;y\n", {}, ";", ",", None),
        ("a;b\n-1,234;0,5\n2,345;1\n", {}, ";", ",", None),  # another column tells
        ("a;b\n0,234;x\n", {}, ";", ",", None),  # no thousands begin with 0
        ('a,b\n"5,1",x\n"2,25",y\n', {}, ",", ",", None),
        ('a,b\n"1,2",x\n"3",y\n', {}, ",", ".", None),  # a list, perhaps
        ("a;b\n5,1;1.5\n", {}, ";", ".", None),
        ("a;b\nx,y;1\n", {}, ";", ".", None),
        ("a;b\nNA;1\n5,1;2\n;3\n", {}, ";", ",", None),
        ("a;b\n5,1;x\n", {"decimal": "."}, ";", ".", None),
        ("a;b\n1,234;x\n", {"decimal": ","}, ";", ",", None),
        ("a;b\n1,234;x\n", {"thousands": ","}, ";", ".", ","),
        ("a;b\n1.234;x\n", {"thousands": "."}, ";", ",", "."),
        ("a;b\n1,234;x\n", {"tie_break": Dialect(";", ",")}, ";", ",", None),
        ("a;b\n1,234;x\n", {"tie_break": Dialect(";", ".", ",")}, ";", ".", ","),
        ("a;b\n1;x\n", {"tie_break": Dialect(";", ",", ".")}, ";", ",", "."),
        ("a;b\n1.5;x\n", {"tie_break": Dialect(";", ",", ".")}, ";", ".", None),
        ("a;b\n1,234.5;x\n1.5;y\n", {"tie_break": Dialect(";", ".", ",")}, ";", ".", ","),
    ],
)
def test_the_dialect_is_found(
    text: str, options: dict[str, Any], delimiter: str, decimal: str, thousands: str | None
) -> None:
    dialect = dialect_of(text, **options)

    assert (dialect.delimiter, dialect.decimal, dialect.thousands) == (delimiter, decimal, thousands)


@pytest.mark.parametrize(
    ("text", "options", "messages"),
    [
        ("a,b\n1.5,2\n", {}, []),
        ("a;b\n1,5;2\n", {}, [("SC816", 'the delimiter is ";" and the decimal mark is ","')]),
        ("a\tb\n1\t2\n", {}, [("SC816", "the delimiter is tab")]),
        ('a,b\n"1,5",2\n', {}, [("SC816", 'the decimal mark is ","')]),
        ("a;b\n1,5;2\n", {"delimiter": ";", "decimal": ","}, []),
        ("a;b\n1,5;2\n", {"tie_break": Dialect(";", ",")}, []),
        (
            "a,b\n1.5,2\n",
            {"tie_break": Dialect(";", ",")},
            [("SC816", 'the delimiter is "," and the decimal mark is "."')],
        ),
        ("0,1,2\n3,4,x\n", {}, [("SC817", "the first line counts its columns and was taken as the header")]),
        ("1,2,3\n3,4,x\n", {}, [("SC817", "the first line counts its columns and was taken as the header")]),
        ("a , b\n1,2\n", {}, [("SC818", "2 column names freed of the blanks round them")]),
        ("a,\n1,2\n", {}, [("SC818", "1 column without a name, now called column_<n> after their position")]),
    ],
)
def test_what_was_found_is_noted(text: str, options: dict[str, Any], messages: list[tuple[str, str]]) -> None:
    notes = Notes()

    read(text, notes, **options)

    assert [(note.code, note.message) for note in notes] == messages


@pytest.mark.parametrize("n_columns", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_very_many_columns_are_fine(n_columns: int) -> None:
    header = ",".join(f"name_{k}" for k in range(n_columns))
    row = ",".join("1" for _ in range(n_columns))

    reader = CsvReader(io.BytesIO(f"{header}\n{row}\n{row}\n".encode()), ReadOptions(), Notes(), "a.csv")

    assert [block.cells.shape for block in reader.blocks()] == [(2, n_columns)]


def test_an_endless_line_is_refused_before_memory_is_full() -> None:
    class Endless(io.RawIOBase):
        n_read = 0

        def read(self, size: int = -1) -> bytes:
            self.n_read += size
            return b"a,b\n" if self.n_read == size else b"1" * size

    file = Endless()

    with pytest.raises(SoftclassError, match=re.escape("[SC306] a.csv, line 2: a row may hold at most 16,777,216")):
        list(CsvReader(file, ReadOptions(), Notes(), "a.csv", block_bytes=2**22).blocks())  # type: ignore[arg-type]

    assert file.n_read <= 40 * 2**20


@pytest.mark.parametrize(
    ("folder", "file", "n_rows", "n_columns"),
    [
        ("penguins", "penguins.csv", 344, 8),
        ("penguins", "penguins-raw.csv", 344, 17),
        ("letter", "letter.csv", 20_000, 17),
        ("dry_bean", "Dry_Bean_Dataset_semicolon_decimalcomma.csv", 13_611, 18),
        ("hpc_cv", "hpc_cv.csv", 3_467, 7),
    ],
)
def test_real_tables_are_read(shared_data: Path, folder: str, file: str, n_rows: int, n_columns: int) -> None:
    found = read((shared_data / folder / file).read_bytes())

    assert (len(found.rows), len(found.names), found.lines[-1]) == (n_rows, n_columns, n_rows + 1)
