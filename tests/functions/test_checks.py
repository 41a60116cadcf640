"""Whole messages of softmax, log_softmax, logsumexp and cross_entropy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from softclass.errors import DTypeError, InputError, OptionError, ShapeError, TargetError, UsageError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.derivatives import cross_entropy_value_and_gradient
from softclass.functions.softmax import log_softmax, logsumexp, softmax

LINE = np.arange(5.0)
LOGITS = np.array([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]])
FLOATS = "`logits` must be an array of float16, bfloat16, float32, float64 or integers"
AS_NUMBERS = "If the values are meant as numbers, pass them as such: np.asarray(logits, dtype=float)"
AXES = (
    "`axis` must be an integer in [-2, 2), several different ones as a tuple, or None for all, "
    "for `logits` of shape (2, 3)"
)
LABELS = "If these are labels, fit SoftmaxRegression, which encodes them"
SHAPE_OF_INDICES = (
    "integer `targets` are class indices and must have the shape of `logits` without its class axis; got `targets`"
)
SHAPE_OF_FLOATS = "floating-point `targets` are probabilities and must have the shape of `logits`; got `targets`"
ROW = "each row of floating-point `targets` must hold numbers of at least 0 with sum 1; got"
Call = Callable[[], Any]


def loss(targets: Any, logits: Any = LOGITS, **options: Any) -> Call:
    """Return a call of cross_entropy."""
    return lambda: cross_entropy(logits, targets, **options)


CASES: dict[str, tuple[type[Exception], Call, str]] = {
    # ---- arrays
    "number": (
        ShapeError,
        lambda: softmax(1.5),
        "[SC102] softmax: `logits` must have at least one axis, the classes; got the single number 1.5",
    ),
    "bool": (DTypeError, lambda: softmax([True]), f"[SC111] softmax: {FLOATS}; got bool. {AS_NUMBERS}"),
    "complex": (DTypeError, lambda: log_softmax([1j]), f"[SC111] log_softmax: {FLOATS}; got complex128. {AS_NUMBERS}"),
    "text": (DTypeError, lambda: logsumexp(["1"]), f"[SC111] logsumexp: {FLOATS}; got text. {AS_NUMBERS}"),
    "objects": (DTypeError, lambda: softmax([None, 1]), f"[SC111] softmax: {FLOATS}; got objects. {AS_NUMBERS}"),
    "records": (
        DTypeError,
        lambda: softmax(np.array([(1.0,)], dtype=[("a", "f8")])),
        f"[SC111] softmax: {FLOATS}; got [('a', '<f8')]. {AS_NUMBERS}",
    ),
    "ragged": (
        InputError,
        lambda: softmax([[1, 2], [3]]),
        "[SC113] softmax: `logits` must be an array, or nested lists of equal lengths; got list, which is neither",
    ),
    "masked": (
        InputError,
        lambda: softmax(np.ma.array([1.0, 2.0], mask=[0, 1])),
        "[SC113] softmax: `logits` must be a plain array; got a masked array, whose mask would be lost. "
        "Pass `logits.filled(value)`",
    ),
    # ---- options
    "axis too large": (
        OptionError,
        lambda: softmax(LOGITS, axis=2),
        f"[SC141] softmax: {AXES}; got 2",
    ),
    "axis of a loss": (
        OptionError,
        loss([0, 1], axis=None),
        "[SC141] cross_entropy: `axis` must be an integer in [-2, 2) for `logits` of shape (2, 3); got None",
    ),
    "axis twice": (OptionError, lambda: logsumexp(LOGITS, axis=(1, -1)), f"[SC141] logsumexp: {AXES}; got (1, -1)"),
    "no axis": (OptionError, lambda: log_softmax(LOGITS, axis=()), f"[SC141] log_softmax: {AXES}; got ()"),
    "axis True": (OptionError, lambda: softmax(LOGITS, axis=True), f"[SC141] softmax: {AXES}; got True"),
    "axis 1.0": (OptionError, lambda: softmax(LOGITS, axis=1.0), f"[SC141] softmax: {AXES}; got 1.0"),
    "temperature 0": (
        OptionError,
        lambda: log_softmax(LOGITS, temperature=0),
        "[SC141] log_softmax: `temperature` must be a finite number above 0; got 0",
    ),
    "temperature NaN": (
        OptionError,
        lambda: softmax(LOGITS, temperature=math.nan),
        "[SC141] softmax: `temperature` must be a finite number above 0; got nan",
    ),
    "temperature of a class": (
        OptionError,
        lambda: softmax(LOGITS, temperature=[1.0, 2.0]),  # type: ignore[arg-type]
        "[SC141] softmax: `temperature` must be a finite number above 0; got [1.0, 2.0]",
    ),
    "smoothing 1": (
        OptionError,
        loss([0, 1], label_smoothing=1.0),
        "[SC141] cross_entropy: `label_smoothing` must be a number in [0, 1); got 1.0",
    ),
    "reduction": (
        OptionError,
        loss([0, 1], reduction="average"),
        '[SC141] cross_entropy: `reduction` must be "mean", "sum" or "none"; got \'average\'',
    ),
    "where of numbers": (
        DTypeError,
        lambda: softmax(LOGITS, where=[1, 0, 1]),
        "[SC111] softmax: `where` must hold bool, False for classes that are absent; got int64",
    ),
    "where too large": (
        ShapeError,
        lambda: logsumexp(LOGITS[0], where=np.ones((2, 3), dtype=bool)),
        "[SC101] logsumexp: `where` must be broadcastable to the shape of `logits`, (3,); got shape (2, 3)",
    ),
    "dtype": (
        OptionError,
        lambda: softmax(LOGITS, dtype=int),
        "[SC141] softmax: `dtype` must be float16, bfloat16, float32, float64 or None; got <class 'int'>",
    ),
    "dtype by another name": (
        OptionError,
        lambda: logsumexp(LOGITS, dtype="quarter"),
        "[SC141] logsumexp: `dtype` must be float16, bfloat16, float32, float64 or None; got 'quarter'",
    ),
    "keepdims": (
        OptionError,
        lambda: logsumexp(LOGITS, keepdims=1),  # type: ignore[arg-type]
        "[SC141] logsumexp: `keepdims` must be True or False; got 1",
    ),
    "shape of out": (
        ShapeError,
        lambda: softmax(LOGITS, out=np.empty(3)),
        "[SC101] softmax: `out` must have the shape of `logits`, shape (2, 3); got shape (3,)",
    ),
    "dtype of out": (
        DTypeError,
        lambda: softmax(LOGITS, out=np.empty((2, 3), dtype=np.float32)),
        "[SC111] softmax: `out` must have the dtype of the result, float64; got float32. "
        'Pass `dtype="float32"` for results of that type',
    ),
    "out of integers": (
        DTypeError,
        lambda: log_softmax(LOGITS, out=np.empty((2, 3), dtype=int)),
        "[SC111] log_softmax: `out` must have the dtype of the result, float64; got int64",
    ),
    "out a list": (
        OptionError,
        lambda: softmax(LOGITS, out=[0.0]),
        "[SC141] softmax: `out` must be an array; got list",
    ),
    "out overlaps": (
        OptionError,
        lambda: softmax(LINE[:-1], out=LINE[1:]),
        "[SC141] softmax: `out` must be `logits` itself or lie apart from it; got an array that overlaps it partly",
    ),
    "out backwards": (
        OptionError,
        lambda: softmax(LINE, out=LINE[::-1]),
        "[SC141] softmax: `out` must be `logits` itself or lie apart from it; got an array that overlaps it partly",
    ),
    "ignore_index": (
        OptionError,
        loss([0, 1], ignore_index=1.5),
        "[SC141] cross_entropy: `ignore_index` must be an integer or None; got 1.5",
    ),
    "ignore_index beyond int64": (
        OptionError,
        loss([0, 1], ignore_index=2**63),
        "[SC141] cross_entropy: `ignore_index` must be an integer or None; got 9223372036854775808",
    ),
    "ignore_index beside soft targets": (
        UsageError,
        loss([[1.0, 0, 0], [0, 1, 0]], ignore_index=0),
        "[SC202] cross_entropy: `ignore_index` has no effect on floating-point `targets`, which are probabilities; "
        "got 0. Give the rows that are not to count the `sample_weight` 0",
    ),
    # ---- targets
    "index outside": (
        TargetError,
        loss([0, 3]),
        f"[SC121] cross_entropy: `targets` must lie in [0, 3); got 3 at index 1 (1 of 2 are outside). {LABELS}",
    ),
    "index negative": (
        TargetError,
        lambda: cross_entropy_value_and_gradient(LOGITS, [-1, -2]),
        "[SC121] cross_entropy_value_and_gradient: `targets` must lie in [0, 3); got -1 at index 0 "
        f"(2 of 2 are outside). {LABELS}",
    ),
    "index of a grid": (
        TargetError,
        loss([[0, 1], [1, 7]], np.zeros((2, 2, 3))),
        f"[SC121] cross_entropy: `targets` must lie in [0, 3); got 7 at index (1, 1) (1 of 4 are outside). {LABELS}",
    ),
    "index beyond int64": (
        TargetError,
        loss(np.array([0, 2**64 - 1], dtype=np.uint64)),
        "[SC121] cross_entropy: `targets` must lie in [0, 3); got 18446744073709551615 at index 1 "
        f"(1 of 2 are outside). {LABELS}",
    ),
    "no class": (
        TargetError,
        loss([0, 0], np.empty((2, 0))),
        f"[SC121] cross_entropy: `targets` must lie in [0, 0); got 0 at index 0 (2 of 2 are outside). {LABELS}",
    ),
    "sum": (
        TargetError,
        loss([[1, 0, 0.2], [0, 1, 0]]),
        f"[SC122] cross_entropy: {ROW} the sum 1.2 at index 0 (1 of 2 rows are wrong). "
        "If these are counts, divide every row by its sum",
    ),
    "negative probability": (
        TargetError,
        loss([[1, 0, 0], [-0.5, 1.5, 0]]),
        f"[SC122] cross_entropy: {ROW} -0.5 at index 1 (1 of 2 rows are wrong). "
        "If these are logits, pass `softmax(targets)`",
    ),
    "NaN probability": (
        TargetError,
        loss([math.nan, 1, 0], LOGITS[0]),
        f"[SC122] cross_entropy: {ROW} NaN (1 of 1 rows are wrong)",
    ),
    "labels": (
        DTypeError,
        loss(["a", "b"]),
        "[SC111] cross_entropy: `targets` must be integers (class indices) or float16, bfloat16, float32, float64 "
        f"(probabilities); got text. {LABELS}",
    ),
    "bool targets": (
        DTypeError,
        loss([True, False]),
        "[SC111] cross_entropy: `targets` must be integers (class indices) or float16, bfloat16, float32, float64 "
        f"(probabilities); got bool. {LABELS}",
    ),
    "too few indices": (
        ShapeError,
        loss([0]),
        f"[SC101] cross_entropy: {SHAPE_OF_INDICES} of shape (1,) and `logits` of shape (2, 3)",
    ),
    "column of indices": (
        ShapeError,
        loss([[0], [1]]),
        f"[SC101] cross_entropy: {SHAPE_OF_INDICES} of shape (2, 1) and `logits` of shape (2, 3). "
        "Pass `targets.ravel()`",
    ),
    "one-hot integers": (
        ShapeError,
        loss([[1, 0, 0], [0, 1, 0]]),
        f"[SC101] cross_entropy: {SHAPE_OF_INDICES} of shape (2, 3) and `logits` of shape (2, 3). "
        "If these are probabilities, pass `targets.astype(float)`",
    ),
    "float indices": (
        ShapeError,
        loss([0.0, 1.0]),
        f"[SC101] cross_entropy: {SHAPE_OF_FLOATS} of shape (2,) and `logits` of shape (2, 3). "
        "If these are class indices, pass `targets.astype(int)`",
    ),
    # ---- weights
    "negative weight": (
        OptionError,
        loss([0, 1], sample_weight=[1, -2]),
        "[SC142] cross_entropy: `sample_weight` must be finite and not negative; got -2 at index 1 (1 of 2 are not)",
    ),
    "infinite weight": (
        OptionError,
        loss([0, 1], class_weight=[1, math.nan, math.inf]),
        "[SC142] cross_entropy: `class_weight` must be finite and not negative; got nan at index 1 (2 of 3 are not)",
    ),
    "weights all zero": (
        OptionError,
        loss([0, 1], sample_weight=[0, 0]),
        "[SC142] cross_entropy: `sample_weight` must not be all zero; got 2 zeros",
    ),
    "product of weights": (
        OptionError,
        loss([0, 1], sample_weight=[1e300, 1], class_weight=[1e300, 1, 1]),
        "[SC142] cross_entropy: `sample_weight` times `class_weight` must be finite; got 1 of 2 rows where it is not. "
        "Only ratios of weights matter: divide them by their largest",
    ),
    "shape of sample_weight": (
        ShapeError,
        loss([0, 1], sample_weight=2.0),
        "[SC101] cross_entropy: `sample_weight` must hold one weight a row, shape (2,); got shape ()",
    ),
    "shape of class_weight": (
        ShapeError,
        loss([0, 1], class_weight=[1, 2]),
        "[SC101] cross_entropy: `class_weight` must hold one weight a class, shape (3,); got shape (2,)",
    ),
    "type of class_weight": (
        DTypeError,
        loss([0, 1], class_weight={0: 1.0}),
        "[SC111] cross_entropy: `class_weight` must be an array of floats, integers or bool; got objects. "
        "If the values are meant as numbers, pass them as such: np.asarray(class_weight, dtype=float)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str) -> None:
    kind, call, message = CASES[case]

    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_a_bad_index_of_weight_zero_is_no_error() -> None:
    assert cross_entropy(LOGITS, [0, 99], sample_weight=[1, 0]) == cross_entropy(LOGITS[:1], [0])


@pytest.mark.parametrize(("dtype", "excess"), [("f8", 9e-4), ("f4", 9e-4), ("f2", 1.5e-2)])
def test_sums_within_the_tolerance_are_taken(dtype: str, excess: float) -> None:
    targets = np.array([0.5, 0.5 + excess, 0.0], dtype=dtype)

    assert math.isfinite(cross_entropy(LOGITS[0], targets))


@pytest.mark.parametrize(("dtype", "excess"), [("f8", 1.1e-3), ("f4", 1.1e-3), ("f2", 2.5e-2)])
def test_sums_beyond_the_tolerance_are_refused(dtype: str, excess: float) -> None:
    targets = np.array([0.5, 0.5 + excess, 0.0], dtype=dtype)

    with pytest.raises(TargetError):
        cross_entropy(LOGITS[0], targets)
