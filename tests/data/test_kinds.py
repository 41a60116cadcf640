"""Each kind of column, and each reason to leave one out or to refuse it."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pyarrow as pa
import pytest

from small_tables import messages, text_table, typed_table
from softclass.data.column import Column, Dropped
from softclass.data.dialect import Dialect
from softclass.data.kinds import judge_column, split_na_values
from softclass.errors import Notes, TableError, UsageError


def judged(cells, kind=None, *, name="x", na_values=(), date_format=None, notes=None, dialect=None):
    table = cells if hasattr(cells, "columns") else text_table({name: cells}, dialect=dialect)
    return judge_column(table, name, name, kind, na_values, date_format, Notes() if notes is None else notes)


def number(missing=0, low=None, high=None, *, integer=False, **more) -> Column:
    return Column("x", "x", "number", missing, integer, low, high, **more)


# ----------------------------------------------------------------------------------------------- kinds of text columns
@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (["1", "2", " 3 "], number(0, 1.0, 3.0, integer=True)),
        (["1.5", ".5", "5.", "-2e-3", "+1E2"], number(0, -0.002, 100.0)),
        (["1", "", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "-", "--", "?", ".", "2"],
         number(14, 1.0, 2.0, integer=True)),
        (["0", "1"], number(0, 0.0, 1.0, integer=True)),
        (["2007", "2008", "2009"], number(0, 2007.0, 2009.0, integer=True)),
        (["1e307", "-1e-200"], number(0, -1e-200, 1e307)),
        (["true", "FALSE", ""], Column("x", "x", "boolean", 1, true="true", false="false")),
        (["Yes", "no", "NA"], Column("x", "x", "boolean", 1, true="yes", false="no")),
        (["y", "N"], Column("x", "x", "boolean", 0, true="y", false="n")),
        (["t", "f"], Column("x", "x", "boolean", 0, true="t", false="f")),
        (["on", "off"], Column("x", "x", "boolean", 0, true="on", false="off")),
        (["是", "否"], Column("x", "x", "boolean", 0, true="是", false="否")),
        (["yes", "no", "maybe"], Column("x", "x", "category", 0)),
        (["yes", "", "NA"], Column("x", "x", "category", 1)),
        (["1970-01-01", "1970-01-02T00:00:01.5", "1970-01-01 12:00:00+12:00", ""],
         Column("x", "x", "datetime", 1, minimum=0.0, maximum=86401.5, date_format="iso")),
        (["1970/1/2", "1970/01/01"],
         Column("x", "x", "datetime", 0, minimum=0.0, maximum=86400.0, date_format="%Y/%m/%d")),
        (["13.1.1970", "1.2.1970"],
         Column("x", "x", "datetime", 0, minimum=12 * 86400.0, maximum=31 * 86400.0, date_format="%d.%m.%Y")),
        (["1/13/1970", "2/1/1970"],
         Column("x", "x", "datetime", 0, minimum=12 * 86400.0, maximum=31 * 86400.0, date_format="%m/%d/%Y")),
        (["0x10", "12"], Column("x", "x", "category", 0)),
        (["5%", "6%"], Column("x", "x", "category", 0)),
        (["$5", "$6"], Column("x", "x", "category", 0)),
        (["1,234", "5,678"], Column("x", "x", "category", 0)),
        (["1_000", "2_000"], Column("x", "x", "category", 0)),
        (["Biscoe", "Dream", " "], Column("x", "x", "category", 1)),
    ],
)  # fmt: skip
def test_kind_of_text(cells, column):
    assert judged(cells) == column


def test_decimal_commas_and_thousands():
    found = judged(["1.234,5", "0,5"], dialect=Dialect(decimal=",", thousands="."))

    assert found == number(0, 0.5, 1234.5)


def test_na_values_are_missing_in_every_kind():
    assert judged(["-999", "1", "2"], na_values=("-999",)) == number(1, 1.0, 2.0, integer=True, na_values=("-999",))
    assert judged(["NA", "a", "b"], na_values=("NA",)).missing == 1


def test_date_format_of_the_user_decides():
    assert judged(["01/02/1970", "01/03/1970"], date_format="%d/%m/%Y").minimum == 31 * 86400.0


def test_date_format_of_the_user_is_not_forced_on_other_columns():
    assert judged(["1970-01-01", "1970-01-02"], date_format="%d/%m/%Y").date_format == "iso"


# ---------------------------------------------------------------------------------------------- left out, with a note
@pytest.mark.parametrize(
    ("cells", "reason", "note"),
    [
        (["a"] * 3, 'constant: the only value is "a"', 'SC805 column "x": constant, left out: the only value is "a"'),
        (["", " "], "constant: it holds no value", 'SC805 column "x": constant, left out: it holds no value'),
        (["1", "1.0", "NA"], 'constant: the only value is "1"',
         'SC805 column "x": constant, left out: the only value is "1"'),
        (["2020-01-01", "NA"], 'constant: the only value is "2020-01-01"',
         'SC805 column "x": constant, left out: the only value is "2020-01-01"'),
        ([f"n{i}" for i in range(50)], "id-like: 50 distinct of 50 cells",
         'SC813 column "x": id-like, left out: 50 distinct of 50 cells'),
        ([f"{i:05d}" for i in range(50)], "id-like: 50 distinct of 50 cells",
         'SC813 column "x": id-like, left out: 50 distinct of 50 cells'),
        ([str(i) for i in range(50, 0, -1)], "id-like: 1 to 50 in steps of 1",
         'SC813 column "x": id-like, left out: 1 to 50 in steps of 1'),
        ([f"{i % 30} is the number of some rather long remark" for i in range(50)],
         "free text: 30 distinct of 50 cells", 'SC814 column "x": free text, left out: 30 distinct of 50 cells'),
        ([f"a {i % 22} c d" for i in range(50)],
         "free text: 22 distinct of 50 cells", 'SC814 column "x": free text, left out: 22 distinct of 50 cells'),
        ([f"{i % 30:040d}x" for i in range(50)], "free text: 30 distinct of 50 cells",
         'SC814 column "x": free text, left out: 30 distinct of 50 cells'),
    ],
)  # fmt: skip
def test_left_out(cells, reason, note):
    notes = Notes()
    found = judged(cells, notes=notes)

    assert found == Dropped("x", reason, note[:5])
    assert messages(notes) == [note]


@pytest.mark.parametrize("name", ["id", "ID", "Bean ID", "user_id", "PassengerId", "index", "No", "编号", "序号"])
def test_integers_that_are_named_like_an_id(name):
    notes = Notes()
    found = judged(["3", "17", "5"], name=name, notes=notes)

    assert found == Dropped(name, "id-like: each number occurs once", "SC813")
    assert next(iter(notes)).hint.startswith("--number ")


@pytest.mark.parametrize(
    "cells", [["3", "17", "17"], ["3.5", "17", "5"]], ids=["a number occurs twice", "not all are whole"]
)
def test_numbers_that_are_named_like_an_id_but_are_none(cells):
    assert judged(cells, name="id").kind == "number"


@pytest.mark.parametrize("name", ["bid", "valid", "Grid", "notes", "number"])
def test_names_that_only_end_like_an_id(name):
    assert judged(["3", "17", "5"], name=name).kind == "number"


def test_few_whole_numbers_in_steps_of_1_are_numbers():
    assert judged([str(i) for i in range(49)]).kind == "number"


def test_measurements_that_all_differ_are_numbers():
    assert judged([str(i / 7) for i in range(500)]).kind == "number"


def test_a_handful_of_long_phrases_are_categories():
    phrases = ["High school graduate or more", "Some years of some college"] * 30

    assert judged(phrases).kind == "category"


# ----------------------------------------------------------------------------------------------- kept, with a note
def test_na_in_a_text_column_is_a_category():
    notes = Notes()
    found = judged(["NA", "DE", "NA", "", "None"], notes=notes)

    assert found == Column("x", "x", "category", 1)
    assert messages(notes) == ['SC812 column "x": 3 cells "NA", "None" kept as categories']
    assert next(iter(notes)).hint == "--na-values x=NA if they mean missing"


@pytest.mark.parametrize(
    ("cells", "count"),
    [
        (["007", "010", "12"], 2),
        (["12345678901234567890", "12345678901234567891"], 2),
        (["9007199254740993", "1"], 1),
    ],
)
def test_codes_are_categories(cells, count):
    notes = Notes()
    found = judged(cells, notes=notes)

    assert found == Column("x", "x", "category", 0)
    assert messages(notes) == [
        f'SC819 column "x": {count} number{"s" * (count > 1)} with leading zeros or above 2^53: kept as categories'
    ]


def test_numbers_too_small_for_a_float_are_0_with_a_note():
    notes = Notes()
    found = judged(["1e-400", "0e5", "2"], notes=notes)

    assert found == number(0, 0.0, 2.0, integer=True)
    assert messages(notes) == ['SC826 column "x": 1 number too small for a 64-bit float: read as 0']


# ----------------------------------------------------------------------------------------------------------- refused
MIXED = [str(i / 7) for i in range(97)]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([*MIXED, "5,1", "x", "2"],
         '[SC307] t.csv, line 98, column "x": must be a number; got "5,1" (2 of 100 cells; the others are numbers). '
         "--na-values x=5,1 to call it missing, or --category x"),
        ([*(text.replace(".", "") for text in MIXED), "5,1", "x", "2"],
         '[SC307] t.csv, line 98, column "x": must be a number; got "5,1" (2 of 100 cells; the others are numbers). '
         "--decimal , for decimal commas, --na-values x=5,1 to call it missing, or --category x"),
        ([*MIXED, "0x10", "2", "3"],
         '[SC307] t.csv, line 98, column "x": must be a number; got "0x10" (1 of 100 cells; the others are numbers). '
         "--na-values x=0x10 to call it missing, or --category x"),
        ([*MIXED, "1_000", "2", "3"],
         '[SC307] t.csv, line 98, column "x": must be a number; got "1_000" (1 of 100 cells; the others are numbers). '
         "--na-values x=1_000 to call it missing, or --category x"),
        ([*MIXED, "1,234.5", "NA", ""],
         '[SC307] t.csv, line 98, column "x": must be a number; got "1,234.5" (1 of 98 cells; the others are numbers). '
         "--thousands , for marks between thousands, --na-values x=1,234.5 to call it missing, or --category x"),
        ([*MIXED, "1e309", "2", "3"],
         '[SC308] t.csv, line 98, column "x": must be a finite number; got "1e309" (1 of 100 cells; the others are '
         "numbers). --na-values x=1e309 to call it missing, or --category x"),
        (["1", "-inf"],
         '[SC308] t.csv, line 2, column "x": must be a finite number; got "-inf" (1 of 2 cells; the others are '
         "numbers). --na-values x=-inf to call it missing, or --category x"),
        (["01/02/2024", "03/04/2024"],
         '[SC309] t.csv, line 1, column "x": day and month must be told apart; "01/02/2024" may be either way round, '
         "and no day is above 12. --date-format %d/%m/%Y (or as the dates are written), or --category x"),
    ],
)  # fmt: skip
def test_refused(cells, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        judged(cells)


def test_below_95_percent_numbers_it_is_a_category():
    assert judged(["a", "b", *(str(i % 20) for i in range(30))]).kind == "category"


def test_the_line_is_the_one_of_the_file():
    table = text_table({"x": ["1"] * 30 + ["?!"] + ["2"]})
    table = table.take(np.arange(2, 32))

    with pytest.raises(TableError, match=re.escape("t.csv, line 31, column")):
        judged(table)


def test_names_from_the_file_are_escaped():
    with pytest.raises(TableError, match=re.escape('column "a\\u202eb": must be a finite number; got "inf"')):
        judged(["1", "inf"], name="a\u202eb")


# ------------------------------------------------------------------------------------------------------- forced kinds
@pytest.mark.parametrize(
    ("kind", "cells", "column"),
    [
        ("number", ["007", "8"], number(0, 7.0, 8.0, integer=True)),
        ("number", ["5", "5"], number(0, 5.0, 5.0, integer=True)),
        ("number", [str(i) for i in range(60)], number(0, 0.0, 59.0, integer=True)),
        ("category", ["4.0", "5"], Column("x", "x", "category", 0, integer=True)),
        ("category", ["007", "5"], Column("x", "x", "category", 0)),
        ("category", ["a", ""], Column("x", "x", "category", 1)),
        ("category", [f"n{i}" for i in range(60)], Column("x", "x", "category", 0)),
        ("boolean", ["1", "0", "NA"], Column("x", "x", "boolean", 1, true="1", false="0")),
        ("boolean", ["yes", "yes"], Column("x", "x", "boolean", 0, true="yes", false="no")),
        ("datetime", ["1970-01-02", "1970-01-02"],
         Column("x", "x", "datetime", 0, minimum=86400.0, maximum=86400.0, date_format="iso")),
    ],
)  # fmt: skip
def test_forced_kind(kind, cells, column):
    assert judged(cells, kind) == column


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("number", ["1", "m", "n"],
         '[SC307] t.csv, line 2, column "x": must be a number; got "m" (2 of 3 cells; the others are numbers). '
         "--na-values x=m to call it missing, or --category x"),
        ("boolean", ["m", "f"],
         '[SC322] t.csv, column "x": a boolean column holds one pair such as true and false, yes and no, 1 and 0; got '
         '"m", "f". --category x keeps the texts'),
        ("datetime", ["", "m"],
         '[SC322] t.csv, line 2, column "x": must hold dates; got "m". '
         "--date-format says how they are written, for example %d.%m.%Y"),
    ],
)  # fmt: skip
def test_forced_kind_that_does_not_fit(kind, cells, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        judged(cells, kind)


# ------------------------------------------------------------------------------------------------------ typed columns
@pytest.mark.parametrize(
    ("cells", "kind", "column"),
    [
        ([1, None, 3], None, number(1, 1.0, 3.0, integer=True)),
        ([1.5, float("nan"), None, 3.0], None, number(2, 1.5, 3.0)),
        ([4.0, 5.0], None, number(0, 4.0, 5.0, integer=True)),
        ([True, False, None], None, Column("x", "x", "boolean", 1, true="true", false="false")),
        ([True, False], "number", number(0, 0.0, 1.0, integer=True)),
        ([1, 0, None], "boolean", Column("x", "x", "boolean", 1, true="1", false="0")),
        ([4.0, 5.5], "category", Column("x", "x", "category", 0, integer=True)),
        ([datetime.date(1970, 1, 2), datetime.date(1970, 1, 1), None], None,
         Column("x", "x", "datetime", 1, minimum=0.0, maximum=86400.0, date_format="iso")),
        (["1", "2", None], None, Column("x", "x", "category", 1)),
        (["true", "false"], None, Column("x", "x", "category", 0)),
        (["1", "2"], "number", number(0, 1.0, 2.0, integer=True)),
        ([2**60, 2**60 + 1, 5], None, Column("x", "x", "category", 0)),
    ],
)  # fmt: skip
def test_types_of_a_frame_count(cells, kind, column):
    assert judged(typed_table({"x": cells}), kind) == column


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([None, None], "constant: it holds no value"),
        ([2.5, 2.5, None], "constant: the only value is 2.5"),
        (list(range(60)), "id-like: 0 to 59 in steps of 1"),
        ([f"n{i}" for i in range(60)], "id-like: 60 distinct of 60 cells"),
    ],
)
def test_typed_columns_that_are_left_out(cells, reason):
    found = judged(typed_table({"x": cells}))

    assert isinstance(found, Dropped)
    assert found.reason.replace('"', "") == reason


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        ([1.0, float("inf")], None,
         '[SC308] DataFrame, row 2, column "x": must be a finite number; got inf (1 of 2 cells). '
         "Make such cells missing, or leave the column out"),
        ([[1], [2]], None,
         '[SC332] DataFrame, column "x": columns of type list<item: int64> cannot be used. --drop x leaves it out'),
        ([b"a", b"b"], None,
         '[SC332] DataFrame, column "x": columns of type binary cannot be used. --drop x leaves it out'),
        ([1, 2], "datetime",
         '[SC322] DataFrame, column "x": its type says number; it cannot be a datetime column. '
         "Change its type, or leave the option out"),
        ([1, 2], "boolean", '[SC322] DataFrame, column "x": a boolean column of numbers holds 0 and 1 only'),
    ],
)  # fmt: skip
def test_typed_columns_that_are_refused(cells, kind, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        judged(typed_table({"x": cells}), kind)


def test_mixed_objects_of_a_frame_are_judged_by_value():
    table = typed_table({"x": ["1", "2.5", None]})
    table = table.__class__(**{**vars(table), "mixed": frozenset({"x"})})

    assert judged(table) == number(1, 1.0, 2.5)


def test_many_distinct_cells_are_judged_without_a_list_of_them(monkeypatch):
    monkeypatch.setattr("softclass.data.column_cells.MAX_DISTINCT", 10)
    cells = [str(i / 8) for i in range(3, 103)]

    assert judged([*cells, "NA"]) == number(1, 3 / 8, 102 / 8)
    assert judged([*cells[:50], *("a", "b") * 30]).kind == "category"
    assert judged(typed_table({"x": [*(f"n{i}" for i in range(60)), None]})).code == "SC813"


# ---------------------------------------------------------------------------------------------------------- na_values
def test_na_values_name_a_column_or_all():
    table = text_table({"a": ["1"], "b": ["1"], "a=b": ["1"]})

    assert split_na_values(("-9", "b=x", "a=b=y"), table) == {
        "": ("-9",),
        "a": ("-9",),
        "b": ("-9", "x"),
        "a=b": ("-9", "y"),
    }


def test_na_values_of_no_column_are_refused():
    message = '[SC207] --na-values "flwo=NA" names no column of t.csv. Did you mean flow=…?'
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        split_na_values(("flwo=NA",), text_table({"flow": ["1"]}))


def test_extension_types_are_refused():
    table = typed_table({"x": [1]})
    column = pa.chunked_array([pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))])
    table = table.__class__(**{**vars(table), "columns": {"x": column}})

    with pytest.raises(TableError, match=re.escape("[SC332]")):
        judged(table)
