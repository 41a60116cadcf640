"""Many rows of many classes: what the page gets of them is exact."""

from __future__ import annotations

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.errors import Notes
from softclass.server.evaluations import Shown, bounded
from softclass.server.largest_logits import largest_logits


def made(n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    logits = (3 * random.normal(size=(n, n_classes))).round(1).astype(np.float32)  # with ties
    return logits, random.integers(-1, n_classes, n).astype(np.int32)


def test_the_largest_logits_of_each_row_fall_and_ties_go_to_the_lower_class() -> None:
    logits, targets = made(5000, 50)
    found = largest_logits(logits, targets, kept=7)
    values = found["logits"]

    assert_bit_equal(np.sort(logits, axis=1)[:, ::-1][:, :7].copy(), values)
    assert_bit_equal(np.take_along_axis(logits, found["top"]["columns"], axis=1), values)
    equal = values[:, 1:] == values[:, :-1]
    assert np.all(np.diff(found["top"]["columns"], axis=1)[equal] > 0)


def test_the_sum_of_all_classes_and_the_own_logit_are_exact() -> None:
    logits, targets = made(300, 40)
    top = largest_logits(logits, targets)["top"]
    known = targets >= 0

    assert_close(np.log(np.exp(logits.astype(np.float64)).sum(axis=1)), top["lse"], rtol=1e-13, atol=0)
    assert_bit_equal(logits[known, targets[known]], top["own"][known])


@pytest.mark.parametrize(("n_classes", "shape"), [(30, (400, 20)), (22, (400, 22))])
def test_an_answer_of_many_numbers_has_the_largest_ones(
    monkeypatch: pytest.MonkeyPatch, n_classes: int, shape: tuple[int, int]
) -> None:
    monkeypatch.setattr("softclass.server.evaluations.MAX_LOGITS", 400 * 22)
    logits, targets = made(400, n_classes)
    names = tuple(map(str, range(n_classes)))
    shown = Shown("made", names, logits, targets, np.zeros(400), np.zeros(400, np.uint8), 400)
    answer = bounded(shown, Notes()).to_dict()

    assert (answer["logits"].shape, "top" in answer, answer["n"]) == (shape, n_classes > 22, 400)
