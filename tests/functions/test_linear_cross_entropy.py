"""linear_cross_entropy: the loss of features times weight, with every option of cross_entropy."""

from __future__ import annotations

import math
import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.errors import DTypeError, OptionError, ShapeError, TargetError, UsageError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.linear_cross_entropy import linear_cross_entropy
from softclass.functions.softmax import softmax
from truth import as_longdouble, row_loss

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}
RNG = np.random.default_rng(0)
# Small multiples of 1/8: their products and sums are exact in float32, so the logits are known.
X = RNG.integers(-15, 16, size=(9, 6)) / 8
W = RNG.integers(-15, 16, size=(5, 6)) / 8
B = RNG.integers(-15, 16, size=5) / 8
Y = RNG.integers(5, size=9)
SOFT = softmax(RNG.normal(size=(9, 5)))
Z = X @ W.T + B


@pytest.mark.parametrize("dtype", TYPES)
def test_losses_lie_within_the_bound(dtype: str) -> None:
    features, weight, bias = (array.astype(TYPES[dtype]) for array in (X, W, B))
    expected = as_longdouble([row_loss(row, target) for row, target in zip(Z, Y, strict=True)])

    losses = linear_cross_entropy(features, weight, Y, bias=bias, reduction="none")

    assert losses.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert_ulp(expected, losses, ulps=2 if dtype == "float64" else 1.5)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "sample_weight": {"sample_weight": np.arange(9.0)},
    "class_weight": {"class_weight": [0.5, 1, 2, 0, 3]},
    "label_smoothing": {"label_smoothing": 0.3},
    "ignore_index": {"ignore_index": int(Y[0])},
    "all": {
        "sample_weight": np.arange(9.0),
        "class_weight": [0.5, 1, 2, 0, 3],
        "label_smoothing": 0.1,
        "ignore_index": int(Y[0]),
        "reduction": "sum",
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_mean_what_they_mean_for_logits(name: str) -> None:
    expected = cross_entropy(Z, Y, **OPTIONS[name])

    assert_close(expected, linear_cross_entropy(X, W, Y, bias=B, **OPTIONS[name]), rtol=1e-14, atol=0)


@pytest.mark.parametrize("target_type", ["f2", "f4", "f8"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_targets(smoothing: float, target_type: str) -> None:
    soft = SOFT.astype(target_type)

    loss = linear_cross_entropy(X, W, soft, bias=B, label_smoothing=smoothing)

    assert_close(cross_entropy(Z, soft, label_smoothing=smoothing), loss, rtol=1e-14, atol=0)


def test_integers_and_lists_count_as_float64() -> None:
    assert_ulp(cross_entropy([[3.0, 1.0]], [1]), linear_cross_entropy([[1, 2]], [[1, 1], [1, 0]], [1]), ulps=1)


@pytest.mark.parametrize("layout", ["Fortran", "every second", "backwards", "read-only", "big-endian", "broadcast"])
def test_any_memory_order(layout: str) -> None:
    def laid_out(array: np.ndarray) -> np.ndarray:
        wide = np.zeros((array.shape[0] * 2, array.shape[1] * 2))
        wide[::2, ::2] = array
        frozen = array.copy()
        frozen.flags.writeable = False
        return {
            "Fortran": np.asfortranarray(array),
            "every second": wide[::2, ::2],
            "backwards": array[::-1, ::-1].copy()[::-1, ::-1],
            "read-only": frozen,
            "big-endian": array.astype(">f8"),
            "broadcast": np.broadcast_to(array[:1], array.shape),
        }[layout]

    features, weight = laid_out(X), laid_out(W)
    expected = linear_cross_entropy(np.array(features, dtype="f8"), np.array(weight, dtype="f8"), Y)

    assert_close(expected, linear_cross_entropy(features, weight, Y), rtol=1e-14, atol=0)


def test_half_precision_overflows_nowhere() -> None:
    # x . w = 115,200 lies beyond float16; the logits are 115,200, 57,600 and 0
    features = np.full((1, 2), 240.0, dtype=np.float16)
    weight = np.array([[240.0, 240.0], [240.0, 0.0], [0.0, 0.0]], dtype=np.float16)

    assert_bit_equal(np.float32(57_600), linear_cross_entropy(features, weight, [1]))


@pytest.mark.parametrize(("reduction", "expected"), [("mean", math.nan), ("sum", 0.0), ("none", np.empty(0))])
def test_no_rows(reduction: str, expected: Any) -> None:
    loss = linear_cross_entropy(np.empty((0, 6)), W, np.empty(0, dtype=int), reduction=reduction)

    assert_bit_equal(np.asarray(expected), np.asarray(loss))


def test_no_features_leave_the_bias() -> None:
    loss = linear_cross_entropy(np.empty((2, 0)), np.empty((5, 0)), [0, 3], bias=B)

    assert_ulp(cross_entropy(np.stack([B, B]), [0, 3]), loss, ulps=2)


def test_an_ignored_row_is_not_seen() -> None:
    features, targets = np.vstack([X, np.full(6, math.inf)]), np.append(Y, -100)

    assert_ulp(linear_cross_entropy(X, W, Y), linear_cross_entropy(features, W, targets, ignore_index=-100), ulps=1)


def test_the_arguments_are_not_written() -> None:
    before = [array.copy() for array in (X, W, B, Y)]

    linear_cross_entropy(X, W, Y, bias=B)

    assert_bit_equal(np.concatenate([a.ravel() for a in before]), np.concatenate([a.ravel() for a in (X, W, B, Y)]))


SHAPES = "`features` must be (n_samples, n_features) and `weight` (n_classes, n_features); got `features` of shape"
MESSAGES: dict[str, tuple[type[Exception], Any, str]] = {
    "features disagree": (
        ShapeError,
        lambda: linear_cross_entropy(np.ones((4, 3)), np.ones((3, 5)), [0] * 4),
        "[SC101] linear_cross_entropy: `features` and `weight` must have the same number of features; got `features` "
        "of shape (4, 3) and `weight` of shape (3, 5). `weight` is (n_classes, n_features): pass `weight.T` if yours "
        "is the other way round",
    ),
    "one row": (
        ShapeError,
        lambda: linear_cross_entropy(np.ones(3), np.ones((2, 3)), 0),
        f"[SC102] linear_cross_entropy: {SHAPES} (3,) and `weight` of shape (2, 3)",
    ),
    "many axes": (
        ShapeError,
        lambda: linear_cross_entropy(np.ones((2, 2, 3)), np.ones((2, 3)), [[0, 0], [0, 0]]),
        f"[SC102] linear_cross_entropy: {SHAPES} (2, 2, 3) and `weight` of shape (2, 3). "
        "Pass `features.reshape(-1, features.shape[-1])` if the samples lie along several axes",
    ),
    "dtypes differ": (
        DTypeError,
        lambda: linear_cross_entropy(X, W.astype("f4"), Y),
        "[SC111] linear_cross_entropy: `weight` must have the dtype of `features`, float64; got float32. "
        "Nothing is converted unasked: convert one of them",
    ),
    "bias of another dtype": (
        DTypeError,
        lambda: linear_cross_entropy(X.astype("f4"), W.astype("f4"), Y, bias=B),
        "[SC111] linear_cross_entropy: `bias` must have the dtype of `features`, float32; got float64. "
        "Nothing is converted unasked: convert one of them",
    ),
    "shape of bias": (
        ShapeError,
        lambda: linear_cross_entropy(X, W, Y, bias=B[:2]),
        "[SC101] linear_cross_entropy: `bias` must hold one number a class, shape (5,); got shape (2,)",
    ),
    "bool": (
        DTypeError,
        lambda: linear_cross_entropy(X > 0, W, Y),
        "[SC111] linear_cross_entropy: `features` must be an array of float16, bfloat16, float32, float64 or integers; "
        "got bool. If the values are meant as numbers, pass them as such: np.asarray(features, dtype=float)",
    ),
    "too few targets": (
        ShapeError,
        lambda: linear_cross_entropy(X, W, Y[:3]),
        "[SC101] linear_cross_entropy: integer `targets` are class indices and must have one index a row of "
        "`features`; got `targets` of shape (3,) and logits of shape (9, 5)",
    ),
    "shape of soft targets": (
        ShapeError,
        lambda: linear_cross_entropy(X, W, SOFT.T),
        "[SC101] linear_cross_entropy: floating-point `targets` are probabilities and must have one row a row of "
        "`features`, one number a class; got `targets` of shape (5, 9) and logits of shape (9, 5)",
    ),
    "index outside": (
        TargetError,
        lambda: linear_cross_entropy(X[:2], W, [0, 5]),
        "[SC121] linear_cross_entropy: `targets` must lie in [0, 5); got 5 at index 1 (1 of 2 are outside). "
        "If these are labels, fit SoftmaxRegression, which encodes them",
    ),
    "no distribution": (
        TargetError,
        lambda: linear_cross_entropy(X[:1], W, [[0.5, 0.6, 0, 0, 0]]),
        "[SC122] linear_cross_entropy: each row of floating-point `targets` must hold numbers of at least 0 with "
        "sum 1; got the sum 1.1 at index 0 (1 of 1 rows are wrong). If these are counts, divide every row by its sum",
    ),
    "no class": (
        TargetError,
        lambda: linear_cross_entropy(X[:1], np.empty((0, 6)), [0]),
        "[SC121] linear_cross_entropy: `targets` must lie in [0, 0); got 0 at index 0 (1 of 1 are outside). "
        "If these are labels, fit SoftmaxRegression, which encodes them",
    ),
    "weights": (
        OptionError,
        lambda: linear_cross_entropy(X, W, Y, sample_weight=-np.ones(9)),
        "[SC142] linear_cross_entropy: `sample_weight` must be finite and not negative; got -1 at index 0 "
        "(9 of 9 are not)",
    ),
    "ignore_index beside soft targets": (
        UsageError,
        lambda: linear_cross_entropy(X, W, SOFT, ignore_index=-100),
        "[SC202] linear_cross_entropy: `ignore_index` has no effect on floating-point `targets`, which are "
        "probabilities; got -100. Give the rows that are not to count the `sample_weight` 0",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message(case: str) -> None:
    kind, call, message = MESSAGES[case]

    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()
