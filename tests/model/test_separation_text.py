"""What a training says of classes that a plane tells apart."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model.fit_remarks import separation_text
from softclass.model.train import train

NUMBER = np.linspace(-1.0, 1.0, 40)
NOISE = np.random.default_rng(0).normal(size=40)


def text_of(features: Any, targets: Any, names: list[str], classes: list[str], C: float = np.inf) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return separation_text(SoftmaxRegression(C=C).fit(features, targets), names, classes)


def test_all_rows_apart_names_the_column() -> None:
    found = text_of(np.column_stack([NOISE, NUMBER]), (NUMBER > 0).astype(int), ["noise", "the <number>"], ["a", "b"])

    assert found == 'a plane tells all rows of the fit part apart without an error, by "the <number>"'


def test_a_category_that_never_meets_a_class_is_named_with_it() -> None:
    hot = np.r_[np.zeros(30), np.ones(10)]
    targets = np.r_[np.arange(30) % 2, np.ones(10, dtype=int)]

    found = text_of(np.column_stack([NOISE, hot]), targets, ["noise", "colour = red"], ["bad", "good"])

    assert found == '"colour = red" never occurs with class "bad" in the fit part'


def test_one_class_apart_from_others_that_overlap() -> None:
    targets = np.where(NUMBER > 0, 2, np.arange(40) % 2)

    found = text_of(NUMBER[:, None], targets, ["number"], ["a", "b", "c"])

    assert found == 'some rows of "c" are told apart without an error, by "number"'


def test_what_overlaps_says_nothing() -> None:
    assert text_of(NOISE[:, None], np.arange(40) % 2, ["noise"], ["a", "b"]) == ""


@pytest.mark.parametrize(("C", "has_note"), [(float("inf"), True), (1e3, False)])
def test_only_without_a_penalty_is_it_a_note(C: float, has_note: bool) -> None:
    told: dict[str, Any] = {}

    def listen(event: str, facts: dict[str, Any]) -> None:
        told[event] = facts

    model = train({"x": NUMBER.tolist() * 5, "y": ["ab"[int(x > 0)] for x in NUMBER] * 5}, "y", C=C, progress=listen)

    assert any(note.code == "SC846" for note in model.notes) == has_note
    assert "apart" in told["fit"]["separation"] or not has_note


def test_features_that_follow_from_others_are_counted_where_no_penalty_chooses() -> None:
    size = NOISE.repeat(5)
    data = {"size": size, "twice": 2 * size + 1, "colour": np.array(list("rgb"))[np.arange(200) % 3],
            "y": np.array(["a", "b"])[(np.arange(200) // 7) % 2]}  # fmt: skip

    free = train(data, "y", C=float("inf"), progress=lambda event, facts: None)
    penalised = train(data, "y", C=1.0, progress=lambda event, facts: None)

    [note] = [note for note in free.notes if note.code == "SC849"]
    assert note.count == 1
    assert re.search(r': "(size|twice)"$', note.text)  # the colours, which add up to one, are not told
    assert "SC849" not in {note.code for note in penalised.notes}
