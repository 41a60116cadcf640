"""Constants come from the fit part alone; features are the plain formula, rounded once."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asserts import assert_bit_equal
from small_tables import messages
from softclass.data.column import Column, Schema
from softclass.data.preprocessing import (
    BooleanStep,
    CategoryStep,
    DatetimeStep,
    NumberStep,
    Preprocessing,
    count_unseen,
    fit_preprocessing,
    row_keys,
)
from softclass.errors import ModelFileError, Notes, TableError

NAN = float("nan")
DAY = 86_400.0


def texts(*cells: str) -> np.ndarray:
    return np.array(cells, dtype=object)


def fitted(cells, kind="number", *, rows=None, notes=None, **more):
    cells = np.asarray(cells, dtype=object if kind == "category" else np.float64)
    schema = Schema("y", (), (Column("x", "x", kind, 0),))
    rows = np.arange(len(cells)) if rows is None else np.array(rows)
    return fit_preprocessing({"x": cells}, schema, rows, Notes() if notes is None else notes, **more)


def features_of(step, *cells):
    column = texts(*cells) if isinstance(step, CategoryStep) else np.array(cells)
    return Preprocessing((step,)).apply({"x": column}).tolist()


# ------------------------------------------------------------------------------------------------------------- numbers
def test_a_number_without_gaps():
    notes = Notes()
    step = fitted([1.0, 2.0, 3.0, 6.0], notes=notes).steps[0]

    assert step == NumberStep("x", fill=2.5, mean=3.0, scale=math.sqrt(3.5), flag=False, missing=0)
    assert messages(notes) == []


def test_a_number_with_gaps_is_filled_with_the_median_and_flagged():
    notes = Notes()
    step = fitted([1.0, NAN, 3.0, 6.0, NAN], notes=notes).steps[0]

    assert step == NumberStep("x", fill=3.0, mean=3.2, scale=pytest.approx(math.sqrt(2.56)), flag=True, missing=2)
    assert messages(notes) == ['SC803 column "x": 2 missing in the fit part, filled with the median 3 and flagged']


def test_a_gap_outside_the_fit_part_is_filled_without_a_flag():
    preprocessing = fitted([1.0, 3.0, 2.0, NAN], rows=[0, 1, 2])

    assert preprocessing.n_features == 1
    assert preprocessing.apply({"x": np.array([NAN])}).tolist() == [[0.0]]


def test_a_number_that_is_missing_in_the_whole_fit_part():
    preprocessing = fitted([NAN, NAN, 5.0], rows=[0, 1])

    assert preprocessing.steps[0] == NumberStep("x", fill=0.0, mean=0.0, scale=1.0, flag=False, missing=2)
    assert preprocessing.apply({"x": np.array([NAN, 5.0])}).tolist() == [[0.0], [5.0]]


def test_a_number_that_is_constant_in_the_fit_part():
    preprocessing = fitted([0.1, 0.1, 0.1, 7.0], rows=[0, 1, 2])

    assert preprocessing.steps[0] == NumberStep("x", fill=0.1, mean=0.1, scale=1.0, flag=False, missing=0)
    assert preprocessing.apply({"x": np.array([0.1])}).tolist() == [[0.0]]


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e37, 1e307])
def test_features_do_not_depend_on_the_unit(size):
    cells = np.array([1.0, 2.0, 4.0, 8.0, -3.0])
    ordinary = fitted(cells).apply({"x": cells})

    np.testing.assert_allclose(fitted(cells * size).apply({"x": cells * size}), ordinary, rtol=3e-7, atol=1e-7)


def test_nothing_outside_the_fit_part_is_looked_at():
    cells = np.array([1.0, 2.0, NAN, 4.0, 1e300, NAN])
    categories = ["a", "b", "a", "c", "zzz", ""]

    assert fitted(cells, rows=[0, 1, 2, 3]) == fitted([*cells[:4], -7.0, 5.0], rows=[0, 1, 2, 3])
    assert fitted(categories, "category", rows=[0, 1, 2, 3]) == fitted(
        [*categories[:4], "b", "b"], "category", rows=[0, 1, 2, 3]
    )


@settings(max_examples=100)
@given(
    cells=st.lists(st.one_of(st.just(NAN), st.floats(-1e6, 1e6)), min_size=2, max_size=40),
    size=st.sampled_from([1e-200, 1.0, 1e300]),
)
def test_features_of_numbers_are_the_plain_formula_in_float64(cells, size):
    column = np.array(cells) * size
    preprocessing = fitted(column)
    step = preprocessing.steps[0]
    plain = [((step.fill if math.isnan(x) else x) - step.mean) / step.scale for x in column.tolist()]
    expected = [[value, float(math.isnan(x))][: 1 + step.flag] for value, x in zip(plain, column.tolist(), strict=True)]

    assert_bit_equal(np.array(expected, dtype=np.float64).astype(np.float32), preprocessing.apply({"x": column}))


def test_rows_are_the_same_bits_alone_and_in_a_block():
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=5000), "c": rng.choice(["a", "b", "", "z"], 5000).astype(object)}
    preprocessing = Preprocessing((NumberStep("x", 0.1, 0.2, 0.3, True, 1), CategoryStep("c", ("a", "b"), 0, 0)))
    whole = preprocessing.apply(columns)
    last = preprocessing.apply({name: cells[-1:] for name, cells in columns.items()})

    assert whole.flags.c_contiguous
    assert_bit_equal(whole[-1:], last)


# ------------------------------------------------------------------------------------------------ booleans and dates
def test_a_boolean():
    notes = Notes()
    step = fitted([1.0, 0.0, NAN], "boolean", notes=notes).steps[0]

    assert step == BooleanStep("x", 1)
    assert features_of(step, 0.0, 1.0, NAN) == [[-1.0], [1.0], [0.0]]
    assert messages(notes) == ['SC803 column "x": 1 missing in the fit part, counted as half true']


@pytest.mark.parametrize(
    ("seconds", "cycles"),
    [
        ([0.0, 1.0], ()),
        ([0.0, 2 * DAY], ()),
        ([0.0, 2 * DAY - 1], ()),
        ([0.0, 3600.0, 2 * DAY], ("day",)),
        ([0.0, 14 * DAY], ("week",)),
        ([1.0, 14 * DAY], ("day",)),
        ([0.0, 400 * DAY], ("week", "year")),
        ([1.0, 400 * DAY + 1], ("day", "week", "year")),
        ([NAN, NAN], ()),
    ],
)
def test_cycles_need_a_span_and_days_need_times(seconds, cycles):
    assert fitted(seconds, "datetime").steps[0].cycles == cycles


def test_a_datetime():
    notes = Notes()
    step = fitted([0.0, 400 * DAY, NAN], "datetime", notes=notes).steps[0]

    assert (step.fill, step.flag, step.missing) == (200 * DAY, True, 1)
    assert messages(notes) == [
        'SC803 column "x": 1 missing in the fit part, filled with the median 1970-07-20T00:00:00 and flagged'
    ]


def test_features_of_a_datetime():
    step = DatetimeStep("x", 0.0, 0.0, DAY, True, ("day", "week", "year"), 1)
    found = np.array(features_of(step, 1.75 * DAY, NAN, -0.25 * DAY))

    week, year = 2 * np.pi * 1.75 / 7, 2 * np.pi * 1.75 * DAY / 31_556_952
    np.testing.assert_allclose(
        found[0], [1.75, 0, -1, 0, np.sin(week), np.cos(week), np.sin(year), np.cos(year)], rtol=0, atol=1e-7
    )
    assert found[1].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    np.testing.assert_allclose(found[2][2:4], [-1, 0], rtol=0, atol=1e-7)


# --------------------------------------------------------------------------------------------------------- categories
def test_categories_are_kept_by_frequency_then_by_code_point():
    cells = ["b"] * 3 + ["a"] * 3 + ["c"] * 5 + [""] * 2
    step = fitted(cells, "category").steps[0]

    assert step == CategoryStep("x", ("c", "a", "b"), other_rows=0, missing=2)
    assert features_of(step, "", "z", "c", "b") == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize(("n_rows", "least"), [(200, 1), (201, 2), (400, 2), (1000, 5), (10_000, 5)])
def test_a_category_needs_so_many_rows(n_rows, least):
    rare = ["enough"] * least + ["rare"] * (least - 1)
    step = fitted([*rare, *["a"] * (n_rows - len(rare))], "category").steps[0]

    assert step.categories == (("a", "enough") if least < n_rows / 2 else ("enough", "a"))
    assert step.other_rows == least - 1


def test_rare_categories_are_merged_with_a_note():
    notes = Notes()
    fitted(["a"] * 996 + ["b", "b", "c", "d"], "category", notes=notes)

    assert messages(notes) == ['SC815 column "x": 3 rare categories, 4 rows of the fit part, merged into "other"']
    assert next(iter(notes)).hint == ""


def test_max_categories():
    notes = Notes()
    step = fitted(["a", "a", "b", "b", "c"], "category", notes=notes, max_categories=2).steps[0]

    assert step.categories == ("a", "b")
    assert messages(notes) == ['SC815 column "x": 1 rare categories, 1 rows of the fit part, merged into "other"']
    assert next(iter(notes)).hint == "--max-categories to keep more than 2"


@pytest.mark.parametrize("text", ["NA", "other", "=1+1", "\x1b[31m", "猫", "a\nb", " "])
def test_any_text_may_be_a_category(text):
    assert features_of(fitted([text, "b"], "category").steps[0], text)[0][2:].count(1.0) == 1


# --------------------------------------------------------------------------------------- layout, names, graph inputs
EVERY = Preprocessing(
    (
        NumberStep("a", 1.0, 2.0, 0.5, True, 1),
        BooleanStep("b", 0),
        DatetimeStep("d", 0.0, 0.0, 1.0, False, ("day",), 0),
        CategoryStep("c", ("x", "y"), 3, 1),
    )
)


def test_feature_names():
    assert EVERY.feature_names == (
        "a",
        "a is missing",
        "b",
        "d",
        "d, sine of the day",
        "d, cosine of the day",
        "c is missing",
        "c is another",
        "c = x",
        "c = y",
    )
    assert len(EVERY.feature_names) == EVERY.n_features


@pytest.mark.parametrize(("n_columns", "layout"), [(512, "columns"), (513, "matrix")])
def test_layout(n_columns, layout):
    names = [f"x{i}" for i in range(n_columns)]
    schema = Schema("y", (), tuple(Column(name, name, "number", 0) for name in names))
    columns = {name: np.array([1.0, 2.0]) for name in names}

    assert fit_preprocessing(columns, schema, np.array([0, 1]), Notes()).layout == layout


COLUMNS = {"a": np.array([1.0, NAN]), "b": np.array([0.0, 1.0]), "d": np.zeros(2), "c": texts("x", "")}


def test_feeds_of_columns():
    feeds = EVERY.feeds(COLUMNS)

    assert {name: cells.tolist() for name, cells in feeds.items() if name != "a"} == {
        "b": [[0.0], [1.0]],
        "d": [[0.0], [0.0]],
        "c": [["x"], [""]],
    }


def test_feeds_of_a_matrix():
    feeds = Preprocessing(EVERY.steps, "matrix").feeds(COLUMNS)

    assert feeds["numbers"][0].tolist() == [1.0, 0.0, 0.0]
    assert feeds["texts"].tolist() == [["x"], [""]]


def test_no_rows():
    columns = {name: cells[:0] for name, cells in COLUMNS.items()}

    assert EVERY.apply(columns).shape == (0, 10)


# ------------------------------------------------------------------------------------------------------ facts and back
@pytest.mark.parametrize("preprocessing", [EVERY, Preprocessing((), "matrix")])
def test_facts_survive_json(preprocessing):
    stored = json.dumps(preprocessing.to_dict(), allow_nan=False)

    assert Preprocessing.from_dict(json.loads(stored)) == preprocessing


def broken(step, key, value):
    stored = json.loads(json.dumps(EVERY.to_dict()))
    place = stored if step is None else stored["steps"][step]
    place[key] = value
    return stored


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (broken(None, "layout", "rows"), "[SC405] steps: \"layout\" breaks its rule; got 'rows'"),
        (broken(None, "more", 1), '[SC405] steps: the keys are closed; "more" is unknown'),
        (broken(0, "scale", 0.0), '[SC405] steps[0]: "scale" breaks its rule; got 0.0'),
        (broken(0, "mean", NAN), '[SC405] steps[0]: "mean" breaks its rule; got nan'),
        (broken(0, "flag", 1), '[SC405] steps[0]: "flag" breaks its rule; got 1'),
        (broken(0, "kind", "text"), "[SC405] steps[0]: \"kind\" breaks its rule; got 'text'"),
        (broken(1, "scale", 1.0), '[SC405] steps[1]: the keys are closed; "scale" is unknown'),
        (broken(2, "cycles", ["month"]), "[SC405] steps[2]: \"cycles\" breaks its rule; got ['month']"),
        (broken(3, "categories", ["a", ""]), "[SC405] steps[3]: \"categories\" breaks its rule; got ['a', '']"),
        (broken(3, "categories", ["a", "a"]), "[SC405] steps[3]: \"categories\" breaks its rule; got ['a', 'a']"),
        (broken(3, "input", "a"), "[SC405] steps: each column has one step; one has two"),
    ],
)
def test_facts_that_break_a_rule_are_refused(stored, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        Preprocessing.from_dict(stored)


# -------------------------------------------------------------------------------------------------- unseen categories
def unseen(cells, *, other_rows=0, **more):
    notes = Notes()
    preprocessing = Preprocessing((CategoryStep("x", ("a",), other_rows, 0), NumberStep("n", 0, 0, 1, False, 0)))
    for block in cells:
        count_unseen({"x": texts(*block), "n": np.zeros(len(block))}, preprocessing, notes, **more)
    return messages(notes)


def test_unseen_categories_are_counted_with_escaped_examples():
    assert unseen([["a", "", "b", "c\x1b", "d", "e", "b"]]) == [
        'SC802 column "x": 5 cells of categories never seen in training count as "other": "b", "c\\u001b", "d"'
    ]


def test_batches_give_one_note_a_column():
    assert unseen([["b"], ["a"], ["c", "d"]], other_rows=1) == [
        'SC802 column "x": 3 cells of categories never or seldom seen in training count as "other": "b"'
    ]


def test_unseen_categories_can_be_refused():
    message = (
        '[SC323] column "x": 1 cells of categories never seen in training: "b". --unseen other to count them as "other"'
    )
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        unseen([["b"]], fail=True)


def test_known_categories_give_no_note():
    assert unseen([["a", ""]], fail=True) == []


# ------------------------------------------------------------------------------------------------------------ row keys
def test_rows_have_equal_keys_exactly_if_their_cells_are_equal():
    columns = {
        "a": np.array([0.0, -0.0, 1.0, NAN, float.fromhex("nan"), 0.0]),
        "b": texts("x", "x", "x", "", "", "y"),
    }

    assert [list(row_keys(columns)).index(key) for key in row_keys(columns)] == [0, 0, 2, 3, 3, 5]


def test_row_keys_depend_on_the_column_a_cell_stands_in():
    first = row_keys({"a": np.array([1.0]), "b": np.array([2.0])})

    assert first[0] != row_keys({"a": np.array([2.0]), "b": np.array([1.0])})[0]


def test_row_keys_never_change():
    assert [hex(int(key)) for key in row_keys({"a": np.array([1.0, NAN]), "b": texts("x", "")})] == GOLDEN_KEYS


def test_row_keys_of_many_rows_are_distinct():
    grid = np.arange(200_000.0)

    assert len(np.unique(row_keys({"a": grid // 500, "b": grid % 500}))) == 200_000


GOLDEN_KEYS = ["0x37223abe12919dd0", "0x9c0ba15be5160a51"]


def test_a_number_far_beyond_training_stays_finite() -> None:
    preprocessing = Preprocessing(
        steps=(NumberStep(input="a", fill=0.0, mean=0.0, scale=1e-9, flag=False, missing=0),), layout="columns"
    )

    assert preprocessing.apply({"a": np.array([1e300, -1e300])}).ravel().tolist() == [
        np.float32(1e30),
        np.float32(-1e30),
    ]
