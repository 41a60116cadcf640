"""softmax, log_softmax, logsumexp against 50 digits, their edges, their properties."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.functions.softmax import log_softmax, logsumexp, softmax
from truth import as_longdouble, log_partition, log_probabilities, probabilities

FUNCTIONS = {"softmax": softmax, "log_softmax": log_softmax}
TRUTHS = {"softmax": probabilities, "log_softmax": log_probabilities}
# Bounds of the design, in units in the last place.
BOUNDS = {("softmax", "f4"): 3, ("softmax", "f8"): 4, ("log_softmax", "f4"): 1.5, ("log_softmax", "f8"): 2}
inf, nan = math.inf, math.nan


def grid_rows(kind: str, n_classes: int, dtype: str) -> np.ndarray:
    """A few rows of one kind, about 200 numbers in all."""
    rng = np.random.default_rng([n_classes, *kind.encode()])
    shape = (max(1, 200 // n_classes), n_classes)
    rows = rng.normal(size=shape)
    name, _, amount = kind.partition(" ")
    if name == "scale":
        rows *= float(amount)
    elif name == "offset":
        rows += float(amount)
    elif name == "dominant":
        rows[:, rng.integers(n_classes)] += float(amount)
    elif name == "ties":
        rows = rows.round()
    else:  # around the smallest numbers of the type
        rows = rows * 5 - (95 if dtype == "f4" else 725)
        rows[:, -1] = 0
    return rows.astype(dtype)


KINDS = [f"scale {scale}" for scale in (0.1, 1, 5, 20, 50)]
KINDS += ["offset 1e4", "offset -1e4", "dominant 20", "dominant 60", "dominant 90", "ties"]
SIZES = [2, 3, 7, 10, 17, 64, 65, 100, 1000]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_lie_within_the_bound(name: str, kind: str, n_classes: int, dtype: str) -> None:
    rows = grid_rows(kind, n_classes, dtype)
    expected = np.array([as_longdouble(TRUTHS[name](row)) for row in rows])

    assert_ulp(expected, FUNCTIONS[name](rows), ulps=BOUNDS[name, dtype])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_near_the_smallest_numbers_are_right_in_their_units(name: str, n_classes: int, dtype: str) -> None:
    rows = grid_rows("subnormal", n_classes, dtype)
    expected = np.array([as_longdouble(TRUTHS[name](row)) for row in rows], dtype=float)
    smallest = float(np.finfo(dtype).smallest_subnormal)

    # Every exponential is rounded once to such a number before it joins a sum: half a unit a class.
    atol = smallest * (1 + n_classes / 2)
    assert_close(expected, FUNCTIONS[name](rows), rtol=2 * float(np.finfo(dtype).eps), atol=atol)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_logsumexp_lies_within_the_bound(kind: str, n_classes: int, dtype: str) -> None:
    rows = grid_rows(kind, n_classes, dtype)
    expected = as_longdouble([log_partition(row) for row in rows])
    spacing = np.spacing(np.maximum(np.abs(expected), 1).astype(dtype))

    distance = np.abs(logsumexp(rows).astype(np.longdouble) - expected) / spacing

    assert distance.max() <= {"f4": 1, "f8": 1.5}[dtype]  # maximum, log1p and their sum: 1/2 + 1 rounding


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.3, 10.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_with_temperature_lie_within_the_bound(name: str, temperature: float, dtype: str) -> None:
    rows = grid_rows("scale 5", 10, dtype)
    expected = np.array([as_longdouble(TRUTHS[name](row, temperature)) for row in rows])

    assert_ulp(expected, FUNCTIONS[name](rows, temperature=temperature), ulps=BOUNDS[name, dtype])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [4097, 100_000])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_of_many_classes_lie_within_the_bound(name: str, n_classes: int, dtype: str) -> None:
    row = grid_rows("scale 5", n_classes, dtype)[0]

    assert_ulp(as_longdouble(TRUTHS[name](row)), FUNCTIONS[name](row), ulps=BOUNDS[name, dtype])


# ---- edges: row, softmax, log_softmax, logsumexp
EDGES = {
    "a NaN": ([1.0, nan, 2.0], [nan] * 3, [nan] * 3, nan),
    "a NaN among -inf": ([-inf, nan], [nan] * 2, [nan] * 2, nan),
    "a NaN beside +inf": ([inf, nan, 0.0], [nan] * 3, [nan] * 3, nan),
    "only NaN": ([nan], [nan], [nan], nan),
    "one +inf": ([1.0, inf, -inf], [0.0, 1.0, 0.0], [-inf, 0.0, -inf], inf),
    "two +inf": ([inf, 1.0, inf], [nan] * 3, [nan] * 3, inf),
    "some -inf": ([-inf, 0.0, 0.0], [0.0, 0.5, 0.5], [-inf, -math.log(2), -math.log(2)], math.log(2)),
    "all -inf": ([-inf, -inf], [nan] * 2, [nan] * 2, -inf),
    "no class": ([], [], [], -inf),
    "one class": ([7.5], [1.0], [0.0], 7.5),
    "one class, -inf": ([-inf], [nan], [nan], -inf),
    "one class, +inf": ([inf], [1.0], [0.0], inf),
    "huge": ([1e4, -1e4], [1.0, 0.0], [0.0, -2e4], 1e4),
    "minus zero": ([-0.0, 0.0], [0.5, 0.5], [-math.log(2), -math.log(2)], math.log(2)),
}


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("edge", EDGES)
def test_softmax_of_an_edge(edge: str, dtype: str, temperature: float) -> None:
    row, expected, _, _ = EDGES[edge]

    assert_close(expected, softmax(np.array(row, dtype=dtype), temperature=temperature), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("edge", EDGES)
def test_log_softmax_of_an_edge(edge: str, dtype: str) -> None:
    row, _, expected, _ = EDGES[edge]

    assert_close(np.array(expected, dtype=dtype), log_softmax(np.array(row, dtype=dtype)), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("edge", EDGES)
def test_logsumexp_of_an_edge(edge: str, dtype: str) -> None:
    row, _, _, expected = EDGES[edge]

    assert_bit_equal(np.array(expected, dtype=dtype), logsumexp(np.array(row, dtype=dtype)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 4), (2, 3, 0)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_empty_array_stays_empty(name: str, shape: tuple[int, ...]) -> None:
    assert_bit_equal(np.empty(shape), FUNCTIONS[name](np.empty(shape)))


def test_logsumexp_over_no_class_is_minus_infinity() -> None:
    assert_bit_equal(np.full((2, 4), -inf), logsumexp(np.empty((2, 0, 4)), axis=1))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_log_softmax_keeps_what_a_rounded_probability_loses(dtype: str) -> None:
    row = np.array([0, -20, -20], dtype=dtype)

    assert_ulp(as_longdouble(log_probabilities(row))[0], log_softmax(row)[0], ulps=BOUNDS["log_softmax", dtype])


def test_differences_beyond_the_largest_double_are_infinite_and_their_temperature_is_not() -> None:
    row = np.array([1.7e308, -1.7e308])

    assert_bit_equal(np.array([0.0, -inf]), log_softmax(row))
    assert_bit_equal(np.array([0.0, -1.7e308]), log_softmax(row, temperature=2.0))
    assert_bit_equal(np.array([1.0, 0.0]), softmax(row, temperature=1e-300))


def test_half_precision_of_many_classes_is_computed_in_single() -> None:
    row = np.zeros(70_000, dtype=np.float16)

    assert_bit_equal(np.full(70_000, 1 / 70_000, dtype=np.float16), softmax(row))
    assert_bit_equal(np.full(70_000, -11.15625, dtype=np.float16), log_softmax(row))
    assert_ulp(np.log(np.longdouble(70_000)), logsumexp(row), ulps=1)


def test_half_precision_is_rounded_from_single() -> None:
    row = np.random.default_rng(0).normal(size=1000).astype(np.float16) * np.float16(5)

    assert_bit_equal(softmax(row.astype(np.float32)).astype(np.float16), softmax(row))


def test_half_precision_overflows_to_infinity_without_a_warning() -> None:
    assert_bit_equal(np.array([0, -inf], dtype=np.float16), log_softmax(np.array([65504, -65504], dtype=np.float16)))


# ---- shapes, orders, types
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_axis_is_the_last_axis_moved(name: str, axis: int) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = np.moveaxis(FUNCTIONS[name](np.moveaxis(logits, axis, -1)), -1, axis)

    assert_bit_equal(expected, FUNCTIONS[name](logits, axis=axis))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_logsumexp_of_any_axis(axis: int) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = logsumexp(np.moveaxis(logits, axis, -1))

    assert_bit_equal(expected, logsumexp(logits, axis=axis))
    assert_bit_equal(np.expand_dims(expected, axis), logsumexp(logits, axis=axis, keepdims=True))


def layouts() -> dict[str, np.ndarray]:
    """One and the same (6, 4) array in several memory orders."""
    base = np.random.default_rng(1).normal(size=(6, 4))
    wide = np.zeros((12, 8))
    wide[::2, ::2] = base
    unaligned = np.frombuffer(b"x" + base.tobytes(), dtype=np.uint8)[1:].view(np.float64).reshape(6, 4)
    frozen = base.copy()
    frozen.flags.writeable = False
    return {
        "Fortran": np.asfortranarray(base),
        "every second": wide[::2, ::2],
        "backwards": base[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": frozen,
        "big-endian": base.astype(">f8"),
        "unaligned": unaligned,
    }


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_memory_order_gives_the_same_bits(name: str, layout: str) -> None:
    logits = layouts()[layout]

    assert_bit_equal(FUNCTIONS[name](np.random.default_rng(1).normal(size=(6, 4))), FUNCTIONS[name](logits))


def test_the_memory_order_is_kept() -> None:
    assert softmax(layouts()["Fortran"]).flags.f_contiguous


def test_broadcast_logits_are_taken() -> None:
    row = np.array([0.0, 1.0])

    assert_bit_equal(np.stack([softmax(row)] * 3), softmax(np.broadcast_to(row, (3, 2))))


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8", "u8"])
def test_integers_count_as_float64(dtype: str) -> None:
    assert_bit_equal(softmax(np.array([1.0, 2.0])), softmax(np.array([1, 2], dtype=dtype)))


def test_nested_lists_are_taken() -> None:
    assert_bit_equal(softmax(np.array([[1.0, 2.0], [3.0, 1.0]])), softmax([[1.0, 2.0], [3.0, 1.0]]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_logits_are_not_written(name: str) -> None:
    logits = np.array([[1.0, 2.0, -inf]])
    before = logits.copy()

    FUNCTIONS[name](logits)

    assert_bit_equal(before, logits)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [1, 2, 15, 16, 17, 63, 64, 65, 127, 129, 1000])
def test_the_bits_of_a_row_depend_on_the_row_alone(n_classes: int, dtype: str) -> None:
    logits = np.random.default_rng(2).normal(size=(33, n_classes)).astype(dtype)

    assert_bit_equal(np.stack([softmax(row) for row in logits]), softmax(logits))


# ---- several axes
@pytest.mark.parametrize("axis", [(0, 1), (2, 0), (-1, 1), (0, 1, 2), None])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_several_axes_count_as_one(name: str, axis: tuple[int, ...] | None) -> None:
    logits = np.random.default_rng(6).normal(size=(3, 4, 5))
    axes = (0, 1, 2) if axis is None else tuple(sorted(one % 3 for one in axis))
    rest = tuple(one for one in range(3) if one not in axes)
    moved = logits.transpose(*rest, *axes)
    joined = FUNCTIONS[name](moved.reshape(*moved.shape[: len(rest)], -1)).reshape(moved.shape)

    assert_close(joined.transpose(np.argsort((*rest, *axes))), FUNCTIONS[name](logits, axis=axis), rtol=1e-14, atol=0)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [(0, 1), (-1, 0), None])
def test_logsumexp_over_several_axes(axis: tuple[int, ...] | None, keepdims: bool) -> None:
    logits = np.random.default_rng(7).normal(size=(3, 4, 5))
    expected = np.log(np.exp(logits).sum(axis=axis, keepdims=keepdims))

    assert_close(expected, logsumexp(logits, axis=axis, keepdims=keepdims), rtol=1e-14, atol=0)


def test_a_single_number_is_one_class_if_all_axes_are_asked_for() -> None:
    assert_bit_equal(np.array(1.0), np.asarray(softmax(3.0, axis=None)))
    assert_bit_equal(np.array(0.0), np.asarray(log_softmax(3.0, axis=None)))
    assert_bit_equal(np.array(3.0), np.asarray(logsumexp(3.0, axis=None, keepdims=True)))


# ---- where
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_absent_classes_are_left_out(name: str, axis: int, dtype: str) -> None:
    rng = np.random.default_rng(8)
    logits, where = (rng.normal(size=(9, 9)) * 3).astype(dtype), rng.random((9, 9)) < 0.6
    absent = {"softmax": 0.0, "log_softmax": -inf}[name]
    expected = np.full((9, 9), absent, dtype=dtype)
    for row in range(9):
        place = (slice(None), row) if axis == 0 else (row, slice(None))
        expected[place][where[place]] = FUNCTIONS[name](logits[place][where[place]])

    garbage = np.where(where, logits, nan).astype(dtype)

    assert_ulp(expected, FUNCTIONS[name](garbage, axis=axis, where=where), ulps=2)


@pytest.mark.parametrize("where", [[True, True, False], [[True], [False]], True, False])
def test_where_is_broadcast(where: Any) -> None:
    logits = np.array([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]])
    whole = np.broadcast_to(where, logits.shape)

    assert_bit_equal(softmax(logits, where=whole), softmax(logits, where=where))
    assert_bit_equal(logsumexp(logits, where=whole), logsumexp(logits, where=where))


# ---- dtype
TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}


@pytest.mark.parametrize("result", TYPES)
@pytest.mark.parametrize("given", [*TYPES, "int64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_result_has_the_dtype_that_is_asked_for(name: str, given: str, result: str) -> None:
    logits = np.array([[1, 3, -2], [0, 0, 7]], dtype=TYPES.get(given, given))
    exact = FUNCTIONS[name](logits.astype(np.float64))

    found = FUNCTIONS[name](logits, dtype=TYPES[result])

    assert found.dtype == TYPES[result]
    assert_ulp(exact, found, ulps=0.51 if result.endswith("16") else 1.5)
    assert_bit_equal(found, FUNCTIONS[name](logits, dtype=result))


@pytest.mark.parametrize("result", TYPES)
def test_logsumexp_has_the_dtype_that_is_asked_for(result: str) -> None:
    logits = np.array([[1.0, 3.0, -2.0], [0.0, 0.0, 7.0]], dtype=np.float32)
    found = logsumexp(logits, dtype=result)

    assert found.dtype == TYPES[result]
    assert_ulp(logsumexp(logits.astype(np.float64)), found, ulps=0.51 if result.endswith("16") else 1)


def test_a_sum_beyond_half_precision_is_infinite_without_a_warning() -> None:
    assert_bit_equal(np.float16(inf), logsumexp(np.array([1e6, 0.0], dtype="f4"), dtype=np.float16))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bfloat16_is_rounded_from_float32(name: str) -> None:
    logits = (np.random.default_rng(9).normal(size=(50, 7)) * 4).astype(ml_dtypes.bfloat16)
    found = FUNCTIONS[name](logits)

    assert found.dtype == ml_dtypes.bfloat16
    assert_ulp(FUNCTIONS[name](logits.astype(np.float64)), found, ulps=0.51)
    assert logsumexp(logits).dtype == np.float32


# ---- out
@pytest.mark.parametrize("dtype", [*TYPES.values(), np.dtype(">f4")])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_result_is_written_where_it_is_wanted(name: str, dtype: Any) -> None:
    logits = (np.random.default_rng(10).normal(size=(6, 5)) * 3).astype(dtype)
    expected = FUNCTIONS[name](logits)
    wide = np.full((12, 10), 7, dtype=dtype)

    found = FUNCTIONS[name](logits, out=wide[::2, ::2])

    assert found.base is wide or found is wide
    assert_bit_equal(expected, found.astype(expected.dtype))
    assert (wide[1::2] == 7).all()
    assert (wide[:, 1::2] == 7).all()


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
@pytest.mark.parametrize("n_classes", [3, 50, 700])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_out_may_be_the_logits(name: str, n_classes: int, axis: Any) -> None:
    logits = (np.random.default_rng(11).normal(size=(6, n_classes)) * 3).astype(np.float32)
    expected = FUNCTIONS[name](logits, axis=axis)

    assert FUNCTIONS[name](logits, axis=axis, out=logits) is logits
    assert_bit_equal(expected, logits)


def test_out_takes_another_dtype_if_it_is_named() -> None:
    out = np.empty(2, dtype=np.float16)

    assert softmax(np.array([1.0, 1.0]), dtype=np.float16, out=out) is out
    assert_bit_equal(np.array([0.5, 0.5], dtype=np.float16), out)


def test_interleaved_arrays_do_not_overlap() -> None:
    pairs = np.arange(8.0).reshape(4, 2)
    expected = softmax(pairs[:, 0])

    assert_bit_equal(expected, softmax(pairs[:, 0], out=pairs[:, 1]))


# ---- properties
LOGITS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 70)), elements=st.floats(-700, 700, width=32))


@given(LOGITS)
@settings(max_examples=60)
def test_probabilities_sum_to_one(logits: np.ndarray) -> None:
    assert_close(np.ones(len(logits)), softmax(logits).sum(axis=1), rtol=0, atol=2e-15)  # about 10 roundings


@given(LOGITS, st.integers(-(2**20), 2**20))
@settings(max_examples=60)
def test_an_exact_shift_leaves_the_bits(logits: np.ndarray, shift: int) -> None:
    logits = logits.round()

    assert_bit_equal(softmax(logits), softmax(logits + shift))


@given(LOGITS)
@settings(max_examples=60)
def test_the_order_of_the_logits_is_kept(logits: np.ndarray) -> None:
    order = np.argsort(logits, axis=1)

    assert (np.diff(np.take_along_axis(softmax(logits), order, axis=1), axis=1) >= 0).all()


@given(LOGITS, st.randoms())
@settings(max_examples=60)
def test_classes_may_be_permuted(logits: np.ndarray, random: object) -> None:
    order = list(range(logits.shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]

    assert_close(softmax(logits)[:, order], softmax(logits[:, order]), rtol=1e-14, atol=1e-323)  # order of the sum


def test_float32_rows_of_many_classes_sum_to_one() -> None:
    row = (np.random.default_rng(3).normal(size=100_000) * 5).astype(np.float32)

    assert_close(1.0, softmax(row).sum(dtype=np.float64), rtol=0, atol=1e-7)


def test_the_log_of_the_sum_and_the_logs_agree() -> None:
    row = np.random.default_rng(4).normal(size=50)

    assert_close(row - logsumexp(row), log_softmax(row), rtol=0, atol=2e-15)


def test_softmax_is_the_derivative_of_logsumexp() -> None:
    row, step = np.random.default_rng(5).normal(size=7), 1e-5
    differences = [(logsumexp(row + step * e) - logsumexp(row - step * e)) / (2 * step) for e in np.eye(7)]

    assert_close(differences, softmax(row), rtol=0, atol=1e-9)  # step squared, and rounding over the step


def test_the_functions_import_no_scipy() -> None:
    calls = "softclass.softmax([1.0]); softclass.cross_entropy([1.0], 0)"
    code = f"import sys, softclass; {calls}; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
