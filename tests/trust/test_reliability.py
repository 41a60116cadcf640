"""Reliability diagrams: the curve is the isotonic fit, the band holds what a calibrated model would show."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from asserts import assert_close
from softclass.errors import OptionError
from softclass.trust.reliability import ReliabilityDiagram, bins_of, reliability_diagram


def calibrated(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    confidence = rng.beta(3, 1, size=n)
    return confidence, rng.random(n) < confidence


def curve_at(diagram: ReliabilityDiagram, at: np.ndarray) -> np.ndarray:
    return np.array(diagram.frequency)[np.searchsorted(diagram.high, at)]


def band_coverage(n_sets: int, n: int, n_resamples: int, max_groups: int = 1000) -> float:
    inside = []
    for seed in range(n_sets):
        diagram = reliability_diagram(*calibrated(seed, n), n_resamples=n_resamples, max_groups=max_groups, seed=seed)
        middle = slice(10, -10)  # at the ends the curve is nearly always exactly 0 or 1, which no band can cut
        value = curve_at(diagram, np.array(diagram.band_at)[middle] - 1e-12)
        low, high = np.array(diagram.band_low)[middle], np.array(diagram.band_high)[middle]
        inside.append(np.mean((value >= low - 1e-12) & (value <= high + 1e-12)))
    return float(np.mean(inside))


def test_curve_is_the_isotonic_fit() -> None:
    confidence, correct = calibrated(1, 400)
    diagram = reliability_diagram(confidence, correct, n_resamples=10)
    expected = IsotonicRegression().fit_transform(confidence, correct.astype(float))

    assert_close(expected, curve_at(diagram, confidence), rtol=0, atol=1e-12)
    assert sum(diagram.rows) == diagram.n == sum(diagram.histogram) == 400


def test_equal_confidences_are_one_point() -> None:
    diagram = reliability_diagram([0.5, 0.5, 0.5, 0.5], [True, False, True, True], n_resamples=10)

    assert (diagram.low, diagram.high, diagram.frequency, diagram.rows) == ((0.5,), (0.5,), (0.75,), (4,))


def test_band_covers_ninety_percent_of_calibrated_curves() -> None:
    # Curves of one data set are correlated; the standard error over 150 sets is about 1 %, so 4 % is 4 of them.
    assert band_coverage(150, 150, 200) == pytest.approx(0.90, abs=0.04)


def test_band_of_grouped_confidences_covers_as_much() -> None:
    assert band_coverage(100, 600, 200, max_groups=200) == pytest.approx(0.90, abs=0.045)


@pytest.mark.slow
def test_band_covers_ninety_percent_within_three_points() -> None:
    assert band_coverage(600, 500, 1000) == pytest.approx(0.90, abs=0.03)


def test_weights_are_repetitions_of_the_curve() -> None:
    weight = np.array([1, 3, 1, 2])
    confidence, correct = np.array([0.3, 0.4, 0.5, 0.6]), np.array([True, False, False, True])
    weighted = reliability_diagram(confidence, correct, sample_weight=weight, n_resamples=10)
    repeated = reliability_diagram(np.repeat(confidence, weight), np.repeat(correct, weight), n_resamples=10)

    assert_close(repeated.frequency, weighted.frequency, rtol=1e-15, atol=0)


def test_same_seed_same_diagram() -> None:
    data = calibrated(2, 300)

    assert reliability_diagram(*data, seed=5) == reliability_diagram(*data, seed=5)
    assert reliability_diagram(*data, seed=5) != reliability_diagram(*data, seed=6)


def test_diagram_survives_json() -> None:
    diagram = reliability_diagram(*calibrated(3, 50), n_resamples=20)

    assert ReliabilityDiagram.from_dict(json.loads(json.dumps(diagram.to_dict()))) == diagram


def test_bins_are_open_below_and_closed_above() -> None:
    assert bins_of(np.array([0.0, 1 / 15, 0.07, 1.0]), 15).tolist() == [0, 0, 1, 14]


def test_a_confidence_outside_the_unit_interval_is_refused() -> None:
    message = r"^\[SC141\] reliability_diagram: `confidence` must lie in \[0, 1\]$"
    with pytest.raises(OptionError, match=message):
        reliability_diagram([1.5], [True])
