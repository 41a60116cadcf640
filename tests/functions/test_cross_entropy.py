"""cross_entropy and its gradient against 50 digits, their edges, their properties."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.errors import TargetError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.derivatives import cross_entropy_value_and_gradient
from softclass.functions.softmax import softmax
from truth import as_longdouble, row_gradient, row_loss, row_weight

LOSS_BOUNDS = {"f4": 1.5, "f8": 2}
GRADIENT_BOUNDS = {"f4": 3.5, "f8": 5}
inf, nan = math.inf, math.nan
EXAMPLE = np.array([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]])


def test_the_example_every_text_uses() -> None:
    # 0.29806709553141808393..., from 50 digits
    assert_ulp(np.longdouble("0.298067095531418083931"), cross_entropy(EXAMPLE, [0, 1]), ulps=1)


KINDS = ["scale 0.1", "scale 1", "scale 5", "scale 20", "offset 1e4", "dominant 20", "dominant 60", "ties"]
SIZES = [2, 3, 10, 17, 65, 300]


def problem(kind: str, n_classes: int, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, class indices and target probabilities of a few rows."""
    rng = np.random.default_rng([n_classes, *kind.encode()])
    n_rows = max(2, 60 // n_classes)
    logits = rng.normal(size=(n_rows, n_classes))
    name, _, amount = kind.partition(" ")
    targets = rng.integers(n_classes, size=n_rows)
    if name == "scale":
        logits *= float(amount)
    elif name == "offset":
        logits += float(amount)
    elif name == "dominant":
        logits[np.arange(0, n_rows, 2), targets[::2]] += float(amount)
    else:
        logits = logits.round()
    soft = rng.dirichlet(np.ones(n_classes), size=n_rows)
    soft[:, 0] = np.where(soft[:, 0] < 0.5, soft[:, 0], 0)
    return logits.astype(dtype), targets, soft / soft.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_indices_lie_within_the_bound(kind: str, n_classes: int, dtype: str) -> None:
    logits, targets, _ = problem(kind, n_classes, dtype)
    expected = as_longdouble([row_loss(row, target) for row, target in zip(logits, targets, strict=True)])

    assert_ulp(expected, cross_entropy(logits, targets, reduction="none"), ulps=LOSS_BOUNDS[dtype])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_indices_lie_within_the_bound(kind: str, n_classes: int, dtype: str) -> None:
    logits, targets, _ = problem(kind, n_classes, dtype)
    expected = [as_longdouble(row_gradient(row, target)) for row, target in zip(logits, targets, strict=True)]

    _, gradient = cross_entropy_value_and_gradient(logits, targets, reduction="none")

    assert_ulp(np.array(expected), gradient, ulps=GRADIENT_BOUNDS[dtype])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kind", KINDS)
def test_smoothed_and_soft_losses_lie_within_the_bound(kind: str, dtype: str, form: str, smoothing: float) -> None:
    logits, indices, soft = problem(kind, 10, dtype)
    targets = indices if form == "indices" else soft
    expected = as_longdouble([row_loss(row, q, smoothing) for row, q in zip(logits, targets, strict=True)])

    losses = cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")

    # float64: each share and each term is rounded once more than for an index
    assert_ulp(expected, losses, ulps={"f4": 1.5, "f8": 4}[dtype])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kind", KINDS)
def test_smoothed_and_soft_gradients_are_right_to_the_scale_of_p(
    kind: str, dtype: str, form: str, smoothing: float
) -> None:
    logits, indices, soft = problem(kind, 10, dtype)
    targets = indices if form == "indices" else soft
    expected = [as_longdouble(row_gradient(row, q, smoothing)) for row, q in zip(logits, targets, strict=True)]

    _, gradient = cross_entropy_value_and_gradient(logits, targets, label_smoothing=smoothing, reduction="none")

    # p - q may cancel, since p and q are given: a few roundings of numbers below 1; entries of float32 to 3.5 ulp
    atol = 8e-16 if dtype == "f8" else 2e-7
    assert_close(np.array(expected, dtype=float), gradient, rtol=4e-7 if dtype == "f4" else 0, atol=atol)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("excess", [-9e-4, 9e-4])
def test_rows_of_targets_are_taken_as_they_are_summing_to_one_or_nearly(excess: float, smoothing: float) -> None:
    logits, _, soft = problem("scale 5", 10, "f8")
    soft = soft * (1 + excess)
    expected = as_longdouble([row_loss(row, q, smoothing) for row, q in zip(logits, soft, strict=True)])
    expected_gradient = [as_longdouble(row_gradient(row, q, smoothing)) for row, q in zip(logits, soft, strict=True)]

    losses, gradient = cross_entropy_value_and_gradient(logits, soft, label_smoothing=smoothing, reduction="none")

    assert_ulp(expected, losses, ulps=4)
    assert_close(np.array(expected_gradient, dtype=float), gradient, rtol=0, atol=8e-16)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("class_weighted", [False, True])
@pytest.mark.parametrize("sample_weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_weights_smoothing_and_reduction_follow_the_formula(
    form: str, smoothing: float, sample_weighted: bool, class_weighted: bool, reduction: str
) -> None:
    logits, indices, soft = problem("scale 5", 5, "f8")
    targets = indices if form == "indices" else soft
    rng = np.random.default_rng(6)
    of_sample = rng.uniform(0.1, 3, size=len(logits)) if sample_weighted else np.ones(len(logits))
    of_class = rng.uniform(0.1, 3, size=5) if class_weighted else None
    weights = [row_weight(q, s, of_class) for q, s in zip(targets, of_sample, strict=True)]
    losses = [w * row_loss(z, q, smoothing) for w, z, q in zip(weights, logits, targets, strict=True)]
    expected = {
        "mean": [mpmath.fsum(losses) / mpmath.fsum(weights)],
        "sum": [mpmath.fsum(losses)],
        "none": losses,
    }[reduction]
    divisor = mpmath.fsum(weights) if reduction == "mean" else 1
    expected_gradient = [
        [float(w * g / divisor) for g in row_gradient(z, q, smoothing)]
        for w, z, q in zip(weights, logits, targets, strict=True)
    ]

    loss, gradient = cross_entropy_value_and_gradient(
        logits,
        targets,
        sample_weight=of_sample if sample_weighted else None,
        class_weight=of_class,
        label_smoothing=smoothing,
        reduction=reduction,
    )

    assert_ulp(as_longdouble(expected), np.atleast_1d(loss), ulps=4)
    assert_close(expected_gradient, gradient, rtol=0, atol=4e-15)  # entries up to 3, a few roundings


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_the_gradient_agrees_with_central_differences(form: str, smoothing: float, reduction: str) -> None:
    logits, indices, soft = problem("scale 1", 7, "f8")
    targets = indices if form == "indices" else soft
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
    options["sample_weight"] = np.arange(1.0, len(logits) + 1)
    step = 1e-5
    differences = np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        shift = np.zeros_like(logits)
        shift[place] = step
        higher, lower = (
            cross_entropy(logits + shift, targets, **options),
            cross_entropy(logits - shift, targets, **options),
        )
        differences[place] = (higher - lower) / (2 * step)

    _, gradient = cross_entropy_value_and_gradient(logits, targets, **options)

    assert_close(differences, gradient, rtol=0, atol=2e-8)  # weights to 8, step squared, rounding over the step


# ---- edges: logits, targets, options -> loss of the row, gradient of the row
Z = [0.0, 1.0, -inf]
EDGES: dict[str, tuple[Any, Any, dict[str, Any], float, list[float] | None]] = {
    "target at -inf": (Z, 2, {}, inf, [*softmax(Z[:2]).tolist(), -1.0]),
    "another class at -inf": ([0.0, 0.0, -inf], 0, {}, math.log(2), [-0.5, 0.5, 0.0]),
    "smoothing and -inf": (Z, 0, {"label_smoothing": 0.3}, inf, None),
    "soft target 0 at -inf": ([0.0, 0.0, -inf], [0.5, 0.5, 0.0], {}, math.log(2), [0.0, 0.0, 0.0]),
    "target at +inf": ([0.0, inf, -inf], 1, {}, 0.0, [0.0, 0.0, 0.0]),
    "target not at +inf": ([0.0, inf, -inf], 0, {}, inf, [-1.0, 1.0, 0.0]),
    "smoothing and +inf": ([0.0, inf], 1, {"label_smoothing": 0.5}, inf, [-0.25, 0.25]),
    "soft target at +inf": ([0.0, inf], [0.25, 0.75], {}, inf, [-0.25, 0.25]),
    "one-hot target at +inf": ([0.0, inf], [0.0, 1.0], {}, 0.0, [0.0, 0.0]),
    "two +inf": ([inf, inf, 0.0], 0, {}, nan, [nan] * 3),
    "all -inf": ([-inf, -inf], 0, {}, nan, [nan] * 2),
    "a NaN": ([0.0, nan, 0.0], 0, {}, nan, [nan] * 3),
    "a NaN, soft": ([0.0, nan, 0.0], [1.0, 0.0, 0.0], {}, nan, [nan] * 3),
    "one class": ([5.0], 0, {}, 0.0, [0.0]),
    "one class, smoothing": ([5.0], 0, {"label_smoothing": 0.5}, 0.0, [0.0]),
    "huge, wrong": ([1e4, -1e4], 1, {}, 2e4, [1.0, -1.0]),
    "huge, right": ([1e4, -1e4], 0, {}, 0.0, [0.0, 0.0]),
    "class weight 0 at -inf": (Z, 2, {"class_weight": [1, 1, 0], "reduction": "sum"}, 0.0, [0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("edge", EDGES)
def test_loss_of_an_edge(edge: str, dtype: str) -> None:
    row, target, options, expected, _ = EDGES[edge]

    assert_bit_equal(np.array(expected, dtype=dtype), cross_entropy(np.array(row, dtype=dtype), target, **options))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("edge", [name for name in EDGES if EDGES[name][4] is not None])
def test_gradient_of_an_edge(edge: str, dtype: str) -> None:
    row, target, options, _, expected = EDGES[edge]

    _, gradient = cross_entropy_value_and_gradient(np.array(row, dtype=dtype), target, **options)

    assert_close(np.array(expected, dtype=dtype), gradient, rtol=0, atol=1e-7 if dtype == "f4" else 1e-16)


GARBAGE = np.array([nan, inf, -inf])


@pytest.mark.parametrize("garbage_target", [0, 99, -1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_row_of_weight_zero_changes_no_bit(reduction: str, garbage_target: int) -> None:
    logits, targets = np.vstack([EXAMPLE[:1], GARBAGE, EXAMPLE[1:]]), np.array([0, garbage_target, 1])
    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE, [0, 1], reduction=reduction)

    with_garbage, gradient_with = cross_entropy_value_and_gradient(
        logits, targets, sample_weight=[1, 0, 1], reduction=reduction
    )

    assert_bit_equal(loss, with_garbage)
    assert_bit_equal(np.insert(gradient, 1, 0.0, axis=0), gradient_with)


def test_a_soft_row_of_weight_zero_is_not_read() -> None:
    targets = np.array([[1.0, 0, 0], [nan, -3, inf]])

    losses = cross_entropy(np.vstack([EXAMPLE[0], GARBAGE]), targets, sample_weight=[1, 0], reduction="none")

    assert_bit_equal(np.array([cross_entropy(EXAMPLE[0], 0), 0.0]), losses)


@pytest.mark.parametrize(("reduction", "expected"), [("mean", nan), ("sum", 0.0), ("none", [0.0, 0.0])])
def test_when_no_row_has_weight_the_gradient_is_zero(reduction: str, expected: Any) -> None:
    options: dict[str, Any] = {"class_weight": [0, 0, 1], "reduction": reduction}

    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE, [0, 1], **options)

    assert_bit_equal(np.array(expected, dtype=float), loss)
    assert_bit_equal(np.zeros((2, 3)), gradient)


@pytest.mark.parametrize(("reduction", "expected"), [("mean", nan), ("sum", 0.0), ("none", [])])
@pytest.mark.parametrize("targets", [[], np.empty(0, dtype=int), np.empty((0, 3))], ids=["list", "indices", "soft"])
@pytest.mark.parametrize("n_weights", [None, 0])
def test_no_rows(n_weights: int | None, targets: Any, reduction: str, expected: Any) -> None:
    weight = None if n_weights is None else []

    loss, gradient = cross_entropy_value_and_gradient(
        np.empty((0, 3)), targets, reduction=reduction, sample_weight=weight
    )

    assert_bit_equal(np.array(expected, dtype=float), loss)
    assert_bit_equal(np.empty((0, 3)), gradient)


def test_no_rows_and_no_classes() -> None:
    loss, gradient = cross_entropy_value_and_gradient(np.empty((0, 0)), [], reduction="none")

    assert_bit_equal(np.empty(0), loss)
    assert_bit_equal(np.empty((0, 0)), gradient)


def test_a_soft_target_of_zero_beside_minus_infinity_as_peers_do_not() -> None:
    loss = cross_entropy([[0.0, 1.0, -inf]], [[0.5, 0.5, 0.0]])

    assert_ulp(np.longdouble("0.81326168751822283404899549496"), loss, ulps=2)


def test_the_target_of_a_sure_row_keeps_its_gradient() -> None:
    _, gradient = cross_entropy_value_and_gradient(np.array([0, -20, -20], dtype="f4"), 0)

    assert_ulp(as_longdouble(row_gradient([0, -20, -20], 0)), gradient, ulps=GRADIENT_BOUNDS["f4"])


# ---- properties
SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(1, 60), st.sampled_from([0.0, 0.1]), st.sampled_from(["f4", "f8"]))
@settings(max_examples=50)
def test_one_hot_rows_give_the_bits_of_indices(seed: int, n_classes: int, smoothing: float, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(4, n_classes)) * 8).astype(dtype)
    targets = rng.integers(n_classes, size=4)
    options: dict[str, Any] = {"label_smoothing": smoothing, "class_weight": rng.uniform(0.5, 2, size=n_classes)}

    hard = cross_entropy_value_and_gradient(logits, targets, **options)
    soft = cross_entropy_value_and_gradient(logits, np.eye(n_classes, dtype=dtype)[targets], **options)

    assert_bit_equal(hard[0], soft[0])
    assert_close(hard[1], soft[1], rtol=1e-15 if dtype == "f8" else 2.4e-7, atol=2e-16)  # q_k joins by two ways


@given(SEEDS, st.integers(2, 40))
@settings(max_examples=50)
def test_gradient_rows_sum_to_zero(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(size=(5, n_classes)) * 10, rng.integers(n_classes, size=5)

    _, gradient = cross_entropy_value_and_gradient(logits, targets, reduction="none")

    assert_close(np.zeros(5), gradient.sum(axis=1), rtol=0, atol=1e-15)


@given(SEEDS)
@settings(max_examples=30)
def test_an_exact_shift_leaves_the_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = rng.integers(-30, 30, size=(5, 6)).astype(float), rng.integers(6, size=5)

    assert_bit_equal(cross_entropy(logits, targets), cross_entropy(logits + 4096.0, targets))


def test_weight_two_is_the_row_twice() -> None:
    twice = cross_entropy(EXAMPLE[[0, 1, 1]], [0, 1, 1])

    assert_ulp(twice, cross_entropy(EXAMPLE, [0, 1], sample_weight=[1, 2]), ulps=1)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300, 1.7e308])
def test_only_the_ratio_of_the_weights_counts_in_a_mean(scale: float) -> None:
    expected = cross_entropy_value_and_gradient(EXAMPLE, [0, 1])

    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE, [0, 1], sample_weight=[scale, scale])

    assert_ulp(expected[0], loss, ulps=2)
    assert_close(expected[1], gradient, rtol=1e-15, atol=0)


def test_the_sum_of_many_losses_is_compensated() -> None:
    logits = np.zeros((100_001, 2))

    assert_ulp(
        100_001 * np.log(np.longdouble(2)), cross_entropy(logits, np.zeros(100_001, int), reduction="sum"), ulps=1
    )


def test_float32_losses_are_summed_in_double() -> None:
    logits, targets = np.zeros((300_000, 10), dtype="f4"), np.zeros(300_000, dtype=int)

    assert_ulp(np.log(np.longdouble(10)), cross_entropy(logits, targets), ulps=1)


# ---- shapes and types
@pytest.mark.parametrize("form", ["indices", "probabilities"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_any_axis(axis: int, form: str) -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(3, 3, 3))
    soft = softmax(rng.normal(size=(3, 3, 3)), axis=axis)
    targets = rng.integers(3, size=(3, 3)) if form == "indices" else soft
    moved = targets if form == "indices" else np.moveaxis(soft, axis, -1)
    expected = cross_entropy(np.moveaxis(logits, axis, -1), moved, reduction="none")

    assert_bit_equal(expected, cross_entropy(logits, targets, axis=axis, reduction="none"))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", ">i8", "u8"])
def test_indices_of_any_width(dtype: str) -> None:
    assert_bit_equal(cross_entropy(EXAMPLE, [0, 1]), cross_entropy(EXAMPLE, np.array([0, 1], dtype=dtype)))


@pytest.mark.parametrize(
    ("given_type", "loss_type", "gradient_type"),
    [("f2", "f4", "f2"), ("f4", "f4", "f4"), ("f8", "f8", "f8"), (">f8", "f8", "f8"), ("i4", "f8", "f8")],
)
def test_types_of_the_results(given_type: str, loss_type: str, gradient_type: str) -> None:
    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE.astype(given_type), [0, 1])

    assert (loss.dtype, gradient.dtype) == (np.dtype(loss_type), np.dtype(gradient_type))


@pytest.mark.parametrize("target_type", ["f2", "f4", "f8"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_target_probabilities_of_another_width(dtype: str, target_type: str) -> None:
    soft = np.array([[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]])
    logits = EXAMPLE.astype(dtype)

    assert_bit_equal(cross_entropy(logits, soft), cross_entropy(logits, soft.astype(target_type)))


def test_strided_and_read_only_arguments() -> None:
    logits = np.asfortranarray(EXAMPLE)
    targets = np.array([0, 9, 1])[::2]
    logits.flags.writeable = targets.flags.writeable = False
    expected = cross_entropy_value_and_gradient(EXAMPLE, [0, 1])

    loss, gradient = cross_entropy_value_and_gradient(logits, targets, sample_weight=np.ones(4)[::2])

    assert_bit_equal(expected[0], loss)
    assert_bit_equal(expected[1], gradient)


def test_a_bool_sample_weight_is_a_mask() -> None:
    assert_bit_equal(cross_entropy(EXAMPLE[:1], [0]), cross_entropy(EXAMPLE, [0, 1], sample_weight=[True, False]))


# ---- rows that are not there
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("ignored", [-100, 2, -1, 2**62])
def test_an_ignored_row_changes_no_bit(ignored: int, reduction: str) -> None:
    logits, targets = np.vstack([EXAMPLE[:1], GARBAGE, EXAMPLE[1:]]), np.array([0, ignored, 1])
    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE, [0, 1], reduction=reduction)

    with_garbage, gradient_with = cross_entropy_value_and_gradient(
        logits, targets, ignore_index=ignored, reduction=reduction
    )

    assert_bit_equal(loss, with_garbage)
    assert_bit_equal(np.insert(gradient, 1, 0.0, axis=0), gradient_with)


@pytest.mark.parametrize(("reduction", "expected"), [("mean", nan), ("sum", 0.0), ("none", [0.0, 0.0])])
def test_when_every_row_is_ignored_the_gradient_is_zero(reduction: str, expected: Any) -> None:
    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE, [1, 1], ignore_index=1, reduction=reduction)

    assert_bit_equal(np.array(expected, dtype=float), loss)
    assert_bit_equal(np.zeros((2, 3)), gradient)


def test_another_index_outside_is_still_refused() -> None:
    with pytest.raises(TargetError, match="got -101 at index 1"):
        cross_entropy(EXAMPLE, [-100, -101], ignore_index=-100)


def test_an_index_beyond_int64_is_not_taken_for_the_ignored_one() -> None:
    with pytest.raises(TargetError, match="got 18446744073709551615 at index 1"):
        cross_entropy(EXAMPLE, np.array([0, 2**64 - 1], dtype=np.uint64), ignore_index=-1)


def test_ignored_rows_do_not_weigh() -> None:
    weights = {"sample_weight": [1.0, 2.0, 3.0], "class_weight": [1.0, 2.0, 4.0]}
    logits = np.vstack([EXAMPLE, EXAMPLE[:1]])

    expected = cross_entropy(logits[[0, 2]], [0, 1], sample_weight=[1.0, 3.0], class_weight=[1.0, 2.0, 4.0])

    assert_bit_equal(expected, cross_entropy(logits, [0, 2, 1], ignore_index=2, **weights))


@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_bfloat16_losses_are_float32(form: str) -> None:
    logits, indices, soft = problem("scale 5", 10, "f8")
    targets = indices if form == "indices" else soft.astype(ml_dtypes.bfloat16)
    given = logits.astype(ml_dtypes.bfloat16)
    expected = cross_entropy(given.astype(np.float64), targets, reduction="none")

    losses = cross_entropy(given, targets, reduction="none")

    assert losses.dtype == np.float32
    assert_ulp(expected, losses, ulps=1)


@pytest.mark.parametrize("extreme", [[1e300, 1e-300, 1.0], [1e-310, 1e-310, 0.0], [1.7e308, 1.7e308, 1.7e308]])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_extreme_class_weights_keep_their_ratio(form: str, extreme: list[float]) -> None:
    targets: Any = [1, 1] if form == "indices" else [[0.0, 1.0, 0.0]] * 2
    expected = cross_entropy_value_and_gradient(EXAMPLE, [1, 1])

    loss, gradient = cross_entropy_value_and_gradient(EXAMPLE, targets, class_weight=extreme)

    assert_ulp(expected[0], loss, ulps=2)
    assert_close(expected[1], gradient, rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_value_and_gradient])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_targets_that_are_all_bad_are_named_in_the_usual_call(dtype: type, function: Any) -> None:
    with pytest.raises(TargetError, match="got 7 at index 0 \\(2 of 2 are outside\\)"):
        function(np.zeros((2, 3), dtype), np.array([7, 9]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_usual_call_gives_what_the_checked_call_gives(dtype: type) -> None:
    logits = (np.random.default_rng(0).normal(size=(50, 7)) * 5).astype(dtype)
    targets = np.arange(50) % 7
    unit = np.ones(50)

    loss, gradient = cross_entropy_value_and_gradient(logits, targets)
    checked, its_gradient = cross_entropy_value_and_gradient(logits, targets, sample_weight=unit)

    assert loss == checked == cross_entropy(logits, targets)
    assert loss.dtype == checked.dtype
    np.testing.assert_array_equal(gradient, its_gradient)
