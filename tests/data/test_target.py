"""Labels are text, only the empty cell is missing, and what is no set of classes is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from small_tables import messages, text_table, typed_table
from softclass.data.column import Label, Schema, SchemaOptions
from softclass.data.target import encode_targets, find_target, has_target, infer_classes
from softclass.errors import Notes, TableError


def classes_of(labels, *, options=None, notes=None, na_values=frozenset()):
    table = text_table({"y": labels}) if isinstance(labels[0], str) else typed_table({"y": labels})
    return infer_classes(table, "y", options or SchemaOptions(), Notes() if notes is None else notes, na_values)[0]


def names_of(labels, **more):
    return [label.name for label in classes_of(labels, **more)]


# ------------------------------------------------------------------------------------------------- which column it is
@pytest.mark.parametrize("name", ["target", "LABEL", "Class", "y", "Species", "category", "类别", "标签"])
def test_the_only_usual_name_is_the_target(name):
    assert find_target(text_table({"a": ["1"], name: ["x"]}), None, SchemaOptions()) == name


def test_a_column_that_is_left_out_is_not_the_target():
    table = text_table({"label": ["1"], "y": ["x"], "class": ["x"]})

    assert find_target(table, None, SchemaOptions(drop=("label",), id=("class",))) == "y"


def test_without_need_there_may_be_no_target():
    assert find_target(text_table({"a": ["1"]}), None, SchemaOptions(needs_target=False)) is None


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        ({"sepal": ["1", "2"], "species": ["a", "b"]}, "speceis",
         '[SC311] t.csv: target column "speceis" is missing; found "sepal", "species". Did you mean "species"?'),
        ({"sepal": ["1", "2"]}, "zzzzzz",
         '[SC311] t.csv: target column "zzzzzz" is missing; found "sepal". '
         "If this is several columns, pass --delimiter with the character between them"),
        ({"a": [str(i) for i in range(60)], "b": ["1", "2"] * 30, "c d": ["x", "y"] * 30, "e": ["1"] * 60}, None,
         "[SC311] t.csv: the target column must be named; no column has a usual name for it; columns with few distinct "
         'values: "b", "c d". Pass --target, for example --target \'c d\''),
        ({"Label": ["1"], "y": ["2"]}, None,
         '[SC311] t.csv: the target column must be named; several look like it: "Label", "y". '
         "Pass --target, for example --target y"),
    ],
)  # fmt: skip
def test_target_not_found(columns, target, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        find_target(text_table(columns), target, SchemaOptions())


# --------------------------------------------------------------------------------------------------- labels and order
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["NA", "None", "nan", "null", "NULL"], ["NA", "NULL", "None", "nan", "null"]),
        (["1.0", "1", "01"], ["01", "1", "1.0"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        ([" cat ", "dog", "cat"], ["cat", "dog"]),
        (["e\u0301", "\u00e9", "z"], ["z", "\u00e9"]),
        (["ß", "a", "Z", "猫"], ["Z", "a", "ß", "猫"]),
        (["=1+1", "+x", "-x", "@x", "\tx"], ["+x", "-x", "=1+1", "@x", "x"]),
        (["a\x1b[31m", "b\u202e"], ["a\x1b[31m", "b\u202e"]),
    ],
)
def test_labels_of_a_file_are_text(labels, names):
    assert classes_of(labels) == tuple(Label(name, "string") for name in names)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 10], (Label("9", "integer"), Label("10", "integer"))),
        ([True, False], (Label("false", "boolean"), Label("true", "boolean"))),
        ([2.0, 1.0], (Label("1", "integer"), Label("2", "integer"))),
        ([0.5, 1.0], (Label("0.5", "string"), Label("1", "string"))),
    ],
)
def test_labels_of_a_frame_keep_their_type(labels, classes):
    assert classes_of(labels) == classes


@pytest.mark.parametrize(("label", "value"), [(Label("1"), "1"), (Label("1", "integer"), 1)])
def test_label_value(label, value):
    assert label.value == value


def test_boolean_label_value():
    assert Label("true", "boolean").value is True
    assert Label("false", "boolean").value is False


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        (["Cat", "cat", "dog"], '"Cat" and "cat"'),
        (["A", "\uff21", "b"], '"A" and "\uff21"'),
        (["a b", "a  b", "c"], '"a  b" and "a b"'),
        (["x", "X", "y", "Y"], '"X" and "x", "Y" and "y"'),
    ],
)
def test_labels_that_are_nearly_equal_are_noted_and_kept(labels, listed):
    notes = Notes()
    names = names_of(labels, notes=notes)

    assert sorted(names) == sorted(set(labels))
    assert messages(notes) == [
        f'SC806 column "y": labels that differ only in case, blanks or width are kept apart: {listed}'
    ]


# ------------------------------------------------------------------------------------------------------ missing labels
@pytest.mark.parametrize(
    ("table", "message"),
    [
        (text_table({"y": ["a", "", "b", " "]}),
         '[SC312] t.csv, column "y": every row needs a label; 2 of 4 are empty: line 2, line 4. '
         "--drop-missing-target leaves these rows out"),
        (typed_table({"y": [1.0, float("nan"), None, 2.0]}),
         '[SC312] DataFrame, column "y": every row needs a label; 2 of 4 are empty: row 2, row 3. '
         "--drop-missing-target leaves these rows out"),
        (text_table({"y": ["", "a"] * 7}),
         '[SC312] t.csv, column "y": every row needs a label; 7 of 14 are empty: line 1, line 3, line 5, line 7, '
         "line 9 and 2 more. --drop-missing-target leaves these rows out"),
    ],
)  # fmt: skip
def test_missing_labels_are_refused(table, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        infer_classes(table, "y", SchemaOptions(), Notes())


def test_missing_labels_can_be_left_out():
    notes = Notes()
    table = text_table({"x": ["1", "2", "3"], "y": ["a", "", "b"]})
    _, kept = infer_classes(table, "y", SchemaOptions(drop_missing_target=True), notes)

    assert kept.columns["x"].to_pylist() == ["1", "3"]
    assert messages(notes) == ['SC811 column "y": 1 row without a label left out']


def test_a_word_for_missing_labels():
    options = SchemaOptions(drop_missing_target=True)

    assert names_of(["a", "?", "b"], options=options, na_values=frozenset({"?"})) == ["a", "b"]


# ------------------------------------------------------------------------------------------------------------ refused
FRACTIONS = [str(i / 8) for i in range(21)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a "],
         '[SC313] t.csv, column "y": at least 2 classes are needed; found only "a". --target names another column'),
        (FRACTIONS,
         '[SC314] t.csv, column "y": the target looks like a measurement: 21 distinct numbers with fractions: "0.0", '
         '"0.125", "0.25", …. softclass does not do regression; --force-classes takes each value for a class'),
        ([str(i) for i in range(1001)] * 2,
         '[SC314] t.csv, column "y": the target looks like a count: 1,001 distinct whole numbers in 2,002 rows. '
         "softclass does not do regression; --force-classes takes each value for a class"),
        ([f"n{i % 51}" for i in range(100)],
         '[SC314] t.csv, column "y": the target looks like a name or a key: 51 distinct labels in 100 rows: "n0", '
         '"n1", "n2", …. --force-classes takes each label for a class all the same'),
    ],
)  # fmt: skip
def test_targets_that_are_no_classes(labels, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        classes_of(labels)


@pytest.mark.parametrize(
    "labels",
    [FRACTIONS[:20], [f"n{i % 50}" for i in range(100)], ["a", "b"], [str(i % 1001) for i in range(20_020)]],
    ids=["20 fractions", "half as many labels as rows", "two rows", "1,001 codes in 20,020 rows"],
)
def test_targets_that_just_pass(labels):
    assert len(classes_of(labels)) == len(set(labels))


def test_force_classes():
    assert len(classes_of(FRACTIONS, options=SchemaOptions(force_classes=True))) == 21


def test_nested_labels_are_refused():
    message = (
        '[SC332] DataFrame, column "y": labels cannot be list<item: int64>; they are text, whole numbers or true and '
        "false"
    )
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        infer_classes(typed_table({"y": [[1], [2]]}), "y", SchemaOptions(), Notes())


# ----------------------------------------------------------------------------------------------------- encode_targets
DIGITS = Schema("y", (Label("1", "integer"), Label("2", "integer")), ())
WORDS = Schema("y", (Label("1"), Label("2")), ())
TRUTH = Schema("y", (Label("false", "boolean"), Label("true", "boolean")), ())


@pytest.mark.parametrize(
    ("schema", "table", "targets"),
    [
        (DIGITS, text_table({"y": ["2", " 1"]}), [1, 0]),
        (DIGITS, typed_table({"y": [2.0, 1.0]}), [1, 0]),
        (WORDS, text_table({"y": ["2", "1 "]}), [1, 0]),
        (WORDS, typed_table({"y": [2, 1]}), [1, 0]),
        (TRUTH, text_table({"y": ["True", "FALSE"]}), [1, 0]),
        (TRUTH, typed_table({"y": [True, False]}), [1, 0]),
        (Schema("y", (Label("\u00e9"), Label("z")), ()), text_table({"y": ["e\u0301", "z"]}), [0, 1]),
    ],
)
def test_equal_labels_are_equal_classes_wherever_they_come_from(schema, table, targets):
    found = encode_targets(table, schema, Notes())

    assert found.dtype == np.int64
    assert found.tolist() == targets


def test_unknown_labels_are_counted():
    notes = Notes()
    found = encode_targets(text_table({"y": ["3", "1", "3", "x\x07"]}), WORDS, notes)

    assert found.tolist() == [-1, 0, -1, -1]
    assert messages(notes) == ['SC810 column "y": 3 rows of classes that the model does not know: "3", "x\\u0007"']


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": ["1", ""]},
         '[SC312] t.csv, column "y": every row needs a label; 1 of 2 are empty: line 2. '
         "Leave these rows out, or fill their labels in"),
        ({"yy": ["1", "2"]}, '[SC311] t.csv: target column "y" is missing; found "yy". Did you mean "yy"?'),
    ],
)  # fmt: skip
def test_rows_without_labels_cannot_be_evaluated(columns, message):
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        encode_targets(text_table(columns), WORDS, Notes())


def test_no_rows_have_no_targets():
    assert encode_targets(text_table({"y": []}), WORDS, Notes()).tolist() == []


@pytest.mark.parametrize(("columns", "found"), [({"y": ["1"]}, True), ({"x": ["1"]}, False)])
def test_has_target(columns, found):
    assert has_target(text_table(columns), WORDS) is found


def test_the_example_of_a_target_is_a_column_of_words_if_there_is_one() -> None:
    columns = {"kind": ["A", "B", "A"], "width": ["1", "2", "1"], "height": ["3", "3", "4"]}
    table = text_table(columns)

    with pytest.raises(TableError, match="for example --target kind"):
        find_target(table, None, SchemaOptions())
