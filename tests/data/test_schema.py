"""From a table to its schema, and from the schema to facts in a file and back."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asserts import assert_bit_equal
from small_tables import messages, text_table, typed_table
from softclass.data.column import Column, Dropped, Label, Schema, SchemaOptions
from softclass.data.dialect import Dialect
from softclass.data.schema import column_values, encode_columns, infer_schema
from softclass.data.table import ReadOptions, read_table
from softclass.errors import Notes, SoftclassError, TableError, UsageError

Y = ["a", "b", "a", "b"]
TABLE = {"size": ["1", "2", "3", "5"], "hue": ["red", "NA", "red", ""], "one": ["1"] * 4, "key": ["9", "8", "7", "3"],
         "y": Y}  # fmt: skip


def inferred(columns, target="y", options=None, notes=None, **read):
    table = columns if hasattr(columns, "columns") else text_table(columns)
    return infer_schema(
        table, target, options or SchemaOptions(), ReadOptions(**read), Notes() if notes is None else notes
    )[0]


def test_a_whole_table():
    notes = Notes()
    schema = inferred(TABLE, options=SchemaOptions(id=("key",)), notes=notes)

    assert schema == Schema(
        target="y",
        classes=(Label("a"), Label("b")),
        columns=(
            Column("size", "size", "number", 0, integer=True, minimum=1.0, maximum=5.0),
            Column("hue", "hue", "category", 1),
        ),
        ids=("key",),
        dropped=(Dropped("one", 'constant: the only value is "1"', "SC805"),),
        dialect=Dialect(),
    )
    assert messages(notes) == [
        'SC812 column "hue": 1 cell "NA" kept as a category',
        'SC805 column "one": constant, left out: the only value is "1"',
    ]


def test_what_the_user_leaves_out_gives_no_note():
    notes = Notes()
    schema = inferred(TABLE, options=SchemaOptions(drop=("one", "hue"), reserved=("key",)), notes=notes)
    encode_columns(text_table(TABLE), schema, notes)

    assert [(dropped.name, dropped.reason) for dropped in schema.dropped] == [
        ("hue", "left out by option"),
        ("one", "left out by option"),
        ("key", "used for groups, parts or weights"),
    ]
    assert messages(notes) == []


def test_forced_kinds_and_words_for_missing():
    schema = inferred(
        {**TABLE, "hue": ["red", "NA", "blue", ""]},
        options=SchemaOptions(category=("size",), drop=("one",)),
        na_values=("hue=NA", "7"),
    )

    assert schema.columns == (
        Column("size", "size", "category", 0, integer=True, na_values=("7",)),
        Column("hue", "hue", "category", 2, na_values=("7", "NA")),
        Column("key", "key", "number", 1, True, 3.0, 9.0, na_values=("7",)),
    )


def test_words_for_missing_do_not_touch_labels_unless_the_target_is_named():
    columns = {"x": ["1", "2", "3"], "y": ["NA", "b", "c"]}
    options = SchemaOptions(drop_missing_target=True)

    assert [label.name for label in inferred(columns, na_values=("NA",)).classes] == ["NA", "b", "c"]
    assert [label.name for label in inferred(columns, options=options, na_values=("y=NA",)).classes] == ["b", "c"]


def test_rows_without_a_label_do_not_count():
    columns = {"x": ["1", "2", "3"], "y": ["a", "b", ""]}
    schema, table = infer_schema(
        text_table(columns), "y", SchemaOptions(drop_missing_target=True), ReadOptions(), Notes()
    )

    assert (table.n_rows, schema.columns[0].maximum) == (2, 2.0)


def test_a_table_without_a_target():
    schema = inferred({"x": ["1", "2"]}, None, SchemaOptions(needs_target=False))

    assert (schema.target, schema.classes) == (None, ())


def test_names_in_the_graph_never_clash():
    columns = {"column/label": ["1", "2", "3", "5"], "label": ["1", "2", "3", "5"], "y": Y}

    assert [column.input for column in inferred(columns).columns] == ["column/label", "column/column/label"]


@pytest.mark.parametrize(
    ("columns", "options", "read", "error", "message"),
    [
        ({"x": [], "y": []}, {}, {}, TableError, "[SC301] t.csv: the table has no rows. A header alone is not enough"),
        ({"one": ["1"] * 4, "y": Y}, {}, {}, TableError,
         '[SC315] t.csv: at least one column must be usable; one: constant: the only value is "1". '
         "--category or --number keeps a column that would be left out"),
        ({"y": Y}, {}, {}, TableError,
         "[SC315] t.csv: there is no column but the target"),
        (TABLE, {"drop": ("sise",)}, {}, TableError,
         '[SC321] t.csv: --drop names column "sise", which the table does not have. Did you mean "size"?'),
        (TABLE, {"number": ("zzzzzz",)}, {}, TableError,
         '[SC321] t.csv: --number names column "zzzzzz", which the table does not have. '
         "Columns are named exactly as in the header"),
        (TABLE, {"number": ("size",), "id": ("size",)}, {}, UsageError,
         '[SC203] column "size" cannot be named by --id and --number. Name it once'),
        (TABLE, {"category": ("y",)}, {}, UsageError,
         '[SC203] column "y" cannot be named by --category and --target. Name it once'),
        (TABLE, {}, {"date_format": "%d/%m/%Y"}, UsageError,
         '[SC202] --date-format "%d/%m/%Y" has no effect: no column is written so. '
         "--datetime COLUMN shows the first cell that is not"),
        (TABLE, {}, {"na_values": ("sice=NA",)}, UsageError,
         '[SC207] --na-values "sice=NA" names no column of t.csv. Did you mean size=…?'),
    ],
)  # fmt: skip
def test_refused(columns, options, read, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        inferred(columns, options=SchemaOptions(**options), **read)


# ------------------------------------------------------------------------------------------------- columns with a role
@pytest.mark.parametrize(
    ("table", "values"),
    [
        (text_table({"t": ["1970-01-02", "", "1970-01-01"]}), [86400.0, np.nan, 0.0]),
        (text_table({"t": ["3", "2", "NA"]}), [3.0, 2.0, np.nan]),
        (text_table({"t": [str(i) for i in range(60)]}), list(range(60))),
        (text_table({"t": ["1", "1"]}), [1.0, 1.0]),
        (typed_table({"t": [3, 2, None]}), [3.0, 2.0, np.nan]),
    ],
)
def test_a_column_as_dates_or_numbers_whatever_it_is_as_a_feature(table, values):
    np.testing.assert_array_equal(column_values(table, "t", ReadOptions()), values)


def test_a_column_that_is_neither():
    with pytest.raises(TableError, match=re.escape('[SC307] t.csv, line 1, column "t": must be a number; got "x"')):
        column_values(text_table({"t": ["x", "y"]}), "t", ReadOptions())


# --------------------------------------------------------------------------------------------------------- any cells
ODD_CELLS = (
    ("", " ", "NA", "?", "nan", "1", "1.0", " 2", "007", "-3e5", "1e309", "inf", "1e-400", "5,1", "1,234.5", "0x10"),
    ("true", "FALSE", "yes", "no", "2024-02-29", "2024-02-30", "1/2/2024", "13.1.1970", "99999999999999999999"),
    ("a", "A ", "e\u0301", "\u202e", "\x00", "猫", "a\nb", "four words in it", "٣", "１", "\u00a0", "−1"),
)
CELLS = st.one_of(*map(st.sampled_from, ODD_CELLS), st.text(max_size=6))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(cells=st.lists(CELLS, min_size=2, max_size=30), typed=st.booleans())
def test_any_cells_are_read_or_refused_in_words(cells, typed):
    columns = {"x": cells, "safe": [f"{i % 3}" for i in range(len(cells))], "y": ["a", "b"] * 15}
    columns["y"] = columns["y"][: len(cells)]
    table = typed_table(columns) if typed else text_table(columns)
    try:
        schema, table = infer_schema(table, "y", SchemaOptions(), ReadOptions(), Notes())
    except SoftclassError as error:
        assert error.code in {"SC307", "SC308", "SC309", "SC315"}  # noqa: PT017 - any other error is a bug
        return
    whole = encode_columns(table, schema, Notes())
    alone = [encode_columns(table.take(np.array([row])), schema, Notes()) for row in range(table.n_rows)]

    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict(), allow_nan=False))) == schema
    for name, values in whole.items():
        assert_bit_equal(values, np.concatenate([row[name] for row in alone]))


# ---------------------------------------------------------------------------------------------------------- real tables
def read_and_infer(path, target, notes, **read):
    table = read_table(str(path), ReadOptions(**read), notes)
    return infer_schema(table, target, SchemaOptions(), ReadOptions(**read), notes)


@pytest.mark.shared
def test_penguins(shared_data):
    notes = Notes()
    schema, _ = read_and_infer(shared_data / "penguins/penguins.csv", None, notes)

    assert [(column.name, column.kind, column.missing) for column in schema.columns] == [
        ("island", "category", 0),
        ("bill_length_mm", "number", 2),
        ("bill_depth_mm", "number", 2),
        ("flipper_length_mm", "number", 2),
        ("body_mass_g", "number", 2),
        ("sex", "category", 0),
        ("year", "number", 0),
    ]
    assert [label.name for label in schema.classes] == ["Adelie", "Chinstrap", "Gentoo"]
    assert messages(notes) == ['SC812 column "sex": 11 cells "NA" kept as a category']


@pytest.mark.shared
def test_dry_bean_with_semicolons(shared_data):
    notes = Notes()
    schema, _ = read_and_infer(shared_data / "dry_bean/Dry_Bean_Dataset_semicolon_decimalcomma.csv", "Class", notes)

    assert schema.dropped == (Dropped("Bean ID", "id-like: 1 to 13611 in steps of 1", "SC813"),)
    assert {column.kind for column in schema.columns} == {"number"}
    assert 'SC813 column "Bean ID": id-like, left out: 1 to 13611 in steps of 1' in messages(notes)


@pytest.mark.shared
@pytest.mark.slow
def test_geonames_keeps_namibia(shared_data):
    notes = Notes()
    schema, _ = read_and_infer(shared_data / "geonames_cities/rg_cities1000.csv.gz", "cc", notes)

    assert "NA" in {label.name for label in schema.classes}
    assert len(schema.classes) == 246
