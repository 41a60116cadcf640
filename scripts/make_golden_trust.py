"""Write tests/golden/trust_panels.json: three sets of logits, and what softclass.trust says about them.

The trust panels of the page must say the same to 1e-9. Logits and uniform numbers are stored as whole numbers, to be
divided by `unit`, so that every language reads the same bits. Run it with the source tree on PYTHONPATH; `--check` only
compares.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from softclass.functions.softmax import softmax
from softclass.trust.calibration_error import binned_error
from softclass.trust.isotonic import starts_of_runs
from softclass.trust.metrics import brier_score, class_wise_errors, log_loss
from softclass.trust.prediction_sets import PredictionSets, conformal_rank, count_sets, coverage_band
from softclass.trust.reliability import starts_of_equal_mass
from softclass.trust.temperature import best_temperature

PATH = Path(__file__).resolve().parents[1] / "tests" / "golden" / "trust_panels.json"
UNIT = 1024
TEMPERATURES = (1.0, 0.3, 2.5)
BINS = (5, 15, 30)
ALPHAS = (1, 10, 37)
# Penalty and free classes of RAPS.
CONSTANTS = (0.05, 2)


def digits() -> dict[str, Any]:
    """Softmax regression on the digits, left too sure of itself: 539 calibration and 719 test rows."""
    from sklearn.datasets import load_digits

    from softclass import SoftmaxRegression

    features, targets = load_digits(return_X_y=True)
    order = permutation(len(targets), 7)
    features, targets = features[order] / 16, targets[order]
    logits = SoftmaxRegression(C=1e4).fit(features[:539], targets[:539]).decision_function(features[539:])
    return whole("digits", logits, targets[539:], np.arange(1258) < 539, seed=1)


def calm() -> dict[str, Any]:
    """Three classes whose probabilities are true."""
    random = np.random.default_rng(2)
    logits = random.normal(size=(260, 3)) * 1.5
    targets = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return whole("calm", logits, targets, np.arange(260) % 2 == 0, seed=3)


def hard() -> dict[str, Any]:
    """Ties, probabilities that round to 0 and 1, rows of equal logits, classes that the model does not know."""
    random = np.random.default_rng(4)
    logits = np.round(random.normal(size=(140, 6)) * np.repeat([0.0, 1.0, 12.0, 300.0], 35)[:, None])
    targets = random.integers(0, 6, 140)
    sure = np.arange(70, 140)
    targets[sure] = logits[sure].argmax(axis=1)
    targets[::10] = random.integers(0, 6, 14)
    # Only in the test rows: one calibration row of infinite score in 14 would leave nothing but full sets.
    targets[5::28] = -1
    return whole("hard", logits, targets, np.arange(140) % 2 == 0, seed=5)


def whole(name: str, logits: Any, targets: Any, calibration: Any, *, seed: int) -> dict[str, Any]:
    """Return a set as it is stored."""
    uniforms = np.random.default_rng(seed).integers(0, UNIT, len(targets))
    return {
        "name": name,
        "classes": logits.shape[1],
        "logits": np.round(logits * UNIT).astype(int).ravel().tolist(),
        "targets": targets.tolist(),
        "role": calibration.astype(int).tolist(),
        "u": uniforms.tolist(),
    }


def permutation(n: int, seed: int) -> Any:
    """Return the permutation of the page: mulberry32, and Fisher-Yates from the end."""
    order, state = np.arange(n), seed
    for i in range(n - 1, 0, -1):
        state = (state + 0x6D2B79F5) % 2**32
        mixed = (state ^ state >> 15) * (state | 1) % 2**32
        mixed ^= (mixed + (mixed ^ mixed >> 7) * (mixed | 61)) % 2**32
        j = (mixed ^ mixed >> 14) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def values(stored: dict[str, Any]) -> dict[str, Any]:
    """Return everything that softclass.trust says about a stored set."""
    logits = np.array(stored["logits"]).reshape(-1, stored["classes"]) / UNIT
    targets, calibration = np.array(stored["targets"]), np.array(stored["role"]) == 1
    uniforms = np.array(stored["u"]) / UNIT
    fitted = calibration & (targets >= 0)
    ones = np.ones(int(fitted.sum()))
    return {
        "smoothed_temperature": best_temperature(logits[fitted], targets[fitted], ones),
        "temperature": least_log_loss(logits[fitted], targets[fitted]),
        "confusion": confusion(logits[~calibration], targets[~calibration]),
        "metrics": [metrics(logits[~calibration], targets[~calibration], at) for at in TEMPERATURES],
        "sets": [
            sets(logits / at, targets, uniforms, calibration, method, alpha)
            | {"temperature": at, "method": method, "alpha": alpha}
            for at in TEMPERATURES
            for method in ("lac", "aps", "raps")
            for alpha in ALPHAS
        ],
        "bands": [coverage_band(int(calibration.sum()), f"{(100 - alpha) / 100}") for alpha in ALPHAS],
    }


def least_log_loss(logits: Any, targets: Any) -> float:
    """Return T where the slope of the plain log loss is 0, by bisection of the slope in 1/T."""
    own = logits[np.arange(len(targets)), targets]
    low, high = 0.01, 100.0
    for _ in range(200):
        beta = (low + high) / 2
        slope = np.mean((softmax(beta * logits) * logits).sum(axis=1) - own)
        low, high = (beta, high) if slope < 0 else (low, beta)
    return 2 / (low + high)


def confusion(logits: Any, targets: Any) -> list[list[int]]:
    """Return the rows of each class predicted as each class."""
    counts = np.zeros((logits.shape[1], logits.shape[1]), dtype=int)
    known = targets >= 0
    np.add.at(counts, (targets[known], logits[known].argmax(axis=1)), 1)
    return counts.tolist()  # type: ignore[no-any-return]


def metrics(logits: Any, targets: Any, temperature: float) -> dict[str, Any]:
    """Return losses and calibration errors at a temperature."""
    probabilities = np.asarray(softmax(logits / temperature))
    confidence = probabilities.max(axis=1).clip(0, 1)
    right = logits.argmax(axis=1) == targets
    ones = np.ones(len(targets))
    loss = log_loss(logits / temperature, targets)
    by_class = class_wise_errors(probabilities, targets, ones, 0)
    return {
        "temperature": temperature,
        "log_loss": loss.value if math.isfinite(loss.value) else "inf",
        "log_loss_known_rows": loss.known_rows_value,
        "brier": brier_score(probabilities, targets),
        "ece_width": [binned_error(confidence, right, ones, bins) for bins in BINS],
        "ece_mass": [equal_mass_error(confidence, right, bins) for bins in BINS],
        "ece_of_classes": by_class.tolist(),
        "ece_mass_of_class_0": equal_mass_error(probabilities[:, 0], targets == 0, 15),
    }


def equal_mass_error(confidence: Any, right: Any, bins: int) -> float:
    """Return the plug-in calibration error of bins of about equal row count."""
    order = np.argsort(confidence, kind="stable")
    starts = starts_of_equal_mass(starts_of_runs(confidence[order]), confidence.size, bins)
    return float(np.abs(np.add.reduceat((confidence - right)[order], starts)).sum() / confidence.size)


def sets(logits: Any, targets: Any, uniforms: Any, calibration: Any, method: str, alpha: int) -> dict[str, Any]:
    """Return what sets fitted on the calibration rows do on the others."""
    coverage = f"{(100 - alpha) / 100}"
    penalty, free = CONSTANTS
    some, rest = (None, None) if method == "lac" else (uniforms[calibration], uniforms[~calibration])
    fitted = PredictionSets.fit(
        logits[calibration],
        targets[calibration],
        method=method,
        uniforms=some,
        penalty=penalty,
        free_classes=free,
    )
    limit = fitted.quantile(coverage)
    found = count_sets(fitted.sets(logits[~calibration], coverage=coverage, uniforms=rest), targets[~calibration])
    return {
        "rank": conformal_rank(fitted.n, coverage),
        "quantile": limit if math.isfinite(limit) else "inf",
        "covered": found.covered,
        "empty": found.empty,
        "mean_size": found.mean_size,
        "sizes": list(found.sizes),
        "class_covered": list(found.class_covered),
        "class_mean_sizes": list(found.class_mean_sizes),
    }


def main() -> None:
    """Write the file; with `--check` compare its values with those of today."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the values of the stored logits, write nothing")
    if parser.parse_args().check:
        kept = json.loads(PATH.read_text())
        wrong = [one["name"] for one in kept["sets"] if json.loads(json.dumps(values(one))) != one["values"]]
        raise SystemExit(f"different values: {', '.join(wrong)}" if wrong else 0)
    stored = [digits(), calm(), hard()]
    found = {"unit": UNIT, "bins": BINS, "raps": CONSTANTS, "sets": [one | {"values": values(one)} for one in stored]}
    PATH.write_text(json.dumps(found, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
    print(f"wrote {PATH.name}: {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
