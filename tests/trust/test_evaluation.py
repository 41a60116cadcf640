"""Evaluation: the numbers of metrics.json, their intervals, and their way to JSON and back."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from asserts import assert_close
from softclass.errors import OptionError, ShapeError
from softclass.trust.evaluation import Evaluation, evaluate
from softclass.trust.metrics import brier_score, log_loss

METRICS_KEYS = {
    "split", "n", "n_classes", "classes", "accuracy", "balanced_accuracy", "top_5_accuracy", "log_loss",
    "log_loss_uncalibrated", "log_loss_prior", "brier", "brier_miscalibration", "brier_discrimination",
    "brier_uncertainty", "ece", "ece_uncalibrated", "ece_debiased", "ece_null_95", "ece_definition", "aurc",
    "intervals", "per_class", "confusion",
}  # fmt: skip


def data(seed: int, n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, n_classes))
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, targets, [f"class {k}" for k in range(n_classes)]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    logits, targets, classes = data(0, 400, 7)
    return evaluate(logits, targets, classes, temperature=2.0, bootstrap=200)


def test_every_key_of_metrics_json_is_there(evaluation: Evaluation) -> None:
    assert set(evaluation.to_dict()) >= METRICS_KEYS


def test_numbers_agree_with_scikit_learn(evaluation: Evaluation) -> None:
    logits, targets, _ = data(0, 400, 7)
    predicted = logits.argmax(axis=1)
    rows = list(evaluation.per_class.values())

    assert evaluation.balanced_accuracy == pytest.approx(balanced_accuracy_score(targets, predicted))
    assert_close(confusion_matrix(targets, predicted), evaluation.confusion, rtol=0, atol=0)
    assert_close(
        [score(targets, predicted, average=None) for score in (precision_score, recall_score, f1_score)],
        [[row.precision for row in rows], [row.recall for row in rows], [row.f1 for row in rows]],
        rtol=1e-12,
        atol=0,
    )


def test_numbers_agree_with_the_single_metrics(evaluation: Evaluation) -> None:
    logits, targets, _ = data(0, 400, 7)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    assert evaluation.log_loss == pytest.approx(log_loss(logits, targets).value, rel=1e-12)
    assert evaluation.log_loss_uncalibrated == pytest.approx(log_loss(2 * logits, targets).value, rel=1e-12)
    assert evaluation.brier == pytest.approx(brier_score(probabilities, targets), rel=1e-12)


def test_evaluation_survives_json(evaluation: Evaluation) -> None:
    text = json.dumps(evaluation.to_dict(), allow_nan=False)

    assert Evaluation.from_dict(json.loads(text) | {"notes": []}).to_dict() == evaluation.to_dict()


def test_details_can_be_left_out(evaluation: Evaluation) -> None:
    assert set(evaluation.to_dict()) - set(evaluation.to_dict(details=False)) == {"confusion", "reliability"}


def test_without_temperature_nothing_was_different_before() -> None:
    found = evaluate(*data(1, 100, 3), bootstrap=50)

    assert found.log_loss == found.log_loss_uncalibrated
    assert found.ece == pytest.approx(found.ece_uncalibrated, rel=1e-15)  # summed in another order
    assert found.reliability is found.reliability_uncalibrated


def test_unknown_classes_make_the_log_loss_null_and_count_as_wrong() -> None:
    logits, targets, classes = data(2, 100, 3)
    targets = np.where(np.arange(100) < 10, -1, targets)
    found = evaluate(logits, targets, classes, bootstrap=50)
    facts = found.to_dict()

    assert (found.log_loss, facts["log_loss"], facts["unknown_class_rows"]) == (math.inf, None, 10)
    assert facts["log_loss_known_rows"] == pytest.approx(log_loss(logits[10:], targets[10:]).value, rel=1e-12)
    assert (found.confusion.sum(), "log_loss" in found.intervals) == (90, False)


def test_unknown_classes_survive_json() -> None:
    found = evaluate([[0.0, 1.0], [1.0, 0.0]], [-1, -1], ["a", "b"], bootstrap=20)

    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))).log_loss == math.inf
    assert (found.accuracy, found.balanced_accuracy) == (0.0, None)


def test_a_class_without_rows_or_predictions_has_nulls() -> None:
    found = evaluate([[2.0, 1.0, 0.0]] * 3, [0, 0, 1], ["a", "b", "c"], bootstrap=20)

    assert (found.per_class["c"].precision, found.per_class["c"].recall, found.per_class["c"].f1) == (None, None, None)
    assert (found.per_class["b"].precision, found.per_class["b"].recall, found.per_class["b"].f1) == (None, 0.0, 0.0)


def test_prior_is_the_shares_that_are_passed_in() -> None:
    logits, targets, classes = [[0.0, 0.0]] * 4, [0, 0, 0, 1], ["a", "b"]
    own = evaluate(logits, targets, classes, bootstrap=20).log_loss_prior
    given = evaluate(logits, targets, classes, prior=[1, 1], bootstrap=20).log_loss_prior

    assert own == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert given == pytest.approx(math.log(2))


def test_a_class_of_prior_zero_has_an_infinite_prior_loss() -> None:
    found = evaluate([[0.0, 0.0]] * 2, [0, 1], ["a", "b"], prior=[1, 0], bootstrap=20)

    assert found.to_dict()["log_loss_prior"] is None


@pytest.mark.parametrize(("n_classes", "expected"), [(5, False), (6, True)])
def test_top_five_needs_six_classes(n_classes: int, expected: bool) -> None:
    assert (evaluate(*data(3, 50, n_classes), bootstrap=20).top_5_accuracy is not None) is expected


def test_two_classes_also_get_the_usual_brier_score() -> None:
    found = evaluate(*data(4, 50, 2), bootstrap=20)

    assert found.brier_binary == found.brier / 2


def test_all_right_has_an_interval_of_its_own() -> None:
    found = evaluate([[3.0, 0.0]] * 20, [0] * 20, ["a", "b"], bootstrap=50)

    assert found.intervals["accuracy"] == (pytest.approx(0.025 ** (1 / 20)), 1.0)


def covered(n_runs: int, n: int) -> float:
    big_logits, big_targets, classes = data(50, 200_000, 3)
    truth = log_loss(big_logits, big_targets).value
    inside = 0
    for seed in range(n_runs):
        logits, targets, _ = data(1000 + seed, n, 3)
        low, high = evaluate(logits, targets, classes, bootstrap=200, seed=seed).intervals["log_loss"]
        inside += low <= truth <= high
    return inside / n_runs


@pytest.mark.slow
def test_interval_of_the_log_loss_covers_the_truth() -> None:
    # 300 runs, seeds above: standard error 1.3 %, 4 of them.
    assert covered(300, 300) == pytest.approx(0.95, abs=0.05)


def test_groups_widen_the_interval() -> None:
    logits, targets, classes = data(5, 40, 3)
    repeated = (np.repeat(logits, 10, axis=0), np.repeat(targets, 10), classes)
    low, high = evaluate(*repeated, bootstrap=300).intervals["accuracy"]
    grouped_low, grouped_high = evaluate(*repeated, groups=np.repeat(np.arange(40), 10), bootstrap=300).intervals[
        "accuracy"
    ]

    # Ten equal rows a group: the spread is the root of ten times as large.
    assert (grouped_high - grouped_low) / (high - low) == pytest.approx(math.sqrt(10), rel=0.35)


def test_weights_are_repetitions() -> None:
    logits, targets, classes = data(6, 60, 3)
    weight = np.random.default_rng(7).integers(1, 4, size=60)
    weighted = evaluate(logits, targets, classes, sample_weight=weight, bootstrap=20)
    repeated = evaluate(np.repeat(logits, weight, axis=0), np.repeat(targets, weight), classes, bootstrap=20)
    keys = [
        "accuracy", "balanced_accuracy", "log_loss", "log_loss_prior", "brier", "brier_miscalibration", "ece",
        "class_wise_ece",
    ]  # fmt: skip

    assert_close([getattr(repeated, key) for key in keys], [getattr(weighted, key) for key in keys], rtol=1e-9, atol=0)


def test_same_seed_same_numbers() -> None:
    arguments = data(8, 80, 3)

    assert evaluate(*arguments, bootstrap=50).to_dict() == evaluate(*arguments, bootstrap=50).to_dict()


def test_one_row_and_one_class_are_enough() -> None:
    found = evaluate([[0.5]], [0], ["only"], bootstrap=20)

    assert (found.accuracy, found.log_loss, found.brier) == (1.0, 0.0, 0.0)


def test_a_thousand_classes_are_fine() -> None:
    found = evaluate(*data(9, 300, 1000), bootstrap=20)

    assert len(found.class_reliability) == 10
    assert len(found.per_class) == 1000


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classes": ["a", "a"]}, ShapeError, "[SC101] evaluate: `classes` must be 2 different names; got 1"),
        ({"temperature": 0.0}, OptionError, "[SC141] evaluate: `temperature` must be positive; got 0.0"),
        ({"prior": [1.0, -1.0]}, OptionError, "[SC141] evaluate: `prior` must be 2 shares, none negative"),
        ({"groups": [1, 2, 3]}, ShapeError, "[SC101] evaluate: `groups` must have shape (2,); got (3,)"),
    ],
)
def test_broken_arguments_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    arguments = {"classes": ["a", "b"], "bootstrap": 10} | options
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        evaluate([[0.0, 1.0], [1.0, 0.0]], [0, 1], **arguments)


def test_groups_are_evaluated_on_their_own() -> None:
    logits, targets, classes = data(10, 80, 3)
    by = np.where(np.arange(80) < 20, "north", "south")
    found = evaluate(logits, targets, classes, by=by, bootstrap=20)
    north = evaluate(logits[:20], targets[:20], classes, bootstrap=20)

    assert (found.by["north"]["n"], found.by["north"]["few"], found.by["south"]["few"]) == (20, True, False)
    assert_close(
        [north.accuracy, north.log_loss, north.brier, north.ece],
        [found.by["north"][key] for key in ("accuracy", "log_loss", "brier", "ece")],
        rtol=1e-12,
        atol=1e-15,
    )
    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict()))).by == found.by


def test_a_group_of_weight_zero_has_nulls() -> None:
    found = evaluate(*data(11, 4, 2), by=[0, 0, 1, 1], sample_weight=[1, 1, 0, 0], bootstrap=20)

    assert [found.by["1"][key] for key in ("accuracy", "log_loss", "brier", "ece")] == [None] * 4
