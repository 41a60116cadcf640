"""What cells say, against Python's own float and a regular expression; and Arrow types."""

from __future__ import annotations

import datetime
import decimal
import random
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from asserts import assert_bit_equal
from softclass.data import cells
from softclass.data.cells import MISSING_TOKENS

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def column(*chunks: list[Any], type: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, type) for chunk in chunks], type)


def strings(values: list[str | None]) -> pa.ChunkedArray:
    half = len(values) // 2
    return column(values[:half], values[half:], type=pa.string())


def reference(text: str | None, missing: frozenset[str]) -> tuple[float, bool, bool]:
    """Value, is missing, is bad of one cell."""
    word = "" if text is None else text.strip()
    if text is None or word in missing:
        return np.nan, True, False
    value = float(word) if NUMBER.fullmatch(word) else np.nan
    return (value, False, False) if np.isfinite(value) else (np.nan, False, True)


def assert_judged(found: cells.Judged, expected: list[tuple[float, bool, bool]]) -> None:
    values, missing, bad = zip(*expected, strict=True) if expected else ((), (), ())
    for actual, wanted, dtype in zip(found, (values, missing, bad), (np.float64, bool, bool), strict=True):
        assert_bit_equal(np.array(wanted, dtype), actual)


EDGE = [
    "1",
    "+1",
    "-1.",
    ".5",
    "-.5e-3",
    "1e5",
    "1E+5",
    "007",
    "0.1",
    "5e-324",
    "1e-400",
    "-0",
    " 2\t",
    "9007199254740993",
    "1e309",
    "-1e309",
    "inf",
    "nan",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "1,5",
    "1.2.3",
    "e5",
    ".",
    "-",
    "+",
    "",
    " ",
    "1 2",
    "１",
    "5%",
    "$5",
    "NA",
    "None",
    "1e",
    "١",
    "1e99999999999",
    "0.1e1\u00a0",
    None,
]


@pytest.mark.parametrize("missing", [MISSING_TOKENS, frozenset({""}), frozenset()])
@pytest.mark.parametrize("cell", EDGE)
@pytest.mark.parametrize("among", [[], ["7"], ["x"], ["7", "NA", "x"]])
def test_numbers_are_those_of_python(cell: str | None, missing: frozenset[str], among: list[str]) -> None:
    """The other cells decide which of the quick ways is taken."""
    texts = [*among, cell]

    found = cells.text_to_numbers(strings(texts), missing=missing)

    assert_judged(found, [reference(text, missing) for text in texts])


@pytest.mark.parametrize("seed", range(20))
def test_random_texts_are_judged_as_python_does(seed: int) -> None:
    generator = random.Random(seed)
    texts = [
        "".join(generator.choice("0123456789.eE+- nai") for _ in range(generator.randrange(7))) for _ in range(500)
    ]

    found = cells.text_to_numbers(strings(texts), missing=MISSING_TOKENS)

    assert_judged(found, [reference(text, MISSING_TOKENS) for text in texts])


@pytest.mark.parametrize(
    ("cell", "decimal_mark", "thousands", "value"),
    [
        ("5,1", ",", None, 5.1),
        ("5.1", ",", None, np.nan),
        (",5", ",", None, 0.5),
        ("-5,1e-2", ",", None, -0.051),
        ("1,234", ".", ",", 1234.0),
        ("1,234.5", ".", ",", 1234.5),
        ("1234.5", ".", ",", 1234.5),
        ("12,34", ".", ",", np.nan),
        ("1,2345", ".", ",", np.nan),
        (",123", ".", ",", np.nan),
        ("1,234,567", ".", ",", 1234567.0),
        ("1.234,5", ",", ".", 1234.5),
        ("1.234", ",", ".", 1234.0),
        ("1.2", ",", ".", np.nan),
        ("1 234", ".", " ", 1234.0),
        ("1'234.5", ".", "'", 1234.5),
        ("1\u00a0234", ".", "\u00a0", 1234.0),
        ("+1,234", ".", ",", 1234.0),
        ("1,,234", ".", ",", np.nan),
        ("1,234e2", ".", ",", np.nan),
    ],
)
def test_marks_inside_numbers(cell: str, decimal_mark: str, thousands: str | None, value: float) -> None:
    found = cells.text_to_numbers(strings([cell]), decimal=decimal_mark, thousands=thousands, missing=MISSING_TOKENS)

    assert_judged(found, [(value, False, bool(np.isnan(value)))])


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("1e309", "SC308"),
        ("inf", "SC308"),
        ("-Infinity", "SC308"),
        ("5,1", "SC307"),
        ("nanx", "SC307"),
        ("0x10", "SC307"),
    ],
)
def test_the_fault_of_a_cell_is_named(cell: str, code: str) -> None:
    assert cells.number_fault(cell) == code


@pytest.mark.parametrize(
    ("values", "pair"),
    [
        (["True", "FALSE"], ("true", "false")),
        ([" yes", "No ", "NO"], ("yes", "no")),
        (["是", "否"], ("是", "否")),
        (["t", "f"], ("t", "f")),
        (["y", "f"], None),
        (["yes"], None),
        (["yes", "no", "maybe"], None),
        (["1", "0"], None),
        ([], None),
    ],
)
def test_pairs_of_truth_values(values: list[str], pair: tuple[str, str] | None) -> None:
    assert cells.boolean_pair(values) == pair


def test_truth_values_are_read() -> None:
    texts = strings(["Yes", " no", "NA", None, "maybe", "", "YES"])

    found = cells.text_to_booleans(texts, true="yes", false="no", missing=frozenset({"", "NA"}))

    gone, bad = (np.nan, True, False), (np.nan, False, True)
    assert_judged(found, [(1, False, False), (0, False, False), gone, gone, bad, gone, (1, False, False)])


def test_dates_are_read() -> None:
    texts = strings(["1.2.1970", "13.1.1970 ", "NA", None, "soon", ""])

    date_format = cells.find_date_format(strings(["1.2.1970", " 13.1.1970", "NA", None]), missing=MISSING_TOKENS)
    found = cells.text_to_seconds(texts, date_format=str(date_format), missing=MISSING_TOKENS)

    gone, bad = (np.nan, True, False), (np.nan, False, True)
    assert date_format == "%d.%m.%Y"
    assert_judged(found, [(31 * 86400, False, False), (12 * 86400, False, False), gone, gone, bad, gone])


@pytest.mark.parametrize("texts", [[], [None], [None, None]])
def test_columns_of_nothing_are_judged(texts: list[str | None]) -> None:
    found = [
        cells.text_to_numbers(strings(texts), missing=MISSING_TOKENS),
        cells.text_to_numbers(strings(texts), decimal=",", missing=frozenset()),
        cells.text_to_booleans(strings(texts), true="t", false="f", missing=frozenset()),
        cells.text_to_seconds(strings(texts), date_format="iso", missing=frozenset()),
    ]

    assert [(values.shape, missing.tolist(), bad.tolist()) for values, missing, bad in found] == [
        ((len(texts),), [True] * len(texts), [False] * len(texts))
    ] * 4


@pytest.mark.parametrize(
    ("values", "limit", "expected"),
    [
        (["b", "a", "b", None], 2, (["b", "a"], [2, 1])),
        (["b", "a", "c"], 2, None),
        ([], 2, ([], [])),
        ([str(k) for k in range(5000)], 10, None),
        (["x"] * 5000 + ["y"], 10, (["x", "y"], [5000, 1])),
    ],
)
def test_distinct_values_are_counted(values: list[str | None], limit: int, expected: Any) -> None:
    found = cells.distinct(strings(values), limit)

    assert (None if found is None else (found[0], found[1].tolist())) == expected


# ------------------------------------------------------------------------------------------------------- Arrow types
@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (pa.string(), "text"),
        (pa.large_string(), "text"),
        (pa.bool_(), "boolean"),
        (pa.int8(), "integer"),
        (pa.uint64(), "integer"),
        (pa.float32(), "float"),
        (pa.date32(), "datetime"),
        (pa.timestamp("ns", "UTC"), "datetime"),
        (pa.null(), "null"),
        (pa.binary(), "other"),
        (pa.list_(pa.int8()), "other"),
        (pa.struct({"a": pa.int8()}), "other"),
        (pa.time32("s"), "other"),
        (pa.duration("s"), "other"),
        (pa.uuid(), "other"),
        (pa.opaque(pa.null(), "a", "b"), "other"),
        (pa.map_(pa.int8(), pa.int8()), "other"),
    ],
)
def test_types_have_kinds(type_: pa.DataType, kind: str) -> None:
    assert cells.type_kind(type_) == kind


@pytest.mark.parametrize(
    ("array", "type_", "values"),
    [
        (pa.array(["a", None]).dictionary_encode(), pa.string(), ["a", None]),
        (pa.array([1, 1, 2]).dictionary_encode(), pa.string(), ["1", "1", "2"]),
        (pa.array([4.0, 0.5]).dictionary_encode(), pa.string(), ["4", "0.5"]),
        (pa.array(["a"], pa.large_string()), pa.string(), ["a"]),
        (pa.array(["a"], pa.string_view()), pa.string(), ["a"]),
        (pa.array([decimal.Decimal("1.25"), None]), pa.float64(), [1.25, None]),
        (pa.array([np.float16(1.5)], pa.float16()), pa.float32(), [1.5]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), pa.string(), ["a", "a", "b"]),
        (pa.array([[1]]), pa.list_(pa.int64()), [[1]]),
    ],
)
def test_types_are_made_plain(array: pa.Array, type_: pa.DataType, values: list[Any]) -> None:
    plain = cells.plain_type(pa.chunked_array([array]))

    assert (plain.type, plain.to_pylist()) == (type_, values)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None, 3], pa.uint8()), [1.0, np.nan, 3.0]),
        (pa.array([1.5, np.nan, None], pa.float32()), [1.5, np.nan, np.nan]),
        (pa.array([True, False, None]), [1.0, 0.0, np.nan]),
        (pa.array([2**63 - 1, 2**53 + 1]), [2.0**63, 2.0**53]),
        (pa.nulls(2), [np.nan, np.nan]),
    ],
)
def test_typed_numbers(array: pa.Array, expected: list[float]) -> None:
    values, missing = cells.typed_to_numbers(pa.chunked_array([array]))

    assert_bit_equal(np.array(expected), values)
    assert_bit_equal(np.isnan(expected), missing)


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))])
def test_typed_seconds(type_: pa.DataType) -> None:
    array = pa.array([datetime.date(1969, 12, 31), None, datetime.date(2024, 2, 29)], pa.date32()).cast(type_)

    values, missing = cells.typed_to_seconds(pa.chunked_array([array]))

    assert_bit_equal(np.array([-86_400.0, np.nan, 1_709_164_800.0]), values)
    assert_bit_equal(np.array([False, True, False]), missing)


def test_a_zone_is_taken_off() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    array = pa.array([datetime.datetime(1970, 1, 1, 2, 0, 0, 250_000, tzinfo=zone)], pa.timestamp("us", "+02:00"))

    values, _ = cells.typed_to_seconds(pa.chunked_array([array]))

    assert_bit_equal(np.array([0.25]), values)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (
            pa.array([4.0, -0.5, 1e20, 1e-7, None, np.nan, np.inf]),
            ["4", "-0.5", "100000000000000000000", "1e-07", None, None, "inf"],
        ),
        (pa.array([7, None], pa.int8()), ["7", None]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["a", None]), ["a", None]),
        (pa.nulls(1), [None]),
        (pa.array([datetime.date(2024, 2, 29)]), ["2024-02-29"]),
    ],
)
def test_typed_text(array: pa.Array, expected: list[str | None]) -> None:
    assert cells.typed_to_text(pa.chunked_array([array])).to_pylist() == expected


def test_typed_text_of_no_chunks() -> None:
    assert cells.typed_to_text(pa.chunked_array([], pa.float64())).to_pylist() == []


WORDS = ["", " ", "NA", " NA", "NA ", "x", "\tx", "a b", "\x1cNA", "NA\x85", "\u3000NA", "NA\u200b", "é", "NA\n", None]


@pytest.mark.parametrize("word", WORDS)
def test_few_cells_are_missing_where_many_are(word: str | None) -> None:
    few, many = (pa.chunked_array([pa.array([word] * n, pa.string())]) for n in (1, cells.FEW_CELLS + 1))
    missing = frozenset({"", "NA"})

    assert set(cells.is_missing(few, missing).tolist()) == set(cells.is_missing(many, missing).tolist())


@pytest.mark.parametrize(
    "type_",
    [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string(),
     pa.string_view(), pa.date32(), pa.date64(), pa.timestamp("ns", "UTC"), pa.null(), pa.decimal32(3),
     pa.decimal256(3), pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.int8()), pa.binary(), pa.time32("s"),
     pa.duration("s"), pa.run_end_encoded(pa.int32(), pa.float32())],
    ids=str,
)  # fmt: skip
def test_a_plain_type_is_one_that_stays(type_: pa.DataType) -> None:
    column = pa.chunked_array([pa.nulls(2, type_)])

    assert cells.is_plain_type(type_) == (cells.plain_type(column).type == type_)
