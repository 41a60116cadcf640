"""LogPartition: the state of some classes, its merge law, its values."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from functools import reduce
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.errors import DTypeError, InputError, ShapeError
from softclass.functions.log_partition import LogPartition
from softclass.functions.softmax import log_softmax, logsumexp
from truth import as_longdouble, log_partition, log_probabilities

inf, nan = math.inf, math.nan


def state(row: Any, offset: int = 0) -> LogPartition:
    """Return the state of one row, its classes counted from `offset`."""
    made = LogPartition.from_logits(np.asarray(row, dtype=float))
    return dataclasses.replace(made, first=made.first + offset) if len(row) else made


def parts(state: LogPartition) -> tuple[float, int, float]:
    return float(state.maximum), int(state.first), float(state.rest)


# ---- states
STATES = {
    "no class": ([], (-inf, -1, -1.0)),
    "one class": ([2.5], (2.5, 0, 0.0)),
    "a tie": ([1.0, 3.0, 3.0, -inf], (3.0, 1, 1.0 + math.exp(-2.0))),
    "all -inf": ([-inf, -inf, -inf], (-inf, 0, 2.0)),
    "one +inf": ([0.0, inf, -inf], (inf, 1, 0.0)),
    "two +inf": ([inf, 0.0, inf], (inf, 0, 1.0)),
}


@pytest.mark.parametrize("name", STATES)
def test_state_of(name: str) -> None:
    row, expected = STATES[name]

    assert parts(state(row)) == pytest.approx(expected, rel=4e-16)


@pytest.mark.parametrize("row", [[nan], [1.0, nan], [nan, inf], [-inf, nan, -inf]])
def test_nan_is_in_the_rest(row: list[float]) -> None:
    assert math.isnan(state(row).rest)
    assert math.isnan(state(row).value)


def test_states_are_of_all_rows_at_once() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)

    made = LogPartition.from_logits(logits, axis=1)

    assert made.axis == 1
    assert_bit_equal(logits.max(axis=1).astype(float), made.maximum)
    assert_bit_equal(logits.argmax(axis=1), made.first)
    assert_close(
        np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True)).sum(axis=1) - 1, made.rest, rtol=1e-6, atol=0
    )  # exponentials of float32


# ---- the merge law
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -inf, inf, nan, 745.0, -745.0]),
    st.integers(-3, 3).map(float),
    st.floats(-800, 800, width=32),
)


@given(st.lists(NUMBERS, max_size=12), st.lists(st.integers(0, 12), max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_merged_parts_are_the_whole(row: list[float], cuts: list[int], random: Any) -> None:
    places = [0, *sorted(min(cut, len(row)) for cut in cuts), len(row)]
    pieces = [state(row[a:b], a) for a, b in itertools.pairwise(places)]
    random.shuffle(pieces)
    while len(pieces) > 1:
        one = pieces.pop(random.randrange(len(pieces)))
        other = pieces.pop(random.randrange(len(pieces)))
        pieces.append(one.merge(other))
    whole, merged = state(row), pieces[0]

    assert_close(whole.rest, merged.rest, rtol=9e-16, atol=1e-322)  # 4 roundings; sums of the smallest numbers
    assert_bit_equal(np.isnan(whole.rest), np.isnan(merged.rest))
    assert np.isnan(whole.rest) or (float(whole.maximum), int(whole.first)) == (
        float(merged.maximum),
        int(merged.first),
    )


@given(st.lists(NUMBERS, max_size=6), st.lists(NUMBERS, max_size=6))
@settings(max_examples=200)
def test_merging_commutes(left: list[float], right: list[float]) -> None:
    one, other = state(left), state(right, len(left))
    there, back = one.merge(other), other.merge(one)

    assert_bit_equal(there.value, back.value)
    assert_close(there.rest, back.rest, rtol=0, atol=0)


@given(st.lists(NUMBERS, max_size=8))
def test_a_state_without_a_class_changes_nothing(row: list[float]) -> None:
    alone = state(row)
    merged = alone.merge(state([]))

    assert_close([alone.maximum, alone.first, alone.rest], [merged.maximum, merged.first, merged.rest], rtol=0, atol=0)


def test_merging_is_of_all_rows_at_once() -> None:
    logits = np.random.default_rng(1).normal(size=(4, 9)) * 10
    logits[1, 2:5] = 40.0
    made = [LogPartition.from_logits(logits[:, a:b]) for a, b in [(0, 3), (3, 3), (3, 8), (8, 9)]]

    merged = reduce(LogPartition.merge, made)

    assert_ulp(as_longdouble([log_partition(row) for row in logits]), merged.value, ulps=1.5)


def test_an_index_is_shifted_by_the_caller() -> None:
    left, right = state([0.0, 1.0]), dataclasses.replace(state([5.0, 2.0]), first=np.int64(0) + 2)

    assert int(left.merge(right).first) == 2


def test_far_maxima_merge_to_the_last_bit() -> None:
    # -700.1 - 0.3 is rounded by 4e-14: without that error the sum would be wrong in its 14th digit
    merged = reduce(LogPartition.merge, [state([0.3]), state([-700.1]), state([-700.2])])
    expected = mpmath.fsum(mpmath.exp(mpmath.mpf(z) - mpmath.mpf(0.3)) for z in (-700.1, -700.2))

    assert_ulp(as_longdouble([expected])[0], merged.rest, ulps=3)


# ---- values
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_value_is_the_logsumexp(dtype: str) -> None:
    rows = (np.random.default_rng(2).normal(size=(20, 7)) * 30).astype(dtype)

    assert_close(logsumexp(rows), LogPartition.from_logits(rows).value.astype(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("row", [[], [-inf, -inf], [inf, 1.0], [inf, inf], [0.0, -inf]])
def test_value_of_an_edge(row: list[float]) -> None:
    assert_bit_equal(np.asarray(logsumexp(np.array(row))), np.asarray(state(row).value))


@pytest.mark.parametrize(("dtype", "ulps"), [("f2", 0.51), ("f4", 0.51), ("f8", 2)])
def test_log_probabilities_of_a_part_know_the_whole(dtype: str, ulps: float) -> None:
    rows = (np.random.default_rng(3).normal(size=(6, 10)) * 20).astype(dtype)
    whole = LogPartition.from_logits(rows[:, :4]).merge(LogPartition.from_logits(rows[:, 4:]))
    expected = np.array([as_longdouble(log_probabilities(row)) for row in rows])

    got = whole.log_probabilities(rows[:, 4:])

    assert got.dtype == np.dtype(dtype)
    assert_ulp(expected[:, 4:], got, ulps=ulps)


EDGES = [[-inf, -inf], [inf, 1.0], [inf, inf], [0.0, -inf], [nan, 1.0], [inf, nan], [7.0], []]


@pytest.mark.parametrize("row", EDGES)
def test_log_probabilities_of_an_edge(row: list[float]) -> None:
    logits = np.array(row)

    assert_close(log_softmax(logits), state(row).log_probabilities(logits), rtol=0, atol=0)


def test_log_probabilities_keep_the_class_axis() -> None:
    logits = np.random.default_rng(4).normal(size=(3, 4, 2))

    got = LogPartition.from_logits(logits, axis=1).log_probabilities(logits)

    assert_close(log_softmax(logits, axis=1), got, rtol=1e-15, atol=1e-16)


def test_integers_count_as_float64() -> None:
    assert_bit_equal(state([1, 2]).value, LogPartition.from_logits([1, 2]).value)


def test_a_state_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        state([1.0]).rest = 0.0  # type: ignore[misc]


MESSAGES: dict[str, tuple[type[Exception], Any, str]] = {
    "no state": (
        InputError,
        lambda: state([1.0]).merge(1.0),  # type: ignore[arg-type]
        "[SC113] LogPartition.merge: `other` must be a LogPartition; got float",
    ),
    "other rows": (
        ShapeError,
        lambda: state([1.0]).merge(LogPartition.from_logits(np.ones((2, 3)))),
        "[SC101] LogPartition.merge: `other` must have the rows of `self`, shape (); got shape (2,)",
    ),
    "another axis": (
        ShapeError,
        lambda: LogPartition.from_logits(np.ones((3, 3))).merge(LogPartition.from_logits(np.ones((3, 3)), axis=0)),
        "[SC101] LogPartition.merge: `other` must have the class axis of `self`, 1; got 0",
    ),
    "other logits": (
        ShapeError,
        lambda: LogPartition.from_logits(np.ones((2, 3))).log_probabilities(np.ones((3, 3))),
        "[SC101] LogPartition.log_probabilities: `maximum` must have the shape of `logits` without its class axis, "
        "shape (3,); got shape (2,)",
    ),
    "a number": (
        ShapeError,
        lambda: LogPartition.from_logits(1.0),
        "[SC102] LogPartition.from_logits: `logits` must have at least one axis, the classes; "
        "got the single number 1.0",
    ),
    "text": (
        DTypeError,
        lambda: LogPartition.from_logits(["a"]),
        "[SC111] LogPartition.from_logits: `logits` must be an array of float16, bfloat16, float32, float64 or "
        "integers; got text. If the values are meant as numbers, pass them as such: np.asarray(logits, dtype=float)",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message(case: str) -> None:
    kind, call, message = MESSAGES[case]

    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()
