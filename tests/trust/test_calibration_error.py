"""Calibration error: definition, bias, interval and null band, by simulation with stated seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from softclass.trust.calibration_error import calibration_error

SEEDS_AND_Z = 4.0  # statistical tests below fail by chance with probability about 6e-5 each; their seeds are fixed


def confidences(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.beta(4, 1.5, size=n)


def true_rms_gap(confidence: np.ndarray, slope: float) -> tuple[np.ndarray, float]:
    """Chance of being right when confidence overstates it, and the root mean squared gap between bin means."""
    chance = np.clip(0.5 + slope * (confidence - 0.5), 0, 1)
    bins = np.array_split(np.argsort(confidence), 15)
    gaps = [(confidence[b].mean() - chance[b].mean()) ** 2 * b.size for b in bins]
    return chance, float(np.sqrt(np.sum(gaps) / confidence.size))


def test_plug_in_is_the_binned_definition() -> None:
    rng = np.random.default_rng(0)
    f = rng.random(300)
    a = rng.random(300) < f
    edges = np.linspace(0, 1, 16)
    inside = [(f > low) & (f <= high) for low, high in itertools.pairwise(edges)]
    expected = sum(i.mean() * abs(f[i].mean() - a[i].mean()) for i in inside if i.any())

    assert calibration_error(f, a, n_resamples=10).plug_in == pytest.approx(expected, abs=1e-12)


def test_debiased_error_of_calibrated_confidences_is_zero_on_average() -> None:
    rng = np.random.default_rng(1)
    squares = []
    for _ in range(200):
        f = confidences(rng, 300)
        value = calibration_error(f, rng.random(300) < f, n_resamples=2).debiased
        squares.append(np.sign(value) * value**2)
    z = np.mean(squares) / (np.std(squares, ddof=1) / np.sqrt(len(squares)))

    assert abs(z) < SEEDS_AND_Z


def interval_coverage(n_runs: int, n: int, slope: float, n_resamples: int) -> float:
    rng = np.random.default_rng(2)
    held = []
    for seed in range(n_runs):
        f = confidences(rng, n)
        chance, truth = true_rms_gap(f, slope)
        found = calibration_error(f, rng.random(n) < chance, n_resamples=n_resamples, seed=seed)
        held.append(found.low - 1e-12 <= truth <= found.high)
    return float(np.mean(held))


@pytest.mark.parametrize("slope", [1.0, 0.6])
def test_interval_holds_the_truth(slope: float) -> None:
    assert interval_coverage(100, 300, slope, 200) >= 0.90  # false alarm below 1 % if the coverage is 95 %


@pytest.mark.slow
@pytest.mark.parametrize("slope", [1.0, 0.8, 0.4])
@pytest.mark.parametrize("n", [150, 600])
def test_interval_holds_the_truth_in_93_percent_of_runs(slope: float, n: int) -> None:
    assert interval_coverage(300, n, slope, 400) >= 0.93


def rejected(n_runs: int, n: int, n_resamples: int) -> float:
    rng = np.random.default_rng(3)
    count = 0
    for seed in range(n_runs):
        f = confidences(rng, n)
        found = calibration_error(f, rng.random(n) < f, n_resamples=n_resamples, seed=seed)
        count += found.plug_in > found.null_95
    return count / n_runs


def test_null_band_rejects_five_percent_of_calibrated_models() -> None:
    # 300 runs: standard error 1.3 %, the quantile of 200 draws adds 1.5 %; the sharp test is marked slow.
    assert rejected(300, 120, 200) == pytest.approx(0.05, abs=0.05)


@pytest.mark.slow
def test_null_band_rejects_five_percent_within_two() -> None:
    assert rejected(1500, 100, 1000) == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
def test_null_band_of_grouped_confidences_rejects_as_many() -> None:
    # 6000 rows are above the number of distinct confidences drawn one by one; 400 runs, standard error 1.1 %.
    assert rejected(400, 6000, 300) == pytest.approx(0.05, abs=0.045)


def test_null_band_is_known_for_perfect_probabilities_of_ten_classes() -> None:
    # Mean plug-in error of perfect probabilities (K = 10) is .038 at n = 1000 whatever their exact shape is like.
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(1000, 10)) * 2
    confidence = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).max(axis=1)
    found = calibration_error(confidence, rng.random(1000) < confidence)

    assert found.null_mean == pytest.approx(0.038, abs=0.006)
    assert found.null_mean < found.null_95


def test_p_value_of_a_hopeless_model_is_the_smallest_possible() -> None:
    assert calibration_error(np.full(200, 0.99), np.zeros(200, dtype=bool)).p_value == 1 / 1001


def test_one_row_has_no_debiased_error() -> None:
    found = calibration_error([0.7], [True])

    assert (found.plug_in, found.debiased) == (pytest.approx(0.3), 0.0)


def test_grouped_draws_have_the_distribution_of_single_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    f = confidences(rng, 3000)
    a = rng.random(3000) < f
    single = calibration_error(f, a, n_resamples=2000)
    monkeypatch.setattr("softclass.trust.calibration_error.MAX_GROUPS", 50)
    grouped = calibration_error(f, a, n_resamples=2000)

    # Standard deviation of the null error is about .003; of a mean of 2000 draws .00007; 5 of those.
    assert grouped.null_mean == pytest.approx(single.null_mean, abs=0.0005)
    assert grouped.null_95 == pytest.approx(single.null_95, abs=0.0015)


def test_weights_scale_freely() -> None:
    rng = np.random.default_rng(6)
    f = confidences(rng, 100)
    a = rng.random(100) < f
    weight = rng.exponential(size=100)
    one = calibration_error(f, a, sample_weight=weight, n_resamples=50)
    other = calibration_error(f, a, sample_weight=weight * 1e300, n_resamples=50)

    assert one.plug_in == pytest.approx(other.plug_in, rel=1e-12)
