"""Delimited text to columns of strings: checked by us, split by pyarrow, judged by nobody yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from softclass.data.blocks import Block
from softclass.data.dialect import Dialect, ReadOptions
from softclass.data.files import MAX_LINE_BYTES
from softclass.data.names import clean_names
from softclass.data.records import IntArray, Records, find_records
from softclass.data.sniff import N_RECORDS, check_delimiter, named, sniff_delimiter
from softclass.data.text import BLOCK_BYTES, TextStream
from softclass.errors import Notes, TableError, UsageError, shown

EMPTY = "Write it again; a table has a header and rows"
_SAMPLE_BYTES = 2**20
_NUMBER = r"^\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*$"


class CsvReader:
    """
    A delimited text, read once from front to back.

    Parameters
    ----------
    file : binary file object
        The bytes, decompressed.
    options : ReadOptions
        What the user said.
    notes : Notes
        SC816, SC817, SC818 at once; SC811 while rows are read.
    where : str
        What messages call the file.
    block_bytes : int
        How much is read at a time.

    Attributes
    ----------
    dialect : Dialect
        How the text is written.
    names : list of str
        The names of the columns.

    Raises
    ------
    UsageError, TableError
        SC203, SC207: options; SC301: nothing there; SC303: names; SC304: encoding; SC305: delimiter or header; SC306:
        damaged text; SC309: decimal mark unclear.

    Examples
    --------
    >>> import io
    >>> reader = CsvReader(io.BytesIO(b"a;b\\n1,5;x\\n"), ReadOptions(), Notes(), "a.csv")
    >>> reader.dialect.delimiter, reader.dialect.decimal, [block.cells.to_pylist() for block in reader.blocks()]
    (';', ',', [[{'a': '1,5', 'b': 'x'}]])
    """

    def __init__(
        self, file: BinaryIO, options: ReadOptions, notes: Notes, where: str, *, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._where = where
        self._notes = notes
        self._skip = _check_bad_rows(options.bad_rows)
        text = TextStream(file, options.encoding, where, block_bytes=block_bytes)
        self._texts = text.blocks()
        self._rest, self._ended = b"", False
        self.names: list[str] = []
        self._line = 1
        self._fill(_SAMPLE_BYTES)
        if not self._rest.strip(b"\r\n"):
            raise TableError("SC301", "the file is empty", where=where, hint=EMPTY)
        delimiter, found_delimiter = self._take_separator_line(), True
        if options.delimiter is not None or not delimiter:
            delimiter, found_delimiter = self._find_delimiter(options)
        self.dialect = Dialect(delimiter, ".", options.thousands, text.encoding, options.header)
        header = self._take_header(options)
        self._n_columns = len(header)
        self.names = clean_names(header, notes, where)
        self.dialect = self._with_decimal(options, found_delimiter)

    # ------------------------------------------------------------------------------------------------- reading rows
    def blocks(self) -> Iterator[Block]:
        """Yield the rows in order; the first block may be empty."""
        blank = np.zeros(0, np.int64)  # lines that are rows only if more text follows
        wanted = max(1, 200 * self._n_columns)  # tables of very many columns: not too many tiny blocks
        while True:
            records = self._find(self._rest, self._ended)
            block, blank = self._block(records, blank)
            if block is not None:
                yield block
            self._line = records.next_line
            self._rest = self._rest[records.n_used :]
            if self._ended:
                return
            self._fill(len(self._rest) + wanted)

    def _fill(self, n_bytes: int) -> None:
        """Read on until so many bytes are there, or the file ends; one block more at least."""
        pieces, size = [self._rest], len(self._rest)
        while size < n_bytes and not self._ended:
            block = next(self._texts, None)
            self._ended = block is None
            if block:
                pieces.append(block)
                size += len(block)
        self._rest = b"".join(pieces)

    def _find(self, data: bytes, final: bool) -> Records:
        return find_records(data, self.dialect.delimiter, line=self._line, final=final, where=self._where)

    def _block(self, records: Records, blank: IntArray) -> tuple[Block | None, IntArray]:
        """Return the rows among whole records, and the numbers of the blank lines that end them."""
        is_blank = records.starts == records.ends
        is_row = ~is_blank & (records.fields == self._n_columns)
        rejected = self._reject(records, np.flatnonzero(~is_blank & ~is_row))
        before = blank[:0]
        if self._n_columns == 1:
            # A blank line is a missing cell, unless only blank lines follow.
            n_to_last = int(np.flatnonzero(~is_blank)[-1]) + 1 if not is_blank.all() else 0
            before, blank = (blank, blank[:0]) if n_to_last else (before, blank)
            blank = np.concatenate([blank, records.lines[n_to_last:][is_blank[n_to_last:]]])
            is_row[:n_to_last] |= is_blank[:n_to_last]
        kept = np.flatnonzero(is_row)
        if not len(kept) and not rejected:
            return None, blank
        lines = np.concatenate([before, records.lines[kept]])
        cells = self._split(b"\n" * len(before) + self._text_of(records, kept), len(lines))
        return Block(cells, lines, rejected), blank

    def _text_of(self, records: Records, kept: npt.NDArray[np.intp]) -> bytes:
        """Return the text of some records, without the others that a parser would count."""
        is_other = (records.starts < records.ends) | (self._n_columns == 1)
        if len(kept) == int(is_other.sum()):
            return self._rest[: records.n_used]
        return b"".join(self._rest[records.starts[k] : records.ends[k]] + b"\n" for k in kept)

    def _reject(self, records: Records, bad: npt.NDArray[np.intp]) -> tuple[tuple[int, str], ...]:
        """Refuse, or set aside, rows with another number of fields than the header."""
        if not len(bad):
            return ()
        texts = [
            self._rest[records.starts[k] : records.ends[k]].decode("utf-8") for k in (bad if self._skip else bad[:1])
        ]
        lines = records.lines[bad].tolist()
        if not self._skip:
            noun = "field" if self._n_columns == 1 else "fields"
            like = " like the header" if self.dialect.header else " like the first row"
            message = (
                f"a row must have {self._n_columns} {noun}{like}; "
                f'got {int(records.fields[bad[0]])}: "{shown(texts[0])}"'
            )
            hint = "Mend the row, or pass --bad-rows skip"
            raise TableError("SC302", message, where=f"{self._where}, line {lines[0]}", hint=hint)
        text = "rows with too many or too few fields left out"
        self._notes.add("SC811", text, count=len(bad), hint="--bad-rows fail to stop at the first one")
        return tuple(zip(lines, texts, strict=True))

    def _split(self, text: bytes, n_rows: int) -> pa.Table:
        """Split whole rows into cells; nothing is converted."""
        names = self.names or [str(k) for k in range(self._n_columns)]
        if not n_rows:
            return pa.table({name: pa.array([], pa.string()) for name in names})
        # Without pyarrow's threads: its pool can abort the process at exit (apache/arrow#34314), and a block is short.
        cells = pyarrow.csv.read_csv(
            pa.BufferReader(pa.py_buffer(text)),
            read_options=pyarrow.csv.ReadOptions(
                column_names=[str(k) for k in range(len(names))], block_size=len(text) + 1, use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.dialect.delimiter, newlines_in_values=True, ignore_empty_lines=len(names) > 1
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={str(k): pa.string() for k in range(len(names))},
                null_values=[], strings_can_be_null=False, check_utf8=False,
            ),
        ).rename_columns(names)  # fmt: skip
        if cells.num_rows != n_rows:
            message = f"the scan found {n_rows} rows and the parser {cells.num_rows}"
            raise AssertionError(message)
        return cells

    # ---------------------------------------------------------------------------------------------- finding things out
    def _take_separator_line(self) -> str:
        """Return the delimiter that a first line ``sep=;`` names, as spreadsheets write it; the line is no row."""
        line = re.match(rb"sep=([!-~\t ])(\r\n|\n|\r)", self._rest, re.IGNORECASE)
        if line is None:
            return ""
        self._rest, self._line = self._rest[line.end() :], self._line + 1
        if not self._rest.strip(b"\r\n"):
            raise TableError("SC301", "the file is empty", where=self._where, hint=EMPTY)
        return check_delimiter(line[1].decode())

    def _find_delimiter(self, options: ReadOptions) -> tuple[str, bool]:
        """Return the delimiter, and whether it was found rather than given."""
        if options.delimiter is not None:
            return check_delimiter(options.delimiter), False
        while not self._ended and len(self._rest) <= MAX_LINE_BYTES and len(self._rest.splitlines()) <= N_RECORDS:
            self._fill(2 * len(self._rest))
        likely = options.tie_break.delimiter if options.tie_break else None
        found = sniff_delimiter(self._rest, final=self._ended, tie_break=likely, where=self._where, line=self._line)
        return found, True

    def _take_header(self, options: ReadOptions) -> list[str]:
        """Return the names in the first record that is not blank, or make them."""
        records = self._find(self._rest, self._ended)
        while not np.any(records.ends > records.starts):
            self._fill(2 * len(self._rest))
            records = self._find(self._rest, self._ended)
        first = int(np.flatnonzero(records.ends > records.starts)[0])
        self._n_columns = int(records.fields[first])
        row = self._split(self._rest[records.starts[first] : records.ends[first]], 1)
        cells = [str(column[0].as_py()) for column in row.columns]
        made = [f"column_{k + 1}" for k in range(len(cells))]
        if not options.header or (_is_headerless(options.tie_break) and cells != made):
            self.dialect = Dialect(self.dialect.delimiter, ".", options.thousands, self.dialect.encoding, False)
            self._drop(records, first)
            return made
        self._refuse_numbers(cells, int(records.lines[first]))
        self._refuse_late_quotes(cells, int(records.lines[first]))
        self._drop(records, first + 1)
        return cells

    def _drop(self, records: Records, n_records: int) -> None:
        """Go on behind the first records."""
        if n_records < len(records):
            stop, self._line = int(records.starts[n_records]), int(records.lines[n_records])
        else:
            stop, self._line = records.n_used, records.next_line
        self._rest = self._rest[stop:]

    def _refuse_numbers(self, cells: list[str], line: int) -> None:
        """SC305 if the header is a row of numbers; 0, 1, 2 ... may be names that another library made."""
        if not all(pc.match_substring_regex(pa.array(cells), _NUMBER).to_pylist()):
            return
        count = len(cells)
        if count >= 3 and cells in ([str(k) for k in range(count)], [str(k) for k in range(1, count + 1)]):
            text = "the first line counts its columns and was taken as the header"
            self._notes.add("SC817", text, hint="--no-header if it is a row")
            return
        message = (
            f'the first line must be the header; it holds only numbers: "{shown(self.dialect.delimiter.join(cells))}"'
        )
        hint = "Pass --no-header if it is a row"
        raise TableError("SC305", message, where=f"{self._where}, line {line}", hint=hint)

    def _refuse_late_quotes(self, cells: list[str], line: int) -> None:
        """SC306 if blanks stand before quotes: the quotes would be part of the names, and of the cells below."""
        for cell in cells:
            if cell[:1] == " " and cell.strip()[:1] == '"':
                message = f"a quote must be the first character of its cell; got '{shown(cell)}'"
                hint = "Remove the blanks between the delimiter and the quote"
                raise TableError("SC306", message, where=f"{self._where}, line {line}", hint=hint)

    def _with_decimal(self, options: ReadOptions, found_delimiter: bool) -> Dialect:
        """Return the dialect with the marks inside numbers; SC816 if anything unusual was found."""
        known = options.tie_break
        decimal, thousands = options.decimal, options.thousands
        found = False
        if decimal is None and thousands is None:
            decimal, thousands, found = self._find_decimal(known)
        elif decimal is None:
            decimal = "," if thousands == "." else "."
        _check_marks(decimal or ".", thousands)
        dialect = Dialect(self.dialect.delimiter, decimal or ".", thousands, self.dialect.encoding, self.dialect.header)
        parts = []
        if found_delimiter and dialect.delimiter != (known.delimiter if known else ","):
            parts.append(f"the delimiter is {named(dialect.delimiter)}")
        if found and dialect.decimal != (known.decimal if known else "."):
            parts.append(f'the decimal mark is "{dialect.decimal}"')
        if parts:
            self._notes.add("SC816", " and ".join(parts), hint="--delimiter and --decimal to say otherwise")
        return dialect

    def _find_decimal(self, known: Dialect | None) -> tuple[str, str | None, bool]:
        """Return decimal mark, thousands mark and whether the first rows decided it."""
        fallback = known or Dialect()
        # A comma can stand inside a number only if it is not the delimiter, or if cells are quoted.
        may_be_comma = b'"' in self._rest if self.dialect.delimiter == "," else b"," in self._rest
        if not may_be_comma and fallback.decimal == ".":
            return ".", fallback.thousands, False
        marks = _Marks(self._sample(), strict=self.dialect.delimiter == ",")
        if marks.points or not marks.columns:
            decimal = "." if marks.points else fallback.decimal
        elif not marks.thousands_like:
            decimal = ","
        elif known is not None:
            return known.decimal, known.thousands, False
        else:
            message = f'"{shown(marks.first)}" may be a fraction or thousands: all commas stand before 3 digits'
            place = f'{self._where}, column "{shown(marks.columns[0])}"'
            raise TableError("SC309", message, where=place, hint="Pass --decimal , or --thousands ,")
        thousands = fallback.thousands if fallback.decimal == decimal else None
        return decimal, thousands, bool(marks.points or marks.columns)

    def _sample(self) -> pa.Table:
        """Return the first rows, up to one megabyte of them."""
        records = self._find(self._rest, self._ended)
        good = np.flatnonzero((records.ends > records.starts) & (records.fields == self._n_columns))
        good = good[records.ends[good] <= max(_SAMPLE_BYTES, int(records.ends[0]) if len(records) else 0)]
        text = b"\n".join(self._rest[records.starts[k] : records.ends[k]] for k in good)
        return self._split(text, len(good))


class _Marks:
    """What commas and points inside numbers say about the decimal mark."""

    def __init__(self, rows: pa.Table, *, strict: bool) -> None:
        self.columns: list[str] = []
        self.first = ""
        self.points = False
        self.thousands_like = True
        for name in rows.column_names:
            cells = pc.utf8_trim_whitespace(rows.column(name))
            cells = cells.filter(pc.invert(pc.is_in(cells, pa.array(["", "NA", "NaN", "nan", "null", "NULL"]))))
            if not len(cells):
                continue
            if pc.any(pc.match_substring_regex(cells, r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$")).as_py():
                self.points = True
            pattern = r"^[+-]?\d+,\d+$" if strict else r"^[+-]?\d+(,\d+)?$"
            with_comma = cells.filter(pc.match_substring(cells, ","))
            if len(with_comma) and pc.all(pc.match_substring_regex(cells, pattern)).as_py():
                self.columns.append(name)
                self.first = self.first or with_comma[0].as_py()
                grouped = pc.all(pc.match_substring_regex(with_comma, r"^[+-]?[1-9]\d{0,2},\d{3}$")).as_py()
                self.thousands_like &= bool(grouped)


def _is_headerless(known: Dialect | None) -> bool:
    return known is not None and not known.header


def _check_bad_rows(bad_rows: str) -> bool:
    if bad_rows not in ("fail", "skip"):
        raise UsageError("SC207", f'--bad-rows must be fail or skip; got "{shown(bad_rows)}"')
    return bad_rows == "skip"


def _check_marks(decimal: str, thousands: str | None) -> None:
    if decimal not in (".", ","):
        raise UsageError("SC207", f'--decimal must be . or ,; got "{shown(decimal)}"')
    if thousands is not None and thousands not in (".", ",", "'", " ", "_", "\u00a0", "\u202f", "\u2019"):
        raise UsageError("SC207", f'--thousands must be one of . , \' _ or a blank; got "{shown(thousands)}"')
    if decimal == thousands:
        raise UsageError("SC203", f'--decimal and --thousands must differ; both are "{decimal}"')
