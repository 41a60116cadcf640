"""What the cells of a column say, judged many at a time: numbers, truth values, missing words, Arrow types."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from softclass.data import dates

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Judged: TypeAlias = tuple[FloatArray, BoolArray, BoolArray]  # values (NaN where none), is missing, is bad; all (n,)
Kind: TypeAlias = Literal["text", "boolean", "integer", "float", "datetime", "null", "other"]

# Missing in a column that is otherwise numbers, truth values or dates; in text they are categories.
MISSING_TOKENS = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "-", "--", "?", "."})
BOOLEAN_PAIRS = (  # true, false; casefolded
    ("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"), ("是", "否"),
)  # fmt: skip

_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITE = ("inf", "infinity")
FEW_CELLS = 16  # one by one: asking Arrow takes longer, and leaves the caches cold for what comes next


# ------------------------------------------------------------------------------------------------------- Arrow types
def type_kind(type_: pa.DataType) -> Kind:
    """
    Return what the cells of an Arrow type are; "other" (nested, binary, time, extension) is SC332.

    Examples
    --------
    >>> type_kind(pa.int16()), type_kind(pa.list_(pa.int16()))
    ('integer', 'other')
    """
    return _KINDS.get(type_.id, "other")


# By the number of the type: a row of a few columns asks some fifty times.
_KINDS: dict[int, Kind] = {
    pa.string().id: "text",
    pa.large_string().id: "text",
    pa.bool_().id: "boolean",
    **{make().id: "integer" for make in (pa.int8, pa.int16, pa.int32, pa.int64)},
    **{make().id: "integer" for make in (pa.uint8, pa.uint16, pa.uint32, pa.uint64)},
    **{make().id: "float" for make in (pa.float16, pa.float32, pa.float64)},
    pa.date32().id: "datetime",
    pa.date64().id: "datetime",
    pa.timestamp("s").id: "datetime",
    pa.null().id: "null",
}


def is_plain_type(type_: pa.DataType) -> bool:
    """
    Return whether `plain_type` leaves a column of this type as it is.

    Examples
    --------
    >>> is_plain_type(pa.string()), is_plain_type(pa.float16()), is_plain_type(pa.list_(pa.int8()))
    (True, False, True)
    """
    return type_.id not in _NOT_PLAIN


_NOT_PLAIN = {
    pa.large_string().id,
    pa.string_view().id,
    pa.float16().id,
    pa.dictionary(pa.int8(), pa.int8()).id,
    pa.run_end_encoded(pa.int16(), pa.int8()).id,
    *(make(1).id for make in (pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256)),
}


def plain_type(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """
    Return a column in one of the types of `type_kind`: dictionaries become text, decimals floats.

    Examples
    --------
    >>> plain_type(pa.chunked_array([pa.array([7, 7, None]).dictionary_encode()])).to_pylist()
    ['7', '7', None]
    """
    type_ = column.type
    if is_plain_type(type_):
        return column
    if pa.types.is_dictionary(type_):
        return plain_type(typed_to_text(column.cast(type_.value_type)))
    if pa.types.is_run_end_encoded(type_):
        return plain_type(pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], type_.value_type))
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return column.cast(pa.string())
    return column.cast(pa.float64() if pa.types.is_decimal(type_) else pa.float32())


def typed_to_numbers(column: pa.ChunkedArray) -> tuple[FloatArray, BoolArray]:
    """
    Return a typed column as float64 (NaN where missing) and which cells are missing.

    Examples
    --------
    >>> typed_to_numbers(pa.chunked_array([[1, None], [3]]))
    (array([ 1., nan,  3.]), array([False,  True, False]))
    """
    kind = type_kind(column.type)
    if kind == "null":
        return np.full(len(column), np.nan), np.ones(len(column), bool)
    # Integers above 2^53 are rounded to the nearest float, as they are everywhere else.
    numbers = column if column.type == pa.float64() else column.cast(pa.float64(), safe=False)
    values = np.array(numbers.to_numpy(), dtype=np.float64)  # Arrow writes NaN for null
    return values, np.isnan(values)


def typed_to_seconds(column: pa.ChunkedArray) -> tuple[FloatArray, BoolArray]:
    """
    Return dates or timestamps as seconds since 1970 in UTC and which cells are missing.

    Examples
    --------
    >>> import datetime
    >>> typed_to_seconds(pa.chunked_array([[datetime.date(1970, 1, 2), None]]))
    (array([86400.,    nan]), array([False,  True]))
    """
    if pa.types.is_date32(column.type):
        column, unit = column.cast(pa.int32()).cast(pa.int64()), 1 / 86_400
    elif pa.types.is_date64(column.type):
        column, unit = column.cast(pa.int64()), 1e3
    else:
        unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
        column = column.cast(pa.int64())
    missing = np.array(column.is_null().to_numpy(), dtype=bool)
    whole = np.array(column.fill_null(0).to_numpy(), dtype=np.int64)
    # Whole seconds and the rest apart: int64 nanoseconds do not fit a float.
    step = int(unit) if unit >= 1 else 1
    values = np.asarray(whole * 86_400.0 if unit < 1 else whole // step + (whole % step) / unit, dtype=np.float64)
    values[missing] = np.nan
    return values, missing


def typed_to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """
    Return a column of a usable type as text: whole numbers in digits, other floats as Python writes them.

    Examples
    --------
    >>> typed_to_text(pa.chunked_array([[4.0, 0.1, 1e20, None]])).to_pylist()
    ['4', '0.1', '100000000000000000000', None]
    """
    kind = type_kind(column.type)
    if kind == "text":
        return column
    if kind != "float":
        return column.cast(pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded if isinstance(encoded, pa.ChunkedArray) else pa.chunked_array([encoded])
    chunks = [
        pa.array([_digits(value) for value in chunk.dictionary.to_pylist()], pa.string()).take(chunk.indices)
        for chunk in encoded.chunks
    ]
    return pa.chunked_array(chunks, pa.string())


def _digits(value: float) -> str | None:
    if value != value:
        return None
    return str(int(value)) if value == value // 1 and abs(value) < 1e300 else repr(value)


# -------------------------------------------------------------------------------------------------------- text cells
def is_missing(column: pa.ChunkedArray, missing: frozenset[str]) -> BoolArray:
    """
    Return which cells, without the blanks round them, are one of some words, or null.

    Examples
    --------
    >>> is_missing(pa.chunked_array([["NA", " ", "x"]]), frozenset({"", "NA"}))
    array([ True,  True, False])
    """
    texts = column.to_pylist() if len(column) <= FEW_CELLS else [None]
    if all(text and _VISIBLE.match(text) for text in texts):  # nothing to trim, whatever a blank is
        return np.array([text in missing for text in texts], dtype=bool)
    return _bools(_is_missing(pc.utf8_trim_whitespace(column), missing))


_VISIBLE = re.compile(r"[!-~](.*[!-~])?\Z", re.DOTALL)  # begins and ends with a letter or mark of ASCII


def text_to_numbers(
    column: pa.ChunkedArray, *, decimal: str = ".", thousands: str | None = None, missing: frozenset[str]
) -> Judged:
    """
    Read cells as numbers.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of strings
        The cells; blanks round them do not count.
    decimal : {".", ","}
        The mark before the fraction.
    thousands : str or None
        The mark between groups of three digits, which may be left out as a whole.
    missing : frozenset of str
        The words for a missing cell.

    Returns
    -------
    tuple of three arrays of shape (n,)
        The values in float64, NaN where there is none; which cells are missing; which are bad: no number, or not
        finite.

    Examples
    --------
    >>> text_to_numbers(pa.chunked_array([["1.5", "NA", "x", "1e309"]]), missing=MISSING_TOKENS)
    (array([1.5, nan, nan, nan]), array([False,  True, False, False]), array([False, False,  True,  True]))
    """
    n = len(column)
    if decimal == "." and thousands is None:
        try:
            return _finite(pc.cast(column, pa.float64())), np.zeros(n, bool), np.zeros(n, bool)
        except (pa.ArrowInvalid, _NotFiniteError):
            pass
    trimmed = pc.utf8_trim_whitespace(column)
    absent = _is_missing(trimmed, missing)
    if decimal == "." and thousands is None:
        try:
            numbers = pc.cast(pc.if_else(absent, pa.scalar(None, pa.string()), trimmed), pa.float64())
            return _finite(numbers.fill_null(np.nan), _bools(absent)), _bools(absent), np.zeros(n, bool)
        except (pa.ArrowInvalid, _NotFiniteError):
            pass
    return _numbers_one_by_one(trimmed, _bools(absent), decimal, thousands)


class _NotFiniteError(Exception):
    """The quick way found a value that it cannot judge."""


def _finite(numbers: pa.ChunkedArray, absent: BoolArray | None = None) -> FloatArray:
    # Arrow also reads "nan" and "inf", which are no numbers here.
    values = np.array(numbers.to_numpy(), dtype=np.float64)
    finite = np.isfinite(values)
    if not np.all(finite if absent is None else finite | absent):
        raise _NotFiniteError
    return values


def _numbers_one_by_one(trimmed: pa.ChunkedArray, absent: BoolArray, decimal: str, thousands: str | None) -> Judged:
    """Judge each distinct cell by the pattern, then spread the verdicts."""
    words, index = _distinct_words(trimmed)
    dotted = _with_points(words, decimal, thousands)
    is_number = pc.match_substring_regex(dotted, _NUMBER)
    values = pc.cast(pc.if_else(is_number, dotted, pa.scalar(None, pa.string())), pa.float64())
    table = np.array(values.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)
    table[~np.isfinite(table)] = np.nan
    spread = np.append(table, np.nan)[index]
    spread[absent] = np.nan
    return spread, absent, np.isnan(spread) & ~absent


def _with_points(words: pa.Array, decimal: str, thousands: str | None) -> pa.Array:
    """Return numbers written the plain way; what is none cannot become one."""
    if thousands is not None:
        mark = "[" + thousands + "]"
        pattern = rf"^[+-]?[0-9]{{1,3}}({mark}[0-9]{{3}})+([{decimal}][0-9]*)?$"
        grouped = pc.match_substring_regex(words, pattern)
        words = pc.if_else(grouped, pc.replace_substring(words, thousands, ""), words)
    if decimal != ".":
        # A point must not pass for the decimal mark.
        words = pc.replace_substring(pc.replace_substring(words, ".", "?"), decimal, ".")
    return words


def number_fault(text: str, *, decimal: str = ".", thousands: str | None = None) -> Literal["SC307", "SC308"]:
    """
    Return why a bad cell is bad: SC308 for a number that is not finite, SC307 for anything else.

    Examples
    --------
    >>> number_fault("1e309"), number_fault("-inf"), number_fault("5,1")
    ('SC308', 'SC308', 'SC307')
    """
    word = text.strip().lower()
    if word.lstrip("+-") in _INFINITE:
        return "SC308"
    dotted = _with_points(pa.array([word]), decimal, thousands)
    return "SC308" if pc.match_substring_regex(dotted, _NUMBER)[0].as_py() else "SC307"


def boolean_pair(values: Iterable[str]) -> tuple[str, str] | None:
    """
    Return (true, false), casefolded, if the distinct cells are exactly one of the known pairs.

    Examples
    --------
    >>> boolean_pair(["No", "YES", "yes"])
    ('yes', 'no')
    """
    found = {value.strip().casefold() for value in values}
    return next((pair for pair in BOOLEAN_PAIRS if found == set(pair)), None)


def text_to_booleans(column: pa.ChunkedArray, *, true: str, false: str, missing: frozenset[str]) -> Judged:
    """
    Read cells as 1 and 0; the two words are casefolded.

    Examples
    --------
    >>> text_to_booleans(pa.chunked_array([["Yes", "no", ""]]), true="yes", false="no", missing=frozenset({""}))
    (array([ 1.,  0., nan]), array([False, False,  True]), array([False, False, False]))
    """
    trimmed = pc.utf8_trim_whitespace(column)
    absent = _bools(_is_missing(trimmed, missing))
    words, index = _distinct_words(trimmed)
    verdicts = {true: 1.0, false: 0.0}
    table = np.array([verdicts.get(str(word).casefold(), np.nan) for word in words.to_pylist()] + [np.nan])
    values = table[index]
    values[absent] = np.nan
    return values, absent, np.isnan(values) & ~absent


def find_date_format(column: pa.ChunkedArray, *, missing: frozenset[str]) -> str | None:
    """
    Return how the cells of a column are written as dates.

    Returns
    -------
    str or None
        "iso", or a format of ``strptime``; "unclear", if no day above 12 tells day from month; None: no dates.

    Examples
    --------
    >>> find_date_format(pa.chunked_array([["31.12.2024", "", "1.2.2025"]]), missing=frozenset({""}))
    '%d.%m.%Y'
    """
    trimmed = pc.utf8_trim_whitespace(column)
    words, _ = _distinct_words(trimmed.filter(pc.invert(_is_missing(trimmed, missing))))
    return dates.date_format_of(words)


def text_to_seconds(column: pa.ChunkedArray, *, date_format: str, missing: frozenset[str]) -> Judged:
    """
    Read cells as seconds since 1970 in UTC; `date_format` as `find_date_format` returns it, or as the user gave it.

    Examples
    --------
    >>> text_to_seconds(pa.chunked_array([["1970-01-02", "x"]]), date_format="iso", missing=frozenset({""}))
    (array([86400.,    nan]), array([False, False]), array([False,  True]))
    """
    trimmed = pc.utf8_trim_whitespace(column)
    absent = _bools(_is_missing(trimmed, missing))
    words, index = _distinct_words(trimmed)
    values = np.append(dates.seconds_of(words, date_format), np.nan)[index]
    values[absent] = np.nan
    return values, absent, np.isnan(values) & ~absent


def distinct(column: pa.ChunkedArray, limit: int) -> tuple[list[Any], npt.NDArray[np.int64]] | None:
    """
    Return the distinct cells and how often each occurs, in order of first appearance; None above `limit` of them.

    Null does not count. Typed columns give Python values.

    Examples
    --------
    >>> distinct(pa.chunked_array([["b", "a", None], ["b"]]), 10)
    (['b', 'a'], array([2, 1]))
    >>> distinct(pa.chunked_array([["b", "a", None], ["b"]]), 1) is None
    True
    """
    # A long column of different cells shows early: no need to count them all.
    front = column.slice(0, 2 * limit + 1000)
    if len(front) < len(column) and pc.count_distinct(front, mode="only_valid").as_py() > limit:
        return None
    counted = pc.value_counts(column.drop_null())
    if len(counted) > limit:
        return None
    return counted.field(0).to_pylist(), np.array(counted.field(1).to_numpy(), dtype=np.int64)


def _distinct_words(column: pa.ChunkedArray) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the distinct cells and, for each cell, which of them it is; -1 for null."""
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    indices = [np.array(chunk.indices.fill_null(-1).to_numpy(), dtype=np.int64) for chunk in encoded.chunks]
    return encoded.chunk(0).dictionary, np.concatenate(indices)


def _is_missing(trimmed: pa.ChunkedArray, missing: frozenset[str]) -> pa.ChunkedArray:
    return pc.is_in(trimmed, value_set=_array_of_words(missing))


@functools.lru_cache(maxsize=64)
def _array_of_words(words: frozenset[str]) -> pa.Array:
    """Words and null as Arrow takes them; those of a column are asked for again with every block."""
    return pa.array([*sorted(words), None], pa.string())


def _bools(column: pa.ChunkedArray) -> BoolArray:
    return np.array(column.to_numpy(), dtype=bool)
