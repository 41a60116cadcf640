"""Probabilities become output columns, and output columns become CSV, JSON Lines, Parquet or Arrow.

The columns and their order are the same in every format and in Python; a value never depends on the size of the blocks
it was computed in.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from softclass.errors import Notes, UsageError, shown

Format = Literal["csv", "jsonl", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet", "arrow")

# What a spreadsheet takes for the beginning of a formula.
FORMULA = r"^[=+\-@\t\r]"
NEEDS_QUOTES = '[",\r\n]'


def check_prediction_options(
    top_k: int | None, proba: bool, unseen: str, batch_rows: int | None, rename: Mapping[str, str] | None
) -> None:
    """Refuse options of a prediction that are out of range (SC207) or contradict each other (SC203)."""
    check_whole("--top-k", top_k, lowest=1)
    check_whole("--batch-size", batch_rows, lowest=1)
    if rename is not None and not isinstance(rename, Mapping):
        raise UsageError(
            "SC207", f"--rename must be a mapping of name in the data to name in the model; got {_named(rename)}"
        )
    if top_k is not None and not proba:
        raise UsageError("SC203", "--top-k and --no-proba exclude each other")
    if unseen not in ("other", "fail"):
        raise UsageError("SC207", f'--unseen must be other or fail; got "{shown(unseen)}"')


def check_whole(option: str, value: Any, *, lowest: int) -> None:
    """Refuse what is neither None nor a whole number of at least `lowest` (SC207)."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError("SC207", f"{option} must be a whole number; got {_named(value)}")
    if value < lowest:
        raise UsageError("SC207", f"{option} must be at least {lowest}; got {value}")


def _named(value: Any) -> str:
    return f"{shown(repr(value))} of type {type(value).__name__}"


def prediction_table(
    logits: npt.NDArray[np.float32],
    probabilities: npt.NDArray[np.float32],
    classes: Sequence[str],
    leading: Mapping[str, pa.Array],
    *,
    proba: bool = True,
    top_k: int | None = None,
    with_logits: bool = False,
    targets: npt.NDArray[np.int64] | None = None,
    target_names: Sequence[str | None] | None = None,
) -> pa.Table:
    """Put the outputs of the graph into the columns that every format shares.

    Parameters
    ----------
    logits, probabilities : float32 array of shape (n_rows, n_classes)
        Outputs of the graph; the logits are after temperature.
    classes : sequence of str
        Names in the order of the probabilities.
    leading : mapping of str to Arrow array
        Columns that stand before the predictions: ids, kept columns, `row` or `file`.
    proba, with_logits : bool
        Whether ``proba_<class>`` and ``logit_<class>`` are there.
    top_k : int, optional
        Replace the probabilities of all classes by the `top_k` best classes.
    targets : int64 array of shape (n_rows,), optional
        True classes; -1 is one the model does not know.
    target_names : sequence of str or None, optional
        True labels as text, for the column `target`.

    Returns
    -------
    pyarrow.Table
        One row an input row, in order.
    """
    names = np.array(classes, dtype=object)
    # The label is the class with the largest logit, the first on a tie: the rule of the graph itself.
    best = logits.argmax(axis=1) if len(logits) else np.zeros(0, dtype=np.int64)
    columns: dict[str, Any] = {}
    columns["prediction"] = pa.array(names[best], pa.string())
    columns["confidence"] = pa.array(np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0])
    if targets is not None:
        columns["target"] = pa.array(target_names if target_names is not None else names[targets], pa.string())
        columns["loss"] = pa.array(_losses(logits, targets))
    if top_k is not None:
        # A stable sort of the negated logits keeps the first class on a tie, as the label does.
        order = np.argsort(-logits, axis=1, kind="stable")[:, : min(top_k, len(classes))]
        for place in range(order.shape[1]):
            columns[f"top_{place + 1}"] = pa.array(names[order[:, place]], pa.string())
            share = np.take_along_axis(probabilities, order[:, place : place + 1], axis=1)[:, 0]
            columns[f"top_{place + 1}_proba"] = pa.array(share)
    elif proba:
        for index, name in enumerate(classes):
            columns[f"proba_{name}"] = pa.array(np.ascontiguousarray(probabilities[:, index]))
    if with_logits:
        for index, name in enumerate(classes):
            columns[f"logit_{name}"] = pa.array(np.ascontiguousarray(logits[:, index]))
    ahead = {name if name not in columns else f"input_{name}": array for name, array in leading.items()}
    return pa.table({**ahead, **columns})


def _losses(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Cross-entropy of each row in nats, infinite where the model does not know the class."""
    from softclass.functions.cross_entropy import cross_entropy

    losses = np.full(len(targets), np.inf)
    known = targets >= 0
    if known.any():
        losses[known] = cross_entropy(logits[known].astype(np.float64), targets[known], reduction="none")
    return losses.astype(np.float32)


def write_predictions(
    blocks: Iterable[pa.Table], file: BinaryIO, format: Format, *, spreadsheet_safe: bool, notes: Notes, seekable: bool
) -> int:
    """Write blocks of predictions to an open binary file; return the number of rows.

    `seekable` False writes Arrow as a stream, for pipes; True as a file.
    """
    rows = 0
    writer: _Writer | None = None
    for block in blocks:
        _count_formulas(block, notes, warn=format == "csv" and not spreadsheet_safe)
        if writer is None:
            writer = _WRITERS[format](file, block.schema, spreadsheet_safe, seekable)
        writer.write(block)
        rows += block.num_rows
    if writer is not None:
        writer.close()
    return rows


def _count_formulas(block: pa.Table, notes: Notes, *, warn: bool) -> None:
    if not warn:
        return
    for name, column in zip(block.column_names, block.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            count = pc.sum(pc.match_substring_regex(column, FORMULA)).as_py() or 0
            if count:
                notes.add(
                    "SC841",
                    "cells that a spreadsheet would run as a formula",
                    column=name,
                    count=count,
                    hint="--spreadsheet-safe writes ' before them",
                )


def read_predictions(
    path: Path, classes: Sequence[str]
) -> tuple[npt.NDArray[np.float32], list[str], dict[str, pa.ChunkedArray]]:
    """Read the predictions file of a run: logits, labels, and the columns that stand before the predictions."""
    table = pq.read_table(path, use_threads=False)  # see data/csv.py
    logits = np.stack([table.column(f"logit_{name}").to_numpy() for name in classes], axis=1)
    own = table.column_names.index("prediction")
    leading = {name: table.column(name) for name in table.column_names[:own]}
    return logits, [str(name) for name in table.column("target").to_pylist()], leading


def leading_columns(path: Path) -> dict[str, pa.ChunkedArray]:
    """Read of a predictions file only the columns that stand before the predictions."""
    names = pq.read_schema(path).names
    table = pq.read_table(path, columns=names[: names.index("prediction")], use_threads=False)
    return {name: table.column(name) for name in table.column_names}


class _Writer:
    """Writes blocks of one schema."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, spreadsheet_safe: bool, seekable: bool) -> None:
        self.file = file
        self.safe = spreadsheet_safe

    def write(self, block: pa.Table) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to finish for line formats."""


class _CsvWriter(_Writer):
    def __init__(self, file: BinaryIO, schema: pa.Schema, spreadsheet_safe: bool, seekable: bool) -> None:
        super().__init__(file, schema, spreadsheet_safe, seekable)
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(schema.names)
        file.write(line.getvalue().encode())

    def write(self, block: pa.Table) -> None:
        if block.num_rows:
            cells = [self._cells(column.combine_chunks()) for column in block.columns]
            self.file.write(_joined(cells, ",", "", "\n"))

    def _cells(self, column: pa.Array) -> pa.Array:
        text = _as_text(column)
        if not _is_text(column.type):
            return text
        if self.safe:
            text = pc.if_else(pc.match_substring_regex(text, FORMULA), pc.binary_join_element_wise("'", text, ""), text)
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
        return pc.if_else(pc.match_substring_regex(text, NEEDS_QUOTES), quoted, text)


class _JsonlWriter(_Writer):
    def __init__(self, file: BinaryIO, schema: pa.Schema, spreadsheet_safe: bool, seekable: bool) -> None:
        super().__init__(file, schema, spreadsheet_safe, seekable)
        self.keys = [f"{json.dumps(name, ensure_ascii=False)}:" for name in schema.names]

    def write(self, block: pa.Table) -> None:
        if not block.num_rows:
            return
        cells = []
        for key, column in zip(self.keys, block.columns, strict=True):
            values = _as_json(column.combine_chunks())
            cells.append(pc.binary_join_element_wise(key, values, ""))
        self.file.write(_joined(cells, ",", "{", "}\n"))


class _ParquetWriter(_Writer):
    def __init__(self, file: BinaryIO, schema: pa.Schema, spreadsheet_safe: bool, seekable: bool) -> None:
        super().__init__(file, schema, spreadsheet_safe, seekable)
        self.writer = pq.ParquetWriter(file, schema)

    def write(self, block: pa.Table) -> None:
        self.writer.write_table(block)

    def close(self) -> None:
        self.writer.close()


class _ArrowWriter(_Writer):
    def __init__(self, file: BinaryIO, schema: pa.Schema, spreadsheet_safe: bool, seekable: bool) -> None:
        super().__init__(file, schema, spreadsheet_safe, seekable)
        self.writer = pa.ipc.new_file(file, schema) if seekable else pa.ipc.new_stream(file, schema)

    def write(self, block: pa.Table) -> None:
        self.writer.write_table(block)

    def close(self) -> None:
        self.writer.close()


_WRITERS: dict[Format, Callable[[BinaryIO, pa.Schema, bool, bool], _Writer]] = {
    "csv": _CsvWriter,
    "jsonl": _JsonlWriter,
    "parquet": _ParquetWriter,
    "arrow": _ArrowWriter,
}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _as_text(column: pa.Array) -> pa.Array:
    """Cells as text, numbers in their shortest form that reads back to the same value, missing ones empty."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        column = pa.array([None if cell is None else str(cell) for cell in column.to_pylist()], pa.string())
    return pc.fill_null(column.cast(pa.string()), "")


def _as_json(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.string()), "null")
    if pa.types.is_floating(column.type):
        # JSON has no NaN and no infinity.
        return pc.if_else(pc.fill_null(pc.is_finite(column), False), column.cast(pa.string()), "null")
    encoded = _as_text(column).dictionary_encode()
    words = pa.array([json.dumps(word, ensure_ascii=False) for word in encoded.dictionary.to_pylist()], pa.string())
    return pc.if_else(column.is_null(), "null", words.take(encoded.indices))


def _joined(cells: Sequence[pa.Array], separator: str, before: str, after: str) -> bytes:
    lines = cells[0] if len(cells) == 1 else pc.binary_join_element_wise(*cells, separator)
    whole = (
        pc.binary_join_element_wise(before, lines, after, "")
        if before
        else pc.binary_join_element_wise(lines, after, "")
    )
    # large_string, since a block of many classes can pass 2 GiB of text.
    return b"".join(memoryview(buffer) for buffer in _text_of(whole))


def _text_of(column: pa.Array) -> list[Any]:
    if isinstance(column, pa.ChunkedArray):
        return [piece for chunk in column.chunks for piece in _text_of(chunk)]
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int32, count=len(column) + 1 + column.offset)
    data = column.buffers()[2]
    if data is None:
        return []
    return [memoryview(data)[offsets[column.offset] : offsets[column.offset + len(column)]]]
