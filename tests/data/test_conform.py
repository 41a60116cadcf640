"""One way from a table to columns, for file, frame and standard input; equal cells give equal values."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pytest

from asserts import assert_bit_equal
from small_tables import messages, text_table, typed_table
from softclass.data.column import Column, Dropped, Schema
from softclass.data.conform import encode_columns
from softclass.data.dialect import Dialect
from softclass.errors import Notes, TableError

NUMBER = Column("x", "x", "number", 0)
BOOLEAN = Column("x", "x", "boolean", 0, true="yes", false="no")
DAY = Column("x", "x", "datetime", 0, date_format="%d.%m.%Y")
CATEGORY = Column("x", "x", "category", 0)
DIGITS = Column("x", "x", "category", 0, integer=True)


def encoded(column, cells, *, dialect=None):
    table = text_table({"x": cells}, dialect=dialect) if isinstance(cells[0], str) else typed_table({"x": cells})
    return encode_columns(table, Schema("y", (), (column,)), Notes())["x"]


@pytest.mark.parametrize(
    ("column", "cells", "values"),
    [
        (NUMBER, ["3", " 3.0", "3e0", "NA", "", "?"], [3.0, 3.0, 3.0, np.nan, np.nan, np.nan]),
        (NUMBER, [3, 3, None], [3.0, 3.0, np.nan]),
        (NUMBER, [3.0, float("nan")], [3.0, np.nan]),
        (NUMBER, [True, False], [1.0, 0.0]),
        (NUMBER, [None, None], [np.nan, np.nan]),
        (BOOLEAN, ["YES", "no", "NA"], [1.0, 0.0, np.nan]),
        (BOOLEAN, ["True", "FALSE", ""], [1.0, 0.0, np.nan]),
        (BOOLEAN, ["1", "0"], [1.0, 0.0]),
        (BOOLEAN, [True, False, None], [1.0, 0.0, np.nan]),
        (BOOLEAN, [1, 0], [1.0, 0.0]),
        (DAY, ["2.1.1970", "", "1970-01-02T12:00:00Z"], [86400.0, np.nan, 129600.0]),
        (DAY, [datetime.date(1970, 1, 2), None], [86400.0, np.nan]),
        (DAY, [datetime.datetime(1970, 1, 2, 0, 0, 0, 500_000)], [86400.5]),
    ],
)
def test_numbers_truth_values_and_dates(column, cells, values):
    assert_bit_equal(np.array(values), encoded(column, cells))


@pytest.mark.parametrize(
    ("column", "cells", "values"),
    [
        (CATEGORY, ["a", " a", "A", "", "  ", "NA", "None"], ["a", " a", "A", "", "", "NA", "None"]),
        (CATEGORY, ["e\u0301", "\u00e9"], ["e\u0301", "\u00e9"]),
        (CATEGORY, ["007", "4.0"], ["007", "4.0"]),
        (CATEGORY, [1, 2, None], ["1", "2", ""]),
        (CATEGORY, [4.0, 4.5, float("nan")], ["4", "4.5", ""]),
        (CATEGORY, [True, None], ["true", ""]),
        (CATEGORY, [None, None], ["", ""]),
        (DIGITS, ["4.0", "4", "4.5", "x", "1e400", ""], ["4", "4", "4.5", "x", "1e400", ""]),
        (DIGITS, [4.0, 4.5], ["4", "4.5"]),
    ],
)
def test_categories_are_text(column, cells, values):
    found = encoded(column, cells)

    assert found.dtype == object
    assert found.tolist() == values
    assert {type(text) for text in found.tolist()} == {str}


def test_numbers_follow_the_dialect_of_their_own_file():
    assert encoded(NUMBER, ["1.234,5"], dialect=Dialect(decimal=",", thousands=".")).tolist() == [1234.5]


def test_words_for_missing_are_remembered():
    number = Column("x", "x", "number", 0, na_values=("-999", "?!"))
    category = Column("x", "x", "category", 0, na_values=("NA",))

    assert_bit_equal(np.array([np.nan, 1.0, np.nan]), encoded(number, ["-999", "1", " ?! "]))
    assert encoded(category, ["NA", "N/A"]).tolist() == ["", "N/A"]


def test_batches_give_the_bits_of_the_whole():
    cells = ["1", "2.5", "NA", "1e-3"] * 25
    table = text_table({"x": cells})
    schema = Schema("y", (), (NUMBER,))
    whole = encode_columns(table, schema, Notes())["x"]
    blocks = [encode_columns(table.take(np.arange(i, i + 7)), schema, Notes())["x"] for i in range(0, 98, 7)]

    assert_bit_equal(whole[:98], np.concatenate(blocks))


@pytest.mark.parametrize("column", [NUMBER, BOOLEAN, DAY])
def test_no_rows(column):
    found = encode_columns(text_table({"x": []}), Schema("y", (), (column,)), Notes())["x"]

    assert found.dtype == np.float64
    assert found.shape == (0,)


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("make", [text_table, typed_table])
def test_a_row_by_itself_has_the_texts_it_has_among_many(make, integer):
    texts = ["a", " a", "-", "- ", "", None, "4.0", "4", "é", "\u3000-", "a\nb", "-9", "x\x1c", "1e3", "nan"] * 3
    schema = Schema("y", (), (Column("x", "x", "category", 0, na_values=("-", "-9"), integer=integer),))
    whole = encode_columns(make({"x": texts}), schema, Notes())["x"].tolist()

    assert whole == [encode_columns(make({"x": [text]}), schema, Notes())["x"][0] for text in texts]


def test_no_rows_of_a_category():
    assert encode_columns(text_table({"x": []}), Schema("y", (), (CATEGORY,)), Notes())["x"].shape == (0,)


# ------------------------------------------------------------------------------------------------- columns by name
TWO = Schema(
    "y",
    (),
    (Column("petal_length", "petal_length", "number", 0), Column("petal_width", "petal_width", "number", 0)),
    ids=("key",),
    dropped=(Dropped("note", "left out by option", ""),),
)


def test_columns_match_by_name_in_any_order():
    table = text_table({"petal_width": ["1"], "petal_length": ["2"]})

    assert {name: cells.tolist() for name, cells in encode_columns(table, TWO, Notes()).items()} == {
        "petal_length": [2.0],
        "petal_width": [1.0],
    }


def test_the_name_in_the_graph_is_the_key():
    schema = Schema("y", (), (Column("label", "column/label", "number", 0),))

    assert list(encode_columns(text_table({"label": ["1"]}), schema, Notes())) == ["column/label"]


def test_extra_columns_are_noted_once_whatever_the_batches():
    notes = Notes()
    known = {"petal_width": ["1"], "petal_length": ["2"], "y": ["a"], "key": ["7"], "note": ["x"]}
    for _ in range(3):
        encode_columns(text_table({**known, "hue": ["1"], "b\x1b": ["2"]}), TWO, notes)

    assert messages(notes) == ['SC801 2 columns are not used: "hue", "b\\u001b"']


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"petal_length": ["1"], "petal_widht": ["1"]},
         '[SC321] new.csv: column "petal_width" is missing; found petal_length, petal_widht. '
         'Rename "petal_widht", or pass --rename petal_widht=petal_width'),
        ({"petal_length": ["1"], "hue": ["1"]},
         '[SC321] new.csv: column "petal_width" is missing; found petal_length, hue. '
         "The model needs it; it matches columns by name, in any order"),
        ({"petal length": ["1"], "PETAL_WIDTH": ["1"]},
         '[SC321] new.csv: columns "petal_length", "petal_width" are missing; found petal length, PETAL_WIDTH. '
         "Rename \"petal length\", or pass --rename 'petal length=petal_length,PETAL_WIDTH=petal_width'"),
        ({f"c{i}": ["1"] for i in range(20)},
         '[SC321] new.csv: columns "petal_length", "petal_width" are missing; found c0, c1, c2, c3, c4, c5, c6, c7, '
         "c8, c9, c10, c11 and 8 more. The model needs it; it matches columns by name, in any order"),
    ],
)  # fmt: skip
def test_missing_columns(columns, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        encode_columns(text_table(columns, name="new.csv"), TWO, Notes())


# ---------------------------------------------------------------------------------------------- cells that do not fit
MEND = "Mend the cell, or empty it if it means missing"


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        (NUMBER, ["1", "2", "5,1"],
         '[SC307] t.csv, line 3, column "x": must be a number; got "5,1" (1 of 3 cells; the others are numbers). '
         + MEND),
        (NUMBER, ["1", "1e309", ""],
         '[SC308] t.csv, line 2, column "x": must be a finite number; got "1e309" (1 of 2 cells; the others are '
         "numbers). " + MEND),
        (NUMBER, ["", "low", "high"],
         '[SC322] t.csv, line 2, column "x": held numbers in training; got "low" (2 of 2 cells). ' + MEND),
        (BOOLEAN, ["yes", "perhaps"],
         '[SC322] t.csv, line 2, column "x": held "yes" and "no" in training; got "perhaps" (1 of 2 cells; the others '
         'are "yes" and "no"). ' + MEND),
        (DAY, ["1.1.1970", "31.2.1970"],
         '[SC322] t.csv, line 2, column "x": held dates in training; got "31.2.1970" (1 of 2 cells; the others are '
         "dates). " + MEND),
        (NUMBER, [1.0, float("inf")],
         '[SC308] DataFrame, row 2, column "x": must be a finite number; got inf (1 of 2 cells). '
         "Mend the cell, or make it missing"),
        (BOOLEAN, [1, 2],
         '[SC322] DataFrame, row 2, column "x": held "yes" and "no" in training; got 2.0 (1 of 2 cells). '
         "Mend the cell, or make it missing"),
        (NUMBER, [datetime.date(1970, 1, 2)],
         '[SC322] DataFrame, column "x": held numbers in training; its type is date32[day] now. '
         "Give it the type that it had in training"),
        (DAY, [5],
         '[SC322] DataFrame, column "x": held dates in training; its type is int64 now. '
         "Give it the type that it had in training"),
        (NUMBER, [[1]],
         '[SC332] DataFrame, column "x": columns of type list<item: int64> cannot be used'),
    ],
)  # fmt: skip
def test_cells_that_are_not_of_the_kind(column, cells, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        encoded(column, cells)


def test_the_line_counts_the_batches_before():
    table = text_table({"x": ["1", "x"]})
    table = table.__class__(**{**vars(table), "first_row": 8192})

    with pytest.raises(TableError, match=re.escape("t.csv, line 8194, column")):
        encode_columns(table, Schema("y", (), (NUMBER,)), Notes())


def test_one_name_is_not_offered_for_two_columns():
    schema = Schema("y", (), (Column("x1", "x1", "number", 0), Column("c1", "c1", "number", 0)))
    with pytest.raises(TableError, match=re.escape('Rename "q1", or pass --rename q1=x1')) as caught:
        encode_columns(text_table({"q1": ["1"]}), schema, Notes())

    assert "q1=c1" not in str(caught.value)
