"""Slow learning: every claim of docs/concepts/slow-learning.md about formulas and single rows, against the truth."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest

from golden_slow_learning import GOLDEN, number, numbers
from softclass import cross_entropy_hvp, cross_entropy_value_and_gradient, softmax, softmax_jacobian
from softclass.functions.slow_learning import (
    escape_constant,
    escape_time,
    even_escape_time,
    logit_run,
    logit_steps,
    neuron_run,
    neuron_steps,
    neuron_time,
    sigmoid_cross_entropy,
    sigmoid_squared_error,
    squared_error,
)

ROWS = {row["name"]: row for row in GOLDEN["rows"]}
each_row = pytest.mark.parametrize("name", ROWS)


def trailing(margin: float, n_classes: int = 10) -> np.ndarray:
    """Logits in which class 1 leads class 0, the target, and all others."""
    return np.array([0.0, margin] + [0.0] * (n_classes - 2))


def cross_entropy(logits: Any, targets: Any) -> tuple[Any, np.ndarray]:
    return cross_entropy_value_and_gradient(logits, targets, reduction="none")


def central(loss: Any, z: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Central differences of a function of rows, all rows at once, (rows, K)."""
    steps = h * np.eye(z.shape[-1])[:, None, :]
    return ((loss(z + steps) - loss(z - steps)) / (2 * h)).T


def random_logits(n_rows: int, n_classes: int, seed: int) -> np.ndarray:
    """Rows of scales 0.3, 1, 3 and 8."""
    scale = np.repeat([0.3, 1.0, 3.0, 8.0], n_rows // 4)[:, None]
    return scale * np.random.default_rng(seed).standard_normal((n_rows, n_classes))


# --- one neuron: theorem 1


def test_the_push_of_squared_error_on_a_neuron_is_at_most_4_27ths_at_one_third() -> None:
    a = np.linspace(0, 1, 100_002)[1:-1, None]
    _, gradient = sigmoid_squared_error(np.log(a / (1 - a)), np.ones_like(a))
    best = np.abs(gradient[:, 0]).argmax()

    assert abs(abs(gradient[best, 0]) - 0.148148) < 1e-6
    assert abs(a[best, 0] - 0.33333) < 1e-5
    assert number(GOLDEN["squared_error_extremes"]["neuron"]) == pytest.approx(4 / 27, rel=1e-15)


@pytest.mark.parametrize("loss", [sigmoid_squared_error, sigmoid_cross_entropy])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_the_gradients_through_the_sigmoid_are_derivatives(loss: Any, target: float) -> None:
    z = np.linspace(-8, 8, 161)[:, None]
    y = np.full_like(z, target)

    assert (
        np.abs(loss(z, y)[1] - central(lambda moved: loss(moved, np.broadcast_to(y, moved.shape))[0], z)).max() < 1e-8
    )


def test_the_sigmoid_cancels_with_cross_entropy() -> None:
    z = np.linspace(-30, 30, 601)[:, None]
    a = 1 / (1 + np.exp(-z))

    np.testing.assert_allclose(sigmoid_cross_entropy(z, np.zeros_like(z))[1], a, rtol=4e-16)


def test_sigmoid_gradients_keep_their_digits_near_the_target() -> None:
    """At z = 40 the output is 1 - e^-40, which float64 rounds to 1."""
    tail = math.exp(-40.0)

    np.testing.assert_allclose(sigmoid_cross_entropy([40.0], [1.0])[1], [-tail], rtol=1e-15)
    np.testing.assert_allclose(sigmoid_squared_error([40.0], [1.0])[1], [-tail * tail], rtol=1e-15)


# --- the Jacobian: theorem 2


@pytest.mark.parametrize("n_classes", [2, 3, 5, 10, 50])
def test_the_jacobian_is_symmetric_and_between_its_bounds(n_classes: int) -> None:
    p = np.asarray(softmax(random_logits(2000, n_classes, n_classes)))
    jacobian = np.asarray(softmax_jacobian(p))
    eigenvalues = np.linalg.eigvalsh(jacobian)
    most = 2 * (p * (1 - p)).max(axis=1, keepdims=True)

    assert np.array_equal(jacobian, jacobian.transpose(0, 2, 1))
    assert np.abs(jacobian.sum(axis=2)).max() <= 1e-15 * n_classes
    assert (eigenvalues >= -1e-15).all()
    assert (eigenvalues <= most + 1e-14).all()


def test_the_bound_of_the_jacobian_is_reached() -> None:
    [*_, largest] = np.linalg.eigvalsh(softmax_jacobian(np.array([0.5, 0.5, 0.0, 0.0])))

    assert largest == pytest.approx(0.5, rel=1e-15)


# --- cross-entropy: theorem 3


@each_row
def test_cross_entropy_agrees_with_the_truth(name: str) -> None:
    row = ROWS[name]
    loss, gradient = cross_entropy(np.array(row["logits"]), np.array(row["target"]))

    np.testing.assert_allclose(loss, number(row["cross_entropy"]["loss"]), rtol=1e-12)
    np.testing.assert_allclose(gradient, numbers(row["cross_entropy"]["gradient"]), rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 50])
def test_the_push_of_cross_entropy_lies_between_its_bounds(n_classes: int) -> None:
    _, gradient = cross_entropy(random_logits(2000, n_classes, 1), np.zeros(2000, dtype=np.int64))
    q, length = -gradient[:, 0], np.linalg.norm(gradient, axis=1)

    np.testing.assert_allclose(np.abs(gradient).max(axis=1), q, rtol=1e-12)
    np.testing.assert_allclose(np.abs(gradient).sum(axis=1), 2 * q, rtol=1e-12)
    assert (length >= math.sqrt(n_classes / (n_classes - 1)) * q - 1e-12).all()
    assert (length <= math.sqrt(2) * q + 1e-12).all()


def soft_targets(n_rows: int, n_classes: int) -> np.ndarray:
    """One-hot targets, smoothed by 0.1."""
    y = np.full((n_rows, n_classes), 0.1 / n_classes)
    y[np.arange(n_rows), np.arange(n_rows) % n_classes] += 0.9
    return y


@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("are_soft", [False, True])
def test_the_gradients_through_softmax_are_derivatives(loss: Any, are_soft: bool) -> None:
    z = random_logits(40, 6, 2)
    targets = soft_targets(40, 6) if are_soft else np.arange(40) % 6
    repeated = np.broadcast_to(targets, (6, *targets.shape))

    assert np.abs(loss(z, targets)[1] - central(lambda moved: loss(moved, repeated)[0], z)).max() < 1e-8


def test_the_hessian_of_cross_entropy_is_the_jacobian() -> None:
    z, v = random_logits(200, 7, 3), random_logits(200, 7, 4) / 8
    p = np.asarray(softmax(z))
    by_matrix = np.einsum("nij,nj->ni", softmax_jacobian(p), v)
    found = cross_entropy_hvp(z, np.zeros(200, dtype=np.int64), v, reduction="none")

    assert np.abs(found - by_matrix).max() < 1e-15
    assert np.abs(p * (v - (p * v).sum(axis=1, keepdims=True)) - by_matrix).max() < 1e-15


# --- squared error: theorems 4 and 5


@each_row
def test_squared_error_agrees_with_the_truth(name: str) -> None:
    """In every digit: also where all but one probability are below e^-300."""
    row = ROWS[name]
    loss, gradient = squared_error(row["logits"], row["target"])

    np.testing.assert_allclose(loss, number(row["squared_error"]["loss"]), rtol=1e-15)
    np.testing.assert_allclose(gradient, numbers(row["squared_error"]["gradient"]), rtol=1e-15)


def test_the_formula_that_cancels_has_no_digit_left() -> None:
    """At a lead of 40 nats the push is 5e-17, less than the last digit of the 1 that it is a difference of."""
    p = np.asarray(softmax(trailing(40)))
    r = p - np.eye(10)[0]
    right = squared_error(trailing(40), 0)[1][1]

    assert abs(p[1] * (r[1] - p @ r) / right - 1) > 0.9


def test_three_forms_of_the_push_agree() -> None:
    z, t = random_logits(2000, 8, 5), np.arange(2000) % 8
    p, (loss, gradient) = np.asarray(softmax(z)), squared_error(z, t)
    y = np.eye(8)[t]
    p_target, square = (p * y).sum(axis=1), (p * p).sum(axis=1)
    by_matrix = np.einsum("nij,nj->ni", softmax_jacobian(p), p - y)
    by_parts = np.where(
        y == 1, (p_target * (2 * p_target - 1 - square))[:, None], p * (p + (p_target - square)[:, None])
    )
    at_target = (gradient * y).sum(axis=1)

    assert np.abs(gradient - by_matrix).max() < 1e-14
    assert np.abs(gradient - by_parts).max() < 1e-14
    np.testing.assert_allclose(at_target, -2 * p_target * loss, rtol=1e-14)


def dirichlet_gradients() -> np.ndarray:
    """Gradients at 100,000 random distributions of 2 to 30 classes, padded with zeros."""
    random = np.random.default_rng(6)
    found = []
    for n_classes in range(2, 31):
        for concentration in (0.05, 0.2, 1.0):
            p = np.maximum(random.dirichlet(np.full(n_classes, concentration), 100_000 // 87 + 1), 1e-300)
            gradient = squared_error(np.log(p), np.zeros(len(p), dtype=np.int64))[1]
            found.append(np.pad(gradient, ((0, 0), (0, 30 - n_classes))))
    return np.concatenate(found)


def test_the_push_of_squared_error_stays_within_its_bounds() -> None:
    gradient = dirichlet_gradients()
    length = np.linalg.norm(gradient, axis=1)

    assert len(gradient) >= 100_000
    assert np.abs(gradient).max() <= 8 / 27 + 1e-12
    assert np.abs(gradient).sum(axis=1).max() <= 16 / 27 + 1e-12
    assert 0.4185 < length.max() <= 8 * math.sqrt(2) / 27 + 1e-12


def test_the_bounds_of_squared_error_are_reached_at_one_third() -> None:
    _, gradient = squared_error(np.log([1 / 3, 2 / 3]), 0)

    assert np.linalg.norm(gradient) == pytest.approx(0.4190262407, abs=1e-10)
    assert np.abs(gradient).max() == pytest.approx(8 / 27, rel=1e-14)
    assert np.linalg.norm(gradient) == pytest.approx(number(GOLDEN["squared_error_extremes"]["two"]), rel=1e-14)


def test_saturation_bounds_the_push_of_squared_error_right_or_wrong() -> None:
    z, t = random_logits(4000, 6, 7), np.arange(4000) % 6
    p = np.sort(np.asarray(softmax(z)), axis=1)
    ordered = np.sort(z, axis=1)
    rest, margin = p[:, :-1].sum(axis=1), ordered[:, -1] - ordered[:, -2]
    length = np.linalg.norm(squared_error(z, t)[1], axis=1)

    assert (rest <= 5 * np.exp(-margin) * (1 + 1e-12)).all()
    assert (length <= 2 * math.sqrt(2) * rest * (1 + 1e-12)).all()


def test_a_wrong_favourite_is_pushed_by_cross_entropy_with_more_than_a_half() -> None:
    z = random_logits(4000, 6, 8)
    wrong = (z.argmax(axis=1) + 1) % 6

    assert np.linalg.norm(cross_entropy(z, wrong)[1], axis=1).min() >= 0.5


@pytest.mark.parametrize(
    ("margin", "ce", "se", "ratio"),
    [
        (4, 1.30682, 0.123048, 10.6204),
        (8, 1.41185, 3.51841e-3, 401.275),
        (12, 1.41417, 6.50135e-5, 21_751.9),
        (16, 1.41421, 1.19096e-6, 1_187_459),
    ],
)
def test_lengths_of_both_gradients_beside_a_wrong_lead(margin: int, ce: float, se: float, ratio: float) -> None:
    lengths = [np.linalg.norm(loss(trailing(margin), 0)[1]) for loss in (cross_entropy, squared_error)]

    np.testing.assert_allclose([*lengths, lengths[0] / lengths[1]], [ce, se, ratio], rtol=1e-5)


@pytest.mark.parametrize("row", GOLDEN["saturation"], ids=lambda row: f"{row['n_classes']}-{row['margin']}")
def test_lengths_of_both_gradients_agree_with_the_truth(row: dict[str, Any]) -> None:
    z = trailing(row["margin"], row["n_classes"])
    lengths = [np.linalg.norm(loss(z, 0)[1]) for loss in (cross_entropy, squared_error)]

    np.testing.assert_allclose(lengths, [row["cross_entropy"], row["squared_error"]], rtol=1e-12)


@pytest.mark.parametrize("n_classes", [10, 100])
def test_the_ratio_of_the_gradients_tends_to_its_formula(n_classes: int) -> None:
    z = trailing(30, n_classes)
    ratio = np.linalg.norm(cross_entropy(z, 0)[1]) / np.linalg.norm(squared_error(z, 0)[1])

    assert ratio == pytest.approx(math.sqrt(2 / (n_classes**2 + n_classes + 2)) * math.exp(30), rel=1e-9)


# --- equal logits, and no other loss: theorems 6 and 7


@pytest.mark.parametrize("n_classes", [2, 5, 20, 1000])
def test_at_equal_logits_the_gradients_differ_by_the_number_of_classes(n_classes: int) -> None:
    z = np.zeros(n_classes)

    assert np.abs(n_classes * squared_error(z, 0)[1] - cross_entropy(z, 0)[1]).max() <= 1e-15


@pytest.mark.parametrize("run", GOLDEN["even_logits"], ids=lambda run: f"{run['n_classes']}-{run['loss']}")
def test_steps_from_equal_logits(run: dict[str, Any]) -> None:
    found = logit_steps(0.0, run["n_classes"], run["loss"])

    assert found is not None
    assert abs(found - run["steps"]) <= (run["steps"] >= 1000)


@pytest.mark.parametrize("row", GOLDEN["uniform_times"], ids=lambda row: str(row["n_classes"]))
def test_times_from_equal_logits_agree_with_the_truth(row: dict[str, Any]) -> None:
    times = {
        loss: even_escape_time(loss, row["n_classes"], learning_rate=0.5) for loss in ("cross_entropy", "squared_error")
    }

    assert times["cross_entropy"] == pytest.approx(row["cross_entropy"], rel=1e-14)
    assert times["squared_error"] == pytest.approx(row["squared_error"], rel=1e-14)


def test_squared_error_is_not_convex() -> None:
    """A chord from u = 0 to u = 12 lies below the curve in the middle."""
    low, middle, high = (float(squared_error([0.0, u], 0)[0]) for u in (0.0, 6.0, 12.0))

    assert middle > (low + high) / 2


def test_cross_entropy_is_convex_on_the_same_chord() -> None:
    low, middle, high = (float(cross_entropy(np.array([0.0, u]), 0)[0]) for u in (0.0, 6.0, 12.0))

    assert middle < (low + high) / 2


# --- how long: theorem 8


@pytest.mark.parametrize("n_classes", [2, 3, 5, 10, 100, 1000])
def test_constants_of_theorem_8(n_classes: int) -> None:
    assert escape_constant(n_classes) == pytest.approx(GOLDEN["escape_constants"][str(n_classes)], rel=1e-14)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "eps", "clip"])
def test_escape_times_agree_with_the_truth(loss: str) -> None:
    cases = GOLDEN["escape_times"]
    given = [[case[key] for key in ("n_classes", "margin", "learning_rate", "squared_norm")] for case in cases]
    found = [escape_time(loss, k, m, learning_rate=rate, squared_norm=norm) for k, m, rate, norm in given]

    np.testing.assert_allclose(found, [number(case[loss]) for case in cases], rtol=1e-12)


@pytest.mark.parametrize("row", GOLDEN["neuron_times"], ids=lambda row: f"{row['start']}-{row['below']}")
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_times_of_a_neuron_agree_with_the_truth(row: dict[str, Any], loss: str) -> None:
    assert neuron_time(loss, row["start"], below=row["below"]) == pytest.approx(row[loss], rel=1e-12)


@pytest.mark.parametrize("run", GOLDEN["two_logits"], ids=lambda run: f"{run['margin']}-{run['loss']}")
def test_two_classes_need_the_steps_of_theory(run: dict[str, Any]) -> None:
    """Squared error to 1 %; cross-entropy, ten steps or so, to the next step and one."""
    steps = logit_steps(run["margin"], 2, run["loss"])
    theory = escape_time(run["loss"], 2, run["margin"], learning_rate=0.5)

    assert steps is not None
    assert abs(steps - run["steps"]) <= (run["steps"] >= 1000)
    assert abs(steps - theory) < (0.01 * theory if run["loss"] == "squared_error" else 1.5)


@pytest.mark.parametrize("margin", [8, 10, 12])
def test_ten_classes_need_a_little_more_than_the_leading_term(margin: int) -> None:
    steps = logit_steps(margin, 10, "squared_error")

    assert steps is not None
    assert 0 < steps - escape_time("squared_error", 10, margin, learning_rate=0.5) < 60


@pytest.mark.parametrize(("margin", "expected"), [(8, 530.1), (10, 3_916.8), (12, 28_941.2)])
def test_the_leading_term_of_ten_classes(margin: int, expected: float) -> None:
    assert escape_time("squared_error", 10, margin, learning_rate=0.5) == pytest.approx(expected, abs=0.05)


def test_squared_error_is_exponential_in_the_margin() -> None:
    steps = [logit_steps(margin, 10, "squared_error") for margin in (8, 9, 10, 11, 12)]

    assert np.polyfit([8, 9, 10, 11, 12], np.log(np.array(steps, dtype=float)), 1)[0] == pytest.approx(0.98, abs=0.05)


def test_features_make_every_step_longer() -> None:
    """A layer with features x moves the logits by 1 + |x|² times as much."""
    alone = escape_time("cross_entropy", 10, 12.0, learning_rate=0.5)

    assert escape_time("cross_entropy", 10, 12.0, learning_rate=0.5, squared_norm=3.0) == pytest.approx(alone / 4)


# --- experiments 1 and 2


@pytest.mark.parametrize("run", GOLDEN["neuron"], ids=lambda run: f"{run['start']}-{run['loss']}")
@pytest.mark.parametrize("below", [0.5, 0.1])
def test_steps_of_one_neuron(run: dict[str, Any], below: float) -> None:
    found, expected = neuron_steps(run["start"], run["loss"], below=below), run["steps"][str(below)]

    assert found is not None
    assert abs(found - expected) <= (expected >= 1000)
    assert abs(found - neuron_time(run["loss"], run["start"], below=below)) < max(1.5, 0.01 * expected)


@pytest.mark.parametrize("run", GOLDEN["neuron"], ids=lambda run: f"{run['start']}-{run['loss']}")
def test_a_neuron_moves_as_it_should(run: dict[str, Any]) -> None:
    outputs = list(islice(neuron_run(run["start"], run["loss"]), 0, 301, 25))

    np.testing.assert_allclose(outputs, run["every_25"], rtol=1e-9)


def test_dividing_by_one_minus_a_is_56_times_too_fast() -> None:
    """The widget of a well-known book follows dC/da in the place of dC/dz: at z = 4 a step 56.6 times as long."""
    told = GOLDEN["mistaken_neuron"]
    outputs = list(islice(neuron_run(4.0, "cross_entropy", learning_rate=0.005), 301))
    weight = bias = 2.0
    for _ in range(300):
        slope = 1 / (1 - 1 / (1 + math.exp(-weight - bias)))
        weight, bias = weight - 0.005 * slope, bias - 0.005 * slope

    assert outputs[-1] == pytest.approx(told["right"], abs=1e-4) == pytest.approx(0.7796, abs=1e-4)
    assert 1 / (1 + math.exp(-weight - bias)) == pytest.approx(told["mistaken"], abs=1e-4)
    assert told["mistaken"] == pytest.approx(0.0479, abs=1e-4)


@pytest.mark.parametrize("run", GOLDEN["logits"], ids=lambda run: f"{run['loss']}-{run['margin']}")
def test_steps_of_ten_logits(run: dict[str, Any]) -> None:
    found, expected = logit_steps(run["margin"], 10, run["loss"]), run["steps"]

    assert (found is None) == (expected is None)
    assert abs((found or 0) - (expected or 0)) <= ((expected or 0) >= 1000)


@pytest.mark.parametrize("run", GOLDEN["logits"], ids=lambda run: f"{run['loss']}-{run['margin']}")
def test_ten_logits_move_as_they_should(run: dict[str, Any]) -> None:
    seen = list(islice(logit_run(run["margin"], 10, run["loss"]), 0, 301, 25))
    p, losses = run["p_every_25"][: len(seen)], run["loss_every_25"][: len(seen)]

    np.testing.assert_allclose([one for one, _ in seen], p, rtol=1e-9)
    np.testing.assert_allclose([one for _, one in seen], losses, rtol=1e-9)
    assert len(seen) == (13 if run["steps"] is not None else 1)


@pytest.mark.parametrize("margin", [24, 26, 28, 30])
def test_1e_9_inside_the_logarithm_costs_what_theory_says(margin: int) -> None:
    steps = logit_steps(margin, 10, "eps")

    assert steps is not None
    assert steps == pytest.approx(escape_time("eps", 10, margin, learning_rate=0.5), rel=0.06)


@pytest.mark.parametrize("margin", [18, 24, 30])
def test_a_clipped_loss_never_comes_free(margin: int) -> None:
    assert logit_steps(margin, 10, "clip") is None
    assert escape_time("clip", 10, margin, learning_rate=0.5) == math.inf
    assert neuron_steps(8.0, "squared_error", max_steps=1000) is None
