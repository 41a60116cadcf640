"""What the cells of a column say, judged many at a time: numbers, truth values, dates, missing words."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Judged: TypeAlias = tuple[FloatArray, BoolArray, BoolArray]  # values (NaN where none), is missing, is bad; all (n,)

# Missing in a column that is otherwise numbers, truth values or dates; in text they are categories.
MISSING_TOKENS = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "-", "--", "?", "."})
BOOLEAN_PAIRS = (  # true, false; casefolded
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("是", "否"),
)


def type_kind(type_: pa.DataType) -> Literal["text", "boolean", "integer", "float", "datetime", "null", "other"]:
    """Return what the cells of an Arrow type are; "other" is SC332."""
    raise NotImplementedError


def text_to_numbers(
    column: pa.ChunkedArray, *, decimal: str = ".", thousands: str | None = None, missing: frozenset[str]
) -> Judged:
    """Read cells as numbers: values, which are missing, which are bad (no number, or not finite)."""
    raise NotImplementedError


def number_fault(text: str, *, decimal: str = ".", thousands: str | None = None) -> Literal["SC307", "SC308"]:
    """Return why a bad cell is bad: SC308 if it is a number that is not finite ("1e309", "inf"), else SC307."""
    raise NotImplementedError


def boolean_pair(values: list[str]) -> tuple[str, str] | None:
    """Return (true, false), casefolded, if the distinct cells are one of the known pairs."""
    raise NotImplementedError


def text_to_booleans(column: pa.ChunkedArray, *, true: str, false: str, missing: frozenset[str]) -> Judged:
    """Read cells as truth values 0 and 1; `true` and `false` are casefolded."""
    raise NotImplementedError


def find_date_format(column: pa.ChunkedArray, *, missing: frozenset[str]) -> str | None:
    """Return "iso", the strptime format all cells share, "unclear" (which is the day?), or None: no dates."""
    raise NotImplementedError


def text_to_seconds(column: pa.ChunkedArray, *, date_format: str, missing: frozenset[str]) -> Judged:
    """Read cells as seconds since 1970 in UTC."""
    raise NotImplementedError


def is_missing(column: pa.ChunkedArray, missing: frozenset[str]) -> BoolArray:
    """Return which cells, trimmed, are one of the missing words, or null."""
    raise NotImplementedError


def distinct(column: pa.ChunkedArray, limit: int) -> tuple[list[str], npt.NDArray[np.int64]] | None:
    """Return the distinct cells in order of first appearance and their counts (null left out); None above `limit`."""
    raise NotImplementedError


def typed_to_numbers(column: pa.ChunkedArray) -> tuple[FloatArray, BoolArray]:
    """Return a typed column (numbers, bool, null) as float64 and which cells are missing (null or NaN)."""
    raise NotImplementedError


def typed_to_seconds(column: pa.ChunkedArray) -> tuple[FloatArray, BoolArray]:
    """Return a column of dates or timestamps as seconds since 1970 in UTC and which cells are missing."""
    raise NotImplementedError


def typed_to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return any column of a usable type as text: numbers in digits (4.0 -> "4"), null stays null."""
    raise NotImplementedError
