"""The temperature: certified, invariant where it must be, and chosen only where it helps."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from asserts import assert_close
from softclass.errors import NotFiniteError, OptionError, TargetError
from softclass.trust.metrics import log_loss
from softclass.trust.temperature import Temperature, fit_temperature


def overconfident(seed: int, n: int, n_classes: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, n_classes))
    return factor * logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def smoothed_slope(logits: np.ndarray, targets: np.ndarray, beta: float) -> float:
    n, n_classes = logits.shape
    centred = logits - logits.mean(axis=1, keepdims=True)
    smoothing = 1 / (2 * (n + 1))
    aimed = (1 - smoothing) * np.eye(n_classes)[targets] + smoothing / n_classes
    powers = np.exp(beta * centred - (beta * centred).max(axis=1, keepdims=True))
    return float(np.mean(np.sum(centred * (powers / powers.sum(axis=1, keepdims=True) - aimed), axis=1)))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits and targets of the calibration and the test rows of the golden case."""
    features, targets = load_digits(return_X_y=True)
    rest, test, rest_targets, test_targets = train_test_split(
        features, targets, test_size=0.4, stratify=targets, random_state=0
    )
    fit, held, fit_targets, held_targets = train_test_split(
        rest, rest_targets, test_size=0.5, stratify=rest_targets, random_state=0
    )
    model = LogisticRegression(C=1e4, max_iter=5000).fit(fit, fit_targets)
    return model.decision_function(held), held_targets, model.decision_function(test), test_targets


def test_golden_case_without_calibration(digits) -> None:
    assert log_loss(digits[2], digits[3]).value == pytest.approx(0.69084, abs=2e-5)


def test_golden_case_with_temperature(digits) -> None:
    fitted = fit_temperature(digits[0], digits[1])

    assert fitted.method == "temperature"
    assert 1 / fitted.temperature == pytest.approx(0.16690, abs=1e-5)
    assert log_loss(digits[2] / fitted.temperature, digits[3]).value == pytest.approx(0.20469, abs=1e-5)


@pytest.mark.parametrize("factor", [0.05, 1.0, 30.0])
@pytest.mark.parametrize(("n", "n_classes"), [(10, 2), (300, 3), (50, 200)])
def test_gradient_bound_is_met(n: int, n_classes: int, factor: float) -> None:
    logits, targets = overconfident(1, n, n_classes, factor)
    fitted = fit_temperature(logits, targets, method="temperature")
    # The bound of the solver, with room for two ways to sum.
    bound = 2e-10 * np.abs(logits - logits.mean(axis=1, keepdims=True)).max()

    assert abs(smoothed_slope(logits, targets, 1 / fitted.temperature)) <= bound


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    logits, targets = overconfident(2, 200, 4, 3.0)
    moved = logits + np.random.default_rng(3).normal(size=(200, 1)) * 100
    plain, shifted = (fit_temperature(z, targets, method="temperature").temperature for z in (logits, moved))

    assert shifted == pytest.approx(plain, rel=1e-8)


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_scaled_logits_scale_the_temperature(factor: float) -> None:
    logits, targets = overconfident(4, 200, 4, 3.0)
    plain, scaled = (fit_temperature(z, targets, method="temperature").temperature for z in (logits, factor * logits))

    assert scaled == pytest.approx(factor * plain, rel=1e-8)


def test_weights_are_repetitions_up_to_the_smoothing() -> None:
    logits, targets = overconfident(5, 400, 3, 3.0)
    weight = np.random.default_rng(6).integers(1, 4, size=400)
    repeated = fit_temperature(np.repeat(logits, weight, axis=0), np.repeat(targets, weight), method="temperature")
    weighted = fit_temperature(logits, targets, sample_weight=weight, method="temperature")

    assert weighted.temperature == pytest.approx(repeated.temperature, rel=0.01)


HARD_CASES = {
    "one row": (np.array([[1.0, 0.0, -1.0]]), np.array([0])),
    "all right": (np.repeat([[5.0, 0.0]], 50, axis=0), np.zeros(50, dtype=int)),
    "all wrong": (np.repeat([[5.0, 0.0]], 50, axis=0), np.ones(50, dtype=int)),
    "a class absent": (overconfident(7, 60, 3, 2.0)[0], np.tile([0, 1], 30)),
    "huge": (1e4 * np.sign(overconfident(8, 60, 3, 2.0)[0]), np.tile([0, 1, 2], 20)),
    "all equal": (np.zeros((30, 4)), np.tile([0, 1, 2], 10)),
    "one class": (np.zeros((20, 1)), np.zeros(20, dtype=int)),
    "margin 50": (np.repeat([[50.0, 0.0], [0.0, 50.0]], 100, axis=0), np.repeat([0, 1], 100)),
    "float32": (overconfident(9, 60, 3, 2.0)[0].astype(np.float32), np.tile([0, 1, 2], 20)),
}


@pytest.mark.parametrize("method", ["auto", "temperature"])
@pytest.mark.parametrize("case", HARD_CASES)
def test_hard_cases_end_in_a_finite_temperature_and_loss(case: str, method: str) -> None:
    logits, targets = HARD_CASES[case]
    fitted = fit_temperature(logits, targets, method=method)

    assert 0.01 <= fitted.temperature <= 100
    assert np.isfinite(log_loss(logits / fitted.temperature, targets).value)


def test_all_wrong_rows_end_at_the_limit_and_say_so() -> None:
    fitted = fit_temperature(*HARD_CASES["all wrong"], method="temperature")

    assert fitted.temperature == 100.0
    assert fitted.reason == (
        "a temperature was asked for; it stands at the limit of its range, so more calibration rows are needed"
    )


def test_auto_leaves_true_probabilities_alone() -> None:
    fitted = fit_temperature(*overconfident(10, 500, 4, 1.0))

    assert (fitted.method, fitted.temperature) == ("none", 1.0)
    assert set(fitted.candidates) == {"none", "temperature"}


def test_auto_repairs_overconfidence() -> None:
    fitted = fit_temperature(*overconfident(11, 500, 4, 3.0))

    assert fitted.method == "temperature"
    assert fitted.temperature == pytest.approx(3.0, rel=0.2)


def test_auto_needs_ten_rows() -> None:
    fitted = fit_temperature(*overconfident(12, 9, 3, 5.0))

    assert fitted == Temperature(1.0, "none", 9, {}, "9 rows held out for calibration are too few to fit a temperature")


def test_none_is_not_fitted() -> None:
    assert fit_temperature(*overconfident(13, 100, 3, 5.0), method="none").temperature == 1.0


def test_temperature_survives_its_dictionary() -> None:
    fitted = fit_temperature(*overconfident(14, 100, 3, 3.0))

    assert Temperature.from_dict(fitted.to_dict()) == fitted


def synthetic_pairs() -> list[float]:
    """Log loss after `auto` less that of `none`, on fresh rows, over settings from under- to overconfident."""
    changes = []
    for seed, (factor, n, n_classes) in enumerate(
        (f, n, k) for f in (0.5, 0.9, 1.0, 1.1, 2.0) for n in (40, 200) for k in (2, 5, 10)
    ):
        fitted = fit_temperature(*overconfident(100 + seed, n, n_classes, factor))
        logits, targets = overconfident(900 + seed, 4000, n_classes, factor)
        changes.append(log_loss(logits / fitted.temperature, targets).value - log_loss(logits, targets).value)
    return changes


def test_auto_makes_at_most_a_tenth_of_thirty_settings_worse() -> None:
    changes = np.array(synthetic_pairs())

    assert changes.size >= 30
    assert np.mean(changes > 0) <= 0.1


def logits_of(model, features: np.ndarray) -> np.ndarray:
    if isinstance(model, LogisticRegression):
        scores = model.decision_function(features)
        return np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores
    return np.log(np.clip(model.predict_proba(features), 1e-12, None))


@pytest.mark.slow
def test_auto_makes_at_most_a_tenth_of_real_pairs_worse() -> None:
    changes = []
    for load in (load_iris, load_wine, load_breast_cancer, load_digits):
        features, targets = load(return_X_y=True)
        scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
        for make in (
            lambda: LogisticRegression(C=1e4, max_iter=5000),
            lambda: LogisticRegression(C=1.0, max_iter=5000),
            GaussianNB,
            LinearDiscriminantAnalysis,
            lambda: KNeighborsClassifier(15),
        ):
            for seed in range(2):
                rest, test, rest_y, test_y = train_test_split(
                    scaled, targets, test_size=0.4, stratify=targets, random_state=seed
                )
                fit, held, fit_y, held_y = train_test_split(
                    rest, rest_y, test_size=0.4, stratify=rest_y, random_state=seed
                )
                model = make().fit(fit, fit_y)
                fitted = fit_temperature(logits_of(model, held), held_y)
                test_logits = logits_of(model, test)
                after = log_loss(test_logits / fitted.temperature, test_y).value
                changes.append(after - log_loss(test_logits, test_y).value)

    assert len(changes) >= 30
    assert np.mean(np.array(changes) > 0) <= 0.1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: fit_temperature([[0.0, 1.0]], [0], method="magic"),
            OptionError,
            '[SC141] fit_temperature: `method` must be "auto", "none" or "temperature"; got \'magic\'',
        ),
        (
            lambda: fit_temperature([[0.0, 1.0]], [-1]),
            TargetError,
            "[SC121] fit_temperature: `targets` must lie in [0, 2); got -1 at index 0 (1 of 1 are outside)",
        ),
        (
            lambda: fit_temperature([[0.0, -np.inf]], [0]),
            NotFiniteError,
            "[SC131] fit_temperature: `logits` must be finite to fit a temperature",
        ),
    ],
)
def test_broken_arguments_are_refused_with_a_whole_sentence(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_labels_never_change() -> None:
    logits, targets = overconfident(15, 300, 5, 4.0)
    fitted = fit_temperature(logits, targets)

    assert_close(logits.argmax(axis=1), (logits / fitted.temperature).argmax(axis=1), rtol=0, atol=0)
