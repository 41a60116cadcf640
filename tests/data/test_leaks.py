"""Columns that give the target away are named, and ordinary tables give no false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from small_tables import messages
from softclass.data.leaks import find_leaks, note_conflicts
from softclass.data.preprocessing import CategoryStep, DatetimeStep, NumberStep, Preprocessing
from softclass.data.split import Parts, SplitOptions, split
from softclass.errors import Notes

N = 2000
RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, N)
NOISE = RNG.normal(size=N)


def found(columns, targets=TARGETS, parts=None, n_classes=3):
    steps = []
    for name, cells in columns.items():
        if cells.dtype == object:
            steps.append(CategoryStep(name, tuple(sorted(set(cells.tolist()) - {""})), 0, 0))
        else:
            steps.append(NumberStep(name, 0.0, 0.0, 1.0, False, 0))
    if parts is None:
        parts = split(targets, n_classes, SplitOptions(), Notes(), class_names=list("abcdefghij"))
    notes = Notes()
    find_leaks(columns, Preprocessing(tuple(steps)), targets, parts, notes)
    return messages(notes)


@pytest.mark.parametrize(
    "cells",
    [
        TARGETS * 1.0,
        TARGETS + 0.4 * RNG.random(N),
        np.where(TARGETS == 2, np.nan, TARGETS * 5.0),
        np.array(["", "x", "y"], dtype=object)[TARGETS],
        np.array([f"{t}{i % 7}" for i, t in enumerate(TARGETS.tolist())], dtype=object),
        np.where(np.arange(N) % 500 == 0, 1.0, TARGETS),
    ],
    ids=["a copy", "a number by thresholds", "missing is a class", "categories", "several a class", "nearly a copy"],
)
def test_a_column_that_gives_the_target_away(cells):
    assert [message[:50] for message in found({"x": cells, "noise": NOISE})] == [
        'SC807 column "x": alone predicts the target almost'
    ]


def test_the_sentence_gives_both_losses():
    assert found({"x": TARGETS * 1.0, "noise": NOISE}) == [
        'SC807 column "x": alone predicts the target almost perfectly: log loss 0.00147 against 1.1 without it'
    ]


@pytest.mark.parametrize(
    "cells",
    [
        NOISE,
        TARGETS + NOISE,
        TARGETS + 0.3 * NOISE,
        np.where(RNG.random(N) < 0.05, RNG.integers(0, 3, N), TARGETS) * 1.0,
        RNG.choice(["a", "b", "c"], N).astype(object),
        np.array([f"{i % 700}" for i in range(N)], dtype=object),
    ],
    ids=["noise", "a weak signal", "a good signal", "95 % right", "random categories", "many categories"],
)
def test_ordinary_columns_give_no_alarm(cells):
    assert found({"x": cells, "noise": RNG.normal(size=N)}) == []


@pytest.mark.parametrize(("limit", "value"), [("MOST_ROWS", 300), ("MOST_CELLS", 1)])
def test_some_of_the_rows_are_enough(monkeypatch, limit, value):
    monkeypatch.setattr(f"softclass.data.leaks.{limit}", value)

    assert len(found({"x": TARGETS * 1.0, "noise": NOISE})) == 1


def test_too_few_rows_outside_the_fit_part_are_not_judged():
    targets = np.arange(60) % 2
    parts = Parts(np.arange(50), np.arange(0), np.arange(50, 60))

    assert found({"x": targets * 1.0, "noise": NOISE[:60]}, targets, parts) == []


def test_rows_of_unknown_classes_are_not_looked_at():
    targets = np.append(TARGETS, [-1] * 50)
    parts = Parts(np.arange(1500), np.arange(1500, 1700), np.arange(1700, N + 50))

    assert len(found({"x": np.append(TARGETS * 1.0, [7.0] * 50), "n": RNG.normal(size=N + 50)}, targets, parts)) == 1


def test_equal_rows_of_different_classes_are_counted():
    targets = np.array([0, 0, 1, 0, 1, 1, 2])
    cells = np.array([1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0])
    parts = Parts(np.arange(7), np.arange(0), np.arange(0))

    assert found({"x": cells}, targets, parts) == [
        "SC824 5 rows equal a row of another class; at least 2 of them will be mistaken"
    ]


def test_equal_columns_are_named():
    columns = {"a": NOISE, "b\x1b": NOISE + 0.0, "c": np.where(NOISE[0] == NOISE, 9.0, NOISE)}

    assert found({**columns, "d": -NOISE}) == ['SC825 column "b\\u001b": equals column "a" in every row']


def test_equal_text_columns_are_named():
    texts = RNG.choice(["a", "b"], N).astype(object)

    assert found({"a": texts, "b": texts.copy(), "n": NOISE}) == ['SC825 column "b": equals column "a" in every row']


DATES = Preprocessing((DatetimeStep("when", 0.0, 0.0, 1.0, False, (), 0),))


def dated(parts):
    notes = Notes()
    find_leaks({"when": np.arange(N) * 86_400.0}, DATES, TARGETS, parts, notes)
    return messages(notes), [note.hint for note in notes]


def test_dates_in_a_random_split_are_noted():
    parts = split(TARGETS, 3, SplitOptions(), Notes(), class_names="abc")

    assert dated(parts) == (
        ['SC820 column "when": dates, but rows are held out at random'],
        ["--time when if you predict the future"],
    )


@pytest.mark.parametrize("roles", [{"times": np.arange(N)}, {"own": np.where(np.arange(N) < 100, "test", "")}])
def test_dates_in_other_splits_are_not_noted(roles):
    assert dated(split(TARGETS, 3, SplitOptions(), Notes(), class_names="abc", **roles)) == ([], [])


def test_twenty_clean_tables_give_no_alarm():
    alarms = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        targets = rng.integers(0, 4, 500)
        columns = {f"x{i}": targets * rng.random() + rng.normal(size=500) for i in range(8)}
        alarms += found(columns, targets, n_classes=4)

    assert alarms == []


def test_equal_images_of_different_classes_are_counted():
    notes = Notes()

    note_conflicts(np.array([7, 7, 7, 8, 9, 9], dtype=np.uint64), np.array([0, 0, 1, 0, 1, 1]), notes, "image")

    assert [note.message for note in notes] == [
        "3 images equal an image of another class; at least 1 of them will be mistaken"
    ]
