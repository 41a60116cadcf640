"""Metrics against definitions written out row by row, and against values worked by hand."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

from asserts import assert_close
from softclass.errors import NotFiniteError, OptionError, ShapeError, TargetError
from softclass.trust.metrics import (
    aurc,
    brier_score,
    class_wise_ece,
    decompose_brier,
    log_loss,
    ranks,
    top_k_accuracy,
)


def random_probabilities(seed: int, n: int, n_classes: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(n_classes), size=n)
    if ties:
        probabilities = rng.multinomial(4, probabilities) / 4
    targets = np.array([rng.choice(n_classes, p=row) for row in probabilities])
    return probabilities, targets


def test_log_loss_is_never_clipped() -> None:
    assert log_loss([[690.0, 0.0], [1e4, -1e4]], [1, 1]).value == pytest.approx((690 + 2e4) / 2, rel=1e-12)


def test_log_loss_of_a_class_of_probability_zero_is_infinite() -> None:
    assert log_loss([[0.0, -math.inf]], [1]).value == math.inf


def test_log_loss_keeps_its_precision_where_the_row_is_nearly_certain() -> None:
    # log1p(exp(-40)); a difference of the log partition and the logit would give 0.
    assert log_loss([[40.0, 0.0]], [0]).value == pytest.approx(math.exp(-40), rel=1e-9)


def test_log_loss_of_unknown_classes_is_infinite_beside_that_of_the_known_rows() -> None:
    found = log_loss([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0, 1, -1])

    assert found.value == math.inf
    assert found.known_rows_value == pytest.approx(math.log1p(math.exp(-1)), rel=1e-15)
    assert found.unknown_class_rows == 1


def test_log_loss_is_a_weighted_mean() -> None:
    logits, targets = np.array([[2.0, 0.0], [0.0, 0.5]]), np.array([0, 0])
    repeated = log_loss(logits[[0, 1, 1, 1]], targets[[0, 1, 1, 1]]).value

    assert log_loss(logits, targets, sample_weight=[1, 3]).value == pytest.approx(repeated, rel=1e-15)


def test_rows_of_weight_zero_do_not_count_even_if_infinite() -> None:
    assert log_loss([[0.0, -math.inf], [0.0, 0.0]], [1, 0], sample_weight=[0, 1]).value == pytest.approx(math.log(2))


@pytest.mark.parametrize("n_classes", [2, 3, 26])
def test_brier_score_is_the_mean_of_summed_squares(n_classes: int) -> None:
    probabilities, targets = random_probabilities(1, 40, n_classes)
    expected = np.mean(np.sum((probabilities - np.eye(n_classes)[targets]) ** 2, axis=1))

    assert brier_score(probabilities, targets) == pytest.approx(expected, rel=1e-14)


def test_brier_score_of_certain_rows_is_exact() -> None:
    assert brier_score([[1.0, 0.0]], [0]) == 0.0
    assert brier_score([[1.0, 0.0]], [1]) == 2.0


def test_brier_score_of_an_unknown_class_adds_its_own_one() -> None:
    assert brier_score([[0.5, 0.5]], [-1]) == 1.5


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 26])
def test_brier_parts_add_up_to_the_score(n_classes: int, unknown: bool, weighted: bool, ties: bool) -> None:
    probabilities, targets = random_probabilities(2, 60, n_classes, ties=ties)
    targets = np.where(np.arange(60) < 5, -1, targets) if unknown else targets
    weight = np.random.default_rng(3).exponential(size=60) if weighted else None
    parts = decompose_brier(probabilities, targets, sample_weight=weight)
    rebuilt = parts.miscalibration - parts.discrimination + parts.uncertainty

    assert rebuilt == pytest.approx(parts.score, abs=1e-12)
    assert parts.score == pytest.approx(brier_score(probabilities, targets, sample_weight=weight), abs=1e-12)
    assert min(parts.miscalibration, parts.discrimination, parts.uncertainty) >= 0


def test_brier_parts_agree_with_isotonic_regression_of_each_class() -> None:
    from sklearn.isotonic import IsotonicRegression

    probabilities, targets = random_probabilities(4, 200, 3, ties=True)
    weight = np.random.default_rng(5).exponential(size=200)
    recalibrated = sum(
        np.average((IsotonicRegression().fit(p, y, sample_weight=weight).predict(p) - y) ** 2, weights=weight)
        for p, y in ((probabilities[:, k], (targets == k).astype(float)) for k in range(3))
    )
    parts = decompose_brier(probabilities, targets, sample_weight=weight)

    assert parts.score - parts.miscalibration == pytest.approx(recalibrated, abs=1e-12)


def test_a_constant_prediction_of_the_shares_is_calibrated_and_says_nothing() -> None:
    parts = decompose_brier(np.full((4, 2), 0.5), [0, 1, 0, 1])

    assert (parts.miscalibration, parts.discrimination, parts.uncertainty) == (0.0, 0.0, 0.5)


def test_ranks_give_ties_to_the_lower_index() -> None:
    logits = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])

    assert ranks(logits, np.array([0, 1, 2, -1])).tolist() == [0, 1, 2, 3]


def test_top_k_accuracy_counts_unknown_classes_as_wrong() -> None:
    assert top_k_accuracy(np.zeros((2, 3)), [0, -1], k=3) == 0.5


def test_class_wise_ece_is_the_mean_over_classes_of_binned_gaps() -> None:
    probabilities, targets = random_probabilities(6, 500, 4)
    edges = np.linspace(0, 1, 16)
    expected = []
    for k in range(4):
        p, y = probabilities[:, k], targets == k
        inside = [(p > low) & (p <= high) for low, high in itertools.pairwise(edges)]
        expected.append(sum(i.sum() * abs(p[i].mean() - y[i].mean()) for i in inside if i.any()) / 500)

    assert class_wise_ece(probabilities, targets) == pytest.approx(np.mean(expected), abs=1e-12)


def test_aurc_is_the_mean_of_running_error_rates() -> None:
    rng = np.random.default_rng(7)
    confidence, correct = rng.random(50), rng.random(50) < 0.7
    wrong = 1.0 - correct[np.argsort(-confidence)]
    expected = np.mean(np.cumsum(wrong) / np.arange(1, 51))
    perfect = np.mean(np.cumsum(np.sort(wrong)) / np.arange(1, 51))

    assert_close((expected, expected - perfect), aurc(confidence, correct), rtol=0, atol=1e-14)


def test_aurc_does_not_depend_on_the_order_of_equal_confidences() -> None:
    assert aurc([0.5, 0.5, 0.9], [True, False, True]) == aurc([0.5, 0.5, 0.9], [False, True, True])


def test_aurc_of_a_perfect_order_has_no_excess() -> None:
    assert aurc([0.9, 0.8, 0.1], [True, True, False])[1] == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: log_loss([1.0, 2.0], [0]),
            ShapeError,
            "[SC102] log_loss: `logits` must have 2 axes; got shape (2,)",
        ),
        (
            lambda: log_loss(np.zeros((0, 2)), np.zeros(0, dtype=int)),
            ShapeError,
            "[SC103] log_loss: `logits` must have at least one row and one class; got shape (0, 2)",
        ),
        (
            lambda: log_loss([[0.0, math.nan], [0.0, 1.0]], [0, 1]),
            NotFiniteError,
            "[SC131] log_loss: each row of `logits` must have a finite largest element; got nan in row 0"
            " (1 of 2 are not)",
        ),
        (
            lambda: log_loss([[0.0, 1.0]], [2]),
            TargetError,
            "[SC121] log_loss: `targets` must lie in [-1, 2); got 2 at index 0 (1 of 1 are outside)",
        ),
        (
            lambda: log_loss([[0.0, 1.0]], [0.0]),
            TargetError,
            "[SC121] log_loss: `targets` must be class indices; got dtype float64",
        ),
        (
            lambda: log_loss([[0.0, 1.0]], [0, 1]),
            ShapeError,
            "[SC101] log_loss: `targets` must have shape (1,); got (2,)",
        ),
        (
            lambda: log_loss([[0.0, 1.0]], [0], sample_weight=[0.0]),
            OptionError,
            "[SC142] log_loss: `sample_weight` must be finite and not negative, and not all of it zero",
        ),
        (
            lambda: log_loss([[0.0, 1.0]], [0], sample_weight=[1.0, 1.0]),
            ShapeError,
            "[SC101] log_loss: `sample_weight` must have shape (1,); got (2,)",
        ),
    ],
)
def test_broken_arguments_are_refused_with_a_whole_sentence(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
