"""From what the user named to a reader: paths by their content, standard input, several files, objects in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from softclass.data.blocks import Block, Reader
from softclass.data.csv import CsvReader
from softclass.data.dialect import ReadOptions
from softclass.data.files import STANDARD_INPUT, open_binary, open_standard_input
from softclass.errors import MachineError, Notes, TableError, UsageError, first_quoted, shown

_FOREIGN = (  # files that are often taken for tables, and what to do
    (b"PK\x03\x04", "an Excel workbook or a zip archive", "Save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save it as CSV"),
    (b"SQLite format 3", "an SQLite database", "Export a table as CSV"),
    (b"\x93NUMPY", "a NumPy array", "Load it and pass the array"),
    (b"\x80\x04", "a Python pickle, which is never read", "Save the table as Parquet"),
    (b"\x80\x05", "a Python pickle, which is never read", "Save the table as Parquet"),
    (b"\x89HDF", "an HDF5 file", "Save the table as Parquet"),
    (b"FEA1", "Feather version 1", "Write it again as Feather version 2"),
    (b"ORC", "an ORC file", "Save the table as Parquet"),
    (b"Obj\x01", "an Avro file", "Save the table as Parquet"),
    (b"%PDF", "a PDF", "Save the table as CSV"),
    (b"\x7fELF", "a program", ""),
    (b"<!DOCTYPE", "a web page", "Was a log-in page saved instead of the file?"),
    (b"<html", "a web page", "Was a log-in page saved instead of the file?"),
    (b'{"', "JSON", "Save the table as CSV or Parquet"),
    (b'[{"', "JSON", "Save the table as CSV or Parquet"),
)
_IMAGES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"PK\x03\x04", b"\x93NUMPY",
    b"\0\0\x08", b"\0\0\x09", b"\0\0\x0b", b"\0\0\x0c", b"\0\0\x0d", b"\0\0\x0e",
)  # fmt: skip
_HEAD_BYTES = 16
_NAMED = 3  # columns of each kind in a message
_FORMATS = ("csv", "arrow", "parquet")


def is_table_source(source: Any) -> bool:
    """
    Return whether a source is a table, and not a set of images or nothing that is known.

    A path at which nothing readable stands counts as a table: reading it says what is wrong.

    Examples
    --------
    >>> is_table_source({"x": [1]}), is_table_source("-"), is_table_source(".")
    (True, True, False)
    """
    if _is_path(source):
        return str(source) == "-" or _looks_like_table(Path(source))
    if isinstance(source, Sequence) and source and all(_is_path(path) for path in source):
        return all(is_table_source(path) for path in source)
    from softclass.data.frames import is_frame

    return is_frame(source)


def is_in_memory(source: Any) -> bool:
    """
    Return whether a source is an object in memory, and not files or standard input.

    Examples
    --------
    >>> is_in_memory({"x": [1]}), is_in_memory("table.csv"), is_in_memory(["a.csv", "b.csv"])
    (True, False, False)
    """
    return not (_is_path(source) or (isinstance(source, Sequence) and source and all(map(_is_path, source))))


def open_source(source: Any, options: ReadOptions, notes: Notes) -> Reader:
    """
    Open a table, wherever it is.

    Examples
    --------
    >>> open_source([{"x": 1}], ReadOptions(), Notes()).name
    'list'
    """
    if options.input_format not in (None, *_FORMATS):
        message = f'--input-format must be csv, arrow or parquet; got "{shown(options.input_format)}"'
        raise UsageError("SC207", message)
    if _is_path(source):
        return _open_path(source, options, notes)
    if isinstance(source, Sequence) and source and all(_is_path(path) for path in source):
        return _open_path(source[0], options, notes) if len(source) == 1 else _open_paths(source, options, notes)
    # Frames and Parquet cost 60 ms of imports that a CSV does not need.
    from softclass.data.frames import is_frame, not_a_table, open_frame

    if not is_frame(source):
        raise not_a_table(source)
    return open_frame(source, notes)


def _is_path(source: Any) -> bool:
    return isinstance(source, str | Path)


def _looks_like_table(path: Path) -> bool:
    if path.is_dir():
        return False
    if not path.is_file():
        return True
    try:
        with open_binary(path) as file:
            head = file.peek(_HEAD_BYTES)[:_HEAD_BYTES]  # type: ignore[attr-defined]
    except (TableError, MachineError):
        return True
    return not head.startswith(_IMAGES)


def _open_path(path: str | Path, options: ReadOptions, notes: Notes) -> Reader:
    """Open one file or standard input, by its content."""
    is_input = str(path) == "-"
    name = STANDARD_INPUT if is_input else shown(Path(path).name)
    stream = open_standard_input() if is_input else open_binary(path)
    try:
        head = stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]  # type: ignore[attr-defined]
        found = options.input_format or _format_of(head, name)
        if found == "csv":
            return _open_csv(stream, name, options, notes)
        return _open_arrow(stream, None if is_input else Path(path), found, head, notes)
    except BaseException:
        stream.close()
        raise


def _open_arrow(stream: BinaryIO, path: Path | None, found: str, head: bytes, notes: Notes) -> Reader:
    """Open Parquet or Arrow; but for the stream they are read in any order, so from a plain file only."""
    from softclass.data import arrow_files

    name = STANDARD_INPUT if path is None else shown(path.name)
    if found == "arrow" and not head.startswith(b"ARROW1"):
        return arrow_files.open_arrow_stream(stream, name, notes)
    stream.close()
    if path is None or not path.is_file() or not _is_plain(path, head):
        kind = "Parquet" if found == "parquet" else "an Arrow file"
        message = f"{kind} can only be read from a file that is not compressed"
        raise TableError("SC331", message, where=name, hint="Save it, or use CSV or an Arrow stream")
    open_file = arrow_files.open_parquet if found == "parquet" else arrow_files.open_arrow_file
    return open_file(path, name, notes)


def _is_plain(path: Path, head: bytes) -> bool:
    """Return whether the file itself begins with these bytes, and not what it holds compressed."""
    with path.open("rb") as file:
        return file.read(len(head)) == head


def _format_of(head: bytes, name: str) -> str:
    """Return the format that the first bytes tell; SC331 for one that is not read."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    for magic, what, hint in _FOREIGN:
        if head.lower().startswith(magic.lower()) if magic.startswith(b"<") else head.startswith(magic):
            message = f"must be CSV, Parquet or Arrow; it looks like {what}"
            raise TableError("SC331", message, where=name, hint=hint)
    return "csv"


def _open_csv(stream: BinaryIO, name: str, options: ReadOptions, notes: Notes) -> Reader:
    csv = CsvReader(stream, options, notes, name)
    empty = pa.table({column: pa.array([], pa.string()) for column in csv.names})
    return Reader(name, empty, csv.blocks(), is_text=True, dialect=csv.dialect, close=stream.close)


def _open_paths(paths: Sequence[str | Path], options: ReadOptions, notes: Notes) -> Reader:
    """Open several files as one table; the first says which columns there are."""
    if sum(str(path) == "-" for path in paths) > 1:
        raise UsageError("SC203", "standard input can be read only once")
    first = _open_path(paths[0], options, notes)
    files = tuple(STANDARD_INPUT if str(path) == "-" else shown(Path(path).name) for path in paths)

    def blocks() -> Iterator[Block]:
        yield from _numbered(first.blocks, 0)
        first.close()
        for k, path in enumerate(paths[1:], start=1):
            reader = _open_path(path, replace(options, tie_break=first.dialect or options.tie_break), notes)
            with contextlib.closing(reader):
                _check_same(first, reader)
                for block in _numbered(reader.blocks, k):
                    yield replace(block, cells=block.cells.select(first.empty.column_names))

    name = f"{files[0]} and {len(files) - 1} more"
    return replace(first, name=name, blocks=blocks(), files=files)


def _numbered(blocks: Iterator[Block], file: int) -> Iterator[Block]:
    """Number the rows of each file from 1, where they have no line numbers."""
    n_rows = 0
    for block in blocks:
        numbers = np.arange(n_rows + 1, n_rows + block.n_rows + 1) if block.numbers is None else block.numbers
        n_rows += block.n_rows
        yield replace(block, numbers=numbers, file=file)


def _check_same(first: Reader, other: Reader) -> None:
    """SC321, SC309, SC331 if two files are not parts of one table."""
    wanted, found = first.empty.column_names, other.empty.column_names
    lacking = [name for name in wanted if name not in found]
    besides = [name for name in found if name not in wanted]
    if lacking or besides:
        parts = [f"lacks {first_quoted(lacking, _NAMED)}"] if lacking else []
        parts += [f"has {first_quoted(besides, _NAMED)} besides"] if besides else []
        message = f"must have the columns of {first.name}; it {' and '.join(parts)}"
        raise TableError("SC321", message, where=other.name)
    if first.is_text != other.is_text:
        message = f"must be of the same format as {first.name}: text, or Parquet and Arrow"
        raise TableError("SC331", message, where=other.name)
    if first.dialect and other.dialect:
        marks = [(dialect.decimal, dialect.thousands) for dialect in (first.dialect, other.dialect)]
        if marks[0] != marks[1]:
            message = f'numbers must be written as in {first.name}; the decimal mark is not "{marks[0][0]}"'
            raise TableError("SC309", message, where=other.name, hint="Pass --decimal if it is the same in all files")
