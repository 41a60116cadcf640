"""What holds for all logits, targets and weights: shift, order, sums, weights, masks, and derivatives that agree."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import softclass
from asserts import assert_bit_equal, assert_close, assert_ulp
from strategies import distributions, exact_logits, logits, problems
from truth import of_rows

SEEDS = st.integers(0, 2**32 - 1)
REDUCTIONS = st.sampled_from(["none", "sum", "mean"])
examples = settings(max_examples=60)
FAMILY = st.sampled_from([softclass.softmax, softclass.log_softmax])


def eps_of(array: np.ndarray) -> float:
    return float(np.finfo(array.dtype).eps)


# ---- softmax family
@given(exact_logits(), st.integers(-(2**10), 2**10), FAMILY)
@examples
def test_an_exact_shift_leaves_the_bits(rows: np.ndarray, shift: int, function: Any) -> None:
    assert_bit_equal(function(rows), function(rows + rows.dtype.type(shift)))


@given(exact_logits(), st.integers(-(2**10), 2**10))
@examples
def test_a_shift_of_the_logits_shifts_the_log_partition(rows: np.ndarray, shift: int) -> None:
    expected = of_rows(rows).log_partition + shift

    assert_ulp(expected, softclass.logsumexp(rows + rows.dtype.type(shift)), ulps=1, atol=eps_of(rows))


@given(logits(), SEEDS)
@examples
def test_classes_may_change_places(rows: np.ndarray, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(rows.shape[1])
    eps, smallest = eps_of(rows), float(np.finfo(rows.dtype).smallest_subnormal)

    # The order of the sum, which is rounded once: two neighbours at most
    assert_close(softclass.softmax(rows)[:, order], softclass.softmax(rows[:, order]), rtol=2 * eps, atol=smallest)
    assert_close(softclass.logsumexp(rows), softclass.logsumexp(rows[:, order]), rtol=eps, atol=eps)


@given(logits())
@examples
def test_probabilities_sum_to_one(rows: np.ndarray) -> None:
    sums = softclass.softmax(rows).sum(axis=1, dtype=np.longdouble).astype(float)

    assert_close(np.ones(len(rows)), sums, rtol=0, atol={"f": 1e-7, "d": 5e-16}[rows.dtype.char])


@given(logits(("f2", "bf16", "f4", "f8")), FAMILY)
@examples
def test_the_order_of_the_classes_is_kept(rows: np.ndarray, function: Any) -> None:
    order = np.argsort(rows, axis=1, kind="stable")
    found = np.take_along_axis(function(rows), order, axis=1).astype(np.float64)
    is_tie = np.diff(np.take_along_axis(rows, order, axis=1).astype(np.float64), axis=1) == 0

    assert (np.diff(found, axis=1) >= 0).all()
    assert (np.diff(found, axis=1)[is_tie] == 0).all()


@given(logits(("f2", "bf16", "f4", "f8"), special=True))
@examples
def test_whatever_the_logits_are_the_results_are_of_the_right_kind(rows: np.ndarray) -> None:
    probabilities, logs = (f(rows).astype(np.float64) for f in (softclass.softmax, softclass.log_softmax))
    wide = rows.astype(np.float64)
    undefined = np.isnan(wide).any(axis=1) | ((wide == np.inf).sum(axis=1) > 1) | (wide == -np.inf).all(axis=1)

    assert_bit_equal(np.repeat(undefined[:, None], rows.shape[1], axis=1), np.isnan(probabilities))
    assert_bit_equal(np.isnan(probabilities), np.isnan(logs))
    with np.errstate(invalid="ignore"):
        assert ((probabilities >= 0) & (probabilities <= 1) & (logs <= 0) | undefined[:, None]).all()


@given(logits(special=True))
@examples
def test_the_log_partition_lies_between_the_maximum_and_log_k_above(rows: np.ndarray) -> None:
    found = softclass.logsumexp(rows)
    largest, n_classes = rows.max(axis=1), rows.shape[1]

    assert_bit_equal(np.isnan(largest), np.isnan(found))
    with np.errstate(invalid="ignore", over="ignore"):
        above = largest + np.log(rows.dtype.type(n_classes)) * (1 + 2 * eps_of(rows))
        assert (np.isnan(found) | ((found >= largest) & (found <= np.nextafter(above, np.inf, dtype=rows.dtype)))).all()


@given(logits(least_classes=2), SEEDS, FAMILY)
@examples
def test_a_class_outside_where_is_absent(rows: np.ndarray, seed: int, function: Any) -> None:
    """Against minus infinity in its place to the bit, and against rows without it to the order of the sum."""
    random = np.random.default_rng(seed)
    where = random.random(rows.shape[1]) < 0.6
    where[random.integers(rows.shape[1])] = True
    removed = rows.copy()
    removed[:, ~where] = -np.inf
    garbage = rows.copy()
    garbage[:, ~where] = np.nan

    found = function(garbage, where=where)

    assert_bit_equal(function(removed), found)
    smallest = float(np.finfo(rows.dtype).smallest_subnormal)
    assert_close(function(rows[:, where]), found[:, where], rtol=2 * eps_of(rows), atol=smallest)


@given(logits(), SEEDS, FAMILY)
@examples
def test_where_may_differ_from_row_to_row(rows: np.ndarray, seed: int, function: Any) -> None:
    where = np.random.default_rng(seed).random(rows.shape) < 0.5
    where[:, 0] = True
    expected = np.stack([function(row, where=keep) for row, keep in zip(rows, where, strict=True)])

    assert_bit_equal(expected, function(rows, where=where))


@given(logits(scales=(1.0, 5.0)), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
@examples
def test_a_temperature_of_a_power_of_two_divides_the_logits(rows: np.ndarray, temperature: float) -> None:
    divided = rows / rows.dtype.type(temperature)

    assert_bit_equal(softclass.softmax(divided), softclass.softmax(rows, temperature=temperature))
    assert_bit_equal(softclass.log_softmax(divided), softclass.log_softmax(rows, temperature=temperature))


@given(logits(scales=(1.0, 5.0)), st.floats(0.05, 20))
@examples
def test_a_lower_temperature_never_lowers_the_largest_probability(rows: np.ndarray, temperature: float) -> None:
    cold, warm = (softclass.softmax(rows, temperature=t).max(axis=1) for t in (temperature, 1.5 * temperature))

    assert (cold >= warm * (1 - 4 * eps_of(rows))).all()


@given(logits(), st.sampled_from(["f4", "f8"]))
@examples
def test_a_wider_result_is_the_result_of_wider_logits(rows: np.ndarray, dtype: str) -> None:
    if dtype == "f8":
        assert_bit_equal(softclass.softmax(rows.astype(dtype)), softclass.softmax(rows, dtype=np.float64))
        assert_bit_equal(softclass.logsumexp(rows.astype(dtype)), softclass.logsumexp(rows, dtype=np.float64))
    else:
        assert softclass.softmax(rows, dtype=np.float32).dtype == np.float32
        assert_ulp(of_rows(rows).probabilities, softclass.softmax(rows, dtype=np.float32), ulps=2.5)


# ---- losses
@given(problems(), REDUCTIONS)
@examples
def test_the_value_alone_has_the_bits_of_the_value_with_its_gradient(problem: Any, reduction: str) -> None:
    rows, targets, options = problem

    value, _ = softclass.cross_entropy_value_and_gradient(rows, targets, reduction=reduction, **options)

    assert_bit_equal(
        np.asarray(softclass.cross_entropy(rows, targets, reduction=reduction, **options)), np.asarray(value)
    )


@given(exact_logits(), st.integers(-(2**10), 2**10), SEEDS)
@examples
def test_an_exact_shift_leaves_the_bits_of_a_loss(rows: np.ndarray, shift: int, seed: int) -> None:
    targets = np.random.default_rng(seed).integers(rows.shape[1], size=len(rows))
    expected = softclass.cross_entropy_value_and_gradient(rows, targets)

    found = softclass.cross_entropy_value_and_gradient(rows + rows.dtype.type(shift), targets)

    assert_bit_equal(np.asarray(expected[0]), np.asarray(found[0]))
    assert_bit_equal(expected[1], found[1])


@given(logits(("f2", "bf16", "f4", "f8")), SEEDS, st.sampled_from([0.0, 0.1, 0.5]), REDUCTIONS)
@examples
def test_one_hot_rows_are_indices(rows: np.ndarray, seed: int, smoothing: float, reduction: str) -> None:
    random = np.random.default_rng(seed)
    targets = random.integers(rows.shape[1], size=len(rows))
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
    options["class_weight"] = random.uniform(0.5, 2, size=rows.shape[1])
    loss, gradient = softclass.cross_entropy_value_and_gradient(rows, targets, **options)

    soft = softclass.cross_entropy_value_and_gradient(rows, np.eye(rows.shape[1], dtype=rows.dtype)[targets], **options)

    # Loss and gradient reach the target by two ways: a unit of the loss, and one of numbers to 2
    assert_ulp(np.asarray(loss).astype(np.longdouble), np.asarray(soft[0]), ulps=1)
    eps = 2.0 ** -{"e": 10, "E": 7, "f": 23, "d": 52}[rows.dtype.char]
    assert_close(gradient.astype(float), soft[1].astype(float), rtol=eps, atol=2e-7 if eps > 1e-10 else 1e-15)


@given(problems(), SEEDS)
@examples
def test_weight_two_is_the_row_twice(problem: Any, seed: int) -> None:
    rows, targets, options = problem
    place = np.random.default_rng(seed).integers(len(rows))
    weights = options.pop("sample_weight", np.ones(len(rows)))
    doubled = weights.copy()
    doubled[place] *= 2
    twice = np.r_[0 : len(rows), place]

    for reduction in ("sum", "mean"):
        expected = softclass.cross_entropy(
            rows[twice], targets[twice], sample_weight=weights[twice], reduction=reduction, **options
        )
        found = softclass.cross_entropy(rows, targets, sample_weight=doubled, reduction=reduction, **options)
        assert_ulp(np.longdouble(expected), np.asarray(found), ulps=2)


@given(problems(), SEEDS, st.sampled_from(["sum", "mean"]))
@examples
def test_weight_zero_is_a_row_that_is_absent(problem: Any, seed: int, reduction: str) -> None:
    rows, targets, options = problem
    weights = options.pop("sample_weight", np.ones(len(rows)))
    kept = np.random.default_rng(seed).random(len(rows)) < 0.6
    kept[0] = True
    garbage, bad = rows.copy(), targets.copy()
    garbage[~kept] = np.nan
    bad[~kept] = -1
    expected = softclass.cross_entropy_value_and_gradient(
        rows[kept], targets[kept], sample_weight=weights[kept], reduction=reduction, **options
    )

    found = softclass.cross_entropy_value_and_gradient(
        garbage, bad, sample_weight=np.where(kept, weights, 0), reduction=reduction, **options
    )

    # The rows that are left may stand elsewhere in the sums, which are of float64
    assert_ulp(np.asarray(expected[0]).astype(np.longdouble), np.asarray(found[0]), ulps=2)
    assert_close(expected[1], found[1][kept], rtol=2 * eps_of(rows), atol=0)
    assert not found[1][~kept].any()


@given(problems(), st.sampled_from([0.25, 2.0, 1024.0]))
@examples
def test_a_common_factor_of_the_weights_cancels_in_a_mean(problem: Any, factor: float) -> None:
    rows, targets, options = problem
    weights = options.pop("sample_weight", np.ones(len(rows)))
    expected = softclass.cross_entropy_value_and_gradient(rows, targets, sample_weight=weights, **options)

    found = softclass.cross_entropy_value_and_gradient(rows, targets, sample_weight=weights * factor, **options)

    assert_bit_equal(np.asarray(expected[0]), np.asarray(found[0]))
    assert_bit_equal(expected[1], found[1])


@given(logits(("f8",)), SEEDS)
@examples
def test_a_soft_loss_is_no_less_than_the_entropy_of_its_target(rows: np.ndarray, seed: int) -> None:
    shares = distributions(np.random.default_rng(seed), *rows.shape)
    entropy = -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0).sum(axis=1)

    assert (softclass.cross_entropy(rows, shares, reduction="none") >= entropy - 1e-14 * (1 + entropy)).all()


@given(problems(scales=(0.1, 1.0, 5.0, 20.0)), REDUCTIONS)
@examples
def test_rows_of_a_gradient_sum_to_zero(problem: Any, reduction: str) -> None:
    rows, targets, options = problem

    _, gradient = softclass.cross_entropy_value_and_gradient(rows, targets, reduction=reduction, **options)

    # Row weights to 9, each entry rounded
    sums = gradient.sum(axis=1, dtype=np.longdouble).astype(float)
    assert_close(np.zeros(len(rows)), sums, rtol=0, atol=20 * eps_of(rows))


@given(logits(("f8",), least_classes=2), SEEDS)
@examples
def test_a_loss_is_the_log_partition_less_the_target(rows: np.ndarray, seed: int) -> None:
    targets = np.random.default_rng(seed).integers(rows.shape[1], size=len(rows))
    logs = np.take_along_axis(softclass.log_softmax(rows), targets[:, None], axis=1)[:, 0]

    assert_ulp(-logs.astype(np.longdouble), softclass.cross_entropy(rows, targets, reduction="none"), ulps=3)


# ---- derivatives
@given(logits(("f8",), scales=(0.1, 1.0, 5.0)), SEEDS)
@examples
def test_jacobian_jvp_and_vjp_agree(rows: np.ndarray, seed: int) -> None:
    direction = np.random.default_rng(seed).normal(size=rows.shape)
    probabilities = softclass.softmax(rows)
    expected = np.einsum("nij,nj->ni", softclass.softmax_jacobian(probabilities), direction)

    found = softclass.softmax_jvp(probabilities, direction)

    assert_close(expected, found, rtol=0, atol=1e-14)
    assert_bit_equal(found, softclass.softmax_vjp(probabilities, direction))


@given(logits(("f8",), scales=(0.1, 1.0, 5.0)))
@examples
def test_a_jacobian_is_symmetric_and_its_rows_sum_to_zero(rows: np.ndarray) -> None:
    jacobian = softclass.softmax_jacobian(softclass.softmax(rows))

    assert_bit_equal(jacobian, np.ascontiguousarray(jacobian.transpose(0, 2, 1)))
    assert_close(np.zeros(rows.shape), jacobian.sum(axis=2), rtol=0, atol=1e-15)
    assert (np.linalg.eigvalsh(jacobian) >= -1e-15).all()


STEP = 1e-5


@given(logits(("f8",), scales=(0.1, 1.0, 3.0)), SEEDS)
@examples
def test_the_jvp_of_softmax_is_its_central_difference(rows: np.ndarray, seed: int) -> None:
    direction = np.random.default_rng(seed).normal(size=rows.shape)
    difference = (softclass.softmax(rows + STEP * direction) - softclass.softmax(rows - STEP * direction)) / (2 * STEP)

    found = softclass.softmax_jvp(softclass.softmax(rows), direction)

    assert_close(difference, found, rtol=0, atol=2e-9)  # step squared times a third derivative; rounding over the step


@given(problems(("f8",), scales=(0.1, 1.0, 3.0)), SEEDS, st.sampled_from(["sum", "mean"]))
@examples
def test_the_gradient_of_a_loss_is_its_central_difference(problem: Any, seed: int, reduction: str) -> None:
    rows, targets, options = problem
    options["reduction"] = reduction
    direction = np.random.default_rng(seed).normal(size=rows.shape)
    above, below = (softclass.cross_entropy(rows + s * direction, targets, **options) for s in (STEP, -STEP))
    _, gradient = softclass.cross_entropy_value_and_gradient(rows, targets, **options)

    # Sums of up to 5 rows of weight to 9 and of 70 classes
    assert_close((above - below) / (2 * STEP), (gradient * direction).sum(), rtol=1e-8, atol=3e-8)


@given(problems(("f8",), scales=(0.1, 1.0, 3.0)), SEEDS, REDUCTIONS)
@examples
def test_a_hessian_product_is_the_central_difference_of_the_gradient(problem: Any, seed: int, reduction: str) -> None:
    rows, targets, options = problem
    options["reduction"] = reduction
    direction = np.random.default_rng(seed).normal(size=rows.shape)
    above, below = (
        softclass.cross_entropy_value_and_gradient(rows + s * direction, targets, **options)[1] for s in (STEP, -STEP)
    )

    found = softclass.cross_entropy_hvp(rows, targets, direction, **options)

    assert_close((above - below) / (2 * STEP), found, rtol=1e-7, atol=2e-8)


@given(problems(("f8",)), SEEDS)
@examples
def test_a_hessian_is_symmetric_and_curves_up(problem: Any, seed: int) -> None:
    rows, targets, options = problem
    one, other = np.random.default_rng(seed).normal(size=(2, *rows.shape))
    along_one, along_other = (softclass.cross_entropy_hvp(rows, targets, t, **options) for t in (one, other))

    assert_close((along_one * other).sum(), (along_other * one).sum(), rtol=1e-11, atol=1e-13)
    assert (along_one * one).sum() >= -1e-14


@given(SEEDS, st.booleans(), st.booleans(), st.sampled_from(["sum", "mean"]), st.sampled_from([3, 10, 70]))
@examples
def test_the_linear_loss_is_the_loss_of_the_product(
    seed: int, biased: bool, soft: bool, reduction: str, n_classes: int
) -> None:
    draw = np.random.default_rng(seed)
    features, weight, bias = draw.normal(size=(9, 6)), draw.normal(size=(n_classes, 6)), draw.normal(size=n_classes)
    targets = distributions(draw, 9, n_classes) if soft else draw.integers(n_classes, size=9)
    options: dict[str, Any] = {"sample_weight": draw.uniform(0.1, 2, size=9), "reduction": reduction}
    options |= {"class_weight": draw.uniform(0.1, 2, size=n_classes), "label_smoothing": 0.1}
    logits_ = features @ weight.T + (bias if biased else 0)
    loss, at_logits = softclass.cross_entropy_value_and_gradient(logits_, targets, **options)

    found, gradients = softclass.linear_cross_entropy_value_and_gradient(
        features,
        weight,
        targets,
        bias=bias if biased else None,
        wrt=("weight", "bias", "features")[: 3 if biased else 1],
        **options,
    )

    assert_close(float(loss), float(found), rtol=1e-13, atol=0)
    assert_close(at_logits.T @ features, gradients.weight, rtol=1e-11, atol=1e-13)
    assert biased == (gradients.bias is not None)


@given(SEEDS, st.booleans(), st.sampled_from(["sum", "mean"]), st.sampled_from([3, 10, 70]))
@examples
def test_a_linear_hessian_product_is_that_of_the_logits(
    seed: int, biased: bool, reduction: str, n_classes: int
) -> None:
    draw = np.random.default_rng(seed)
    features, weight, bias = draw.normal(size=(9, 6)), draw.normal(size=(n_classes, 6)), draw.normal(size=n_classes)
    along, along_bias = draw.normal(size=(n_classes, 6)), draw.normal(size=n_classes)
    targets = draw.integers(n_classes, size=9)
    options: dict[str, Any] = {"sample_weight": draw.uniform(0.1, 2, size=9), "reduction": reduction}
    extra = {"bias": bias, "bias_tangent": along_bias} if biased else {}
    logits_ = features @ weight.T + (bias if biased else 0)
    tangent = features @ along.T + (along_bias if biased else 0)
    curved = softclass.cross_entropy_hvp(logits_, targets, tangent, **options)

    found = softclass.linear_cross_entropy_hvp(features, weight, targets, along, **extra, **options)

    assert_close(curved.T @ features, found.weight, rtol=1e-10, atol=1e-12)
    assert biased == (found.bias is not None)


# ---- the state of a row
@given(logits(special=True), st.lists(st.integers(0, 70), max_size=4))
@examples
def test_parts_of_a_row_merge_to_the_whole(rows: np.ndarray, cuts: list[int]) -> None:
    """Whatever the row holds and wherever it is cut, parts without a class included."""
    borders = [0, *sorted(min(cut, rows.shape[1]) for cut in cuts), rows.shape[1]]
    parts = [softclass.LogPartition.from_logits(rows[:, a:b]) for a, b in pairwise(borders)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    whole = softclass.LogPartition.from_logits(rows)
    eps = eps_of(rows)

    assert_close(whole.value, merged.value, rtol=eps, atol=eps)
    assert_close(softclass.logsumexp(rows), whole.value, rtol=eps, atol=eps)


@given(logits(), st.integers(0, 70))
@examples
def test_the_order_of_merging_does_not_matter(rows: np.ndarray, cut: int) -> None:
    one, other = (softclass.LogPartition.from_logits(part) for part in (rows[:, :cut], rows[:, cut:]))
    eps = eps_of(rows)

    assert_close(one.merge(other).value, other.merge(one).value, rtol=eps, atol=eps)


@given(logits(least_classes=2))
@examples
def test_the_state_of_a_row_gives_its_log_probabilities(rows: np.ndarray) -> None:
    half = rows.shape[1] // 2
    state = softclass.LogPartition.from_logits(rows[:, :half]).merge(softclass.LogPartition.from_logits(rows[:, half:]))

    found = np.asarray(state.log_probabilities(rows))

    assert_ulp(of_rows(rows).log_probabilities, found.astype(rows.dtype), ulps=4)  # the bound of the formula


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_nested_lists_and_whole_numbers_are_float64(name: str) -> None:
    function = getattr(softclass, name)

    assert_bit_equal(function(np.array([[1.0, 2.0], [3.0, 1.0]])), function([[1, 2], [3, 1]]))
